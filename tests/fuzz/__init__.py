"""Any bytes at all, at every decoder and at the whole connection; see `python -m tests.fuzz --help`."""
