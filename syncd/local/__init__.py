"""The source directory: scanning, reading, hashing."""
