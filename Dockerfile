# syncd as a container: configured by environment alone, read-only root file system, no shell at run time.
#   docker build -t syncd .        podman build --format docker -t syncd .   (the OCI format has no HEALTHCHECK)
# Its one writable place is /state: a volume that outlives the container.

FROM docker.io/library/debian:bookworm-slim AS base
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock requirements-build.lock /src/
RUN python3 -m venv /build && /build/bin/pip install --require-hashes --no-deps -r /src/requirements-build.lock \
 && python3 -m venv --without-pip /opt/syncd \
 && /build/bin/pip --python /opt/syncd install --require-hashes --no-deps --only-binary :all: -r /src/requirements.lock
COPY LICENSE README.md pyproject.toml /src/
COPY syncd /src/syncd
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel /src \
 && /build/bin/pip --python /opt/syncd install --no-deps /wheel/*.whl \
 && install -d -o 65532 -g 65532 -m 0700 /state

FROM base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="syncd" \
      org.opencontainers.image.description="Keeps local directories mirrored onto HTTP file stores" \
      org.opencontainers.image.source="https://github.com/syncd/syncd" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/syncd /opt/syncd
COPY --from=build --chown=65532:65532 /state /state
# STATE_DIRECTORY is the default of state_dir: a configuration may still say otherwise.
ENV PATH=/opt/syncd/bin:/usr/local/bin:/usr/bin:/bin HOME=/state STATE_DIRECTORY=/state PYTHONDONTWRITEBYTECODE=1
VOLUME /state
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
STOPSIGNAL SIGTERM
# A daemon whose loop stands still does not answer.
HEALTHCHECK --interval=1m --timeout=15s --start-period=1m --retries=3 CMD ["syncd", "status", "-q"]
# The first process of a container is deaf to a signal that it has no handler for yet: tini is that one.
ENTRYPOINT ["tini", "-s", "--", "syncd"]
