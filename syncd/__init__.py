"""syncd keeps local directories mirrored onto HTTP file stores."""

__version__ = "0.1.0"
