"""Processes on real sockets and disks, and what the world does to them; see `python -m tests.world --help`."""
