"""One module per file API behind the `Remote` port, on one HTTP transport with its limits and retries."""
