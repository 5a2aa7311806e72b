"""For comparison: the vendor's own Python client, used as its documentation shows it, one file after the other.

`python -m tests.bench.peer_losant_rest SOURCE API_URL APPLICATION_ID TOKEN` prints how many files it sent.
"""

from __future__ import annotations

import sys
from pathlib import Path

import losant_rest
import requests


def main(source: Path, api_url: str, application_id: str, token: str) -> None:
    client = losant_rest.Client(auth_token=token, url=api_url)
    files = [path for path in source.rglob("*") if path.is_file()]
    for path in files:
        wanted = {
            "name": path.name,
            "parentDirectory": f"/peer/{path.parent.relative_to(source).as_posix()}/",
            "type": "file",
            "fileSize": path.stat().st_size,
            "contentType": "application/octet-stream",
        }
        upload = client.files.post(applicationId=application_id, file=wanted)["upload"]
        fields = {name: value for name, value in upload["fields"].items() if name != "bucket"}
        with path.open("rb") as file:
            requests.post(upload["url"], data=fields, files={"file": (path.name, file)}, timeout=60).raise_for_status()
    print(len(files))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
