"""Speed and size against others and against what the machine can do: `python -m tests.bench --help`."""
