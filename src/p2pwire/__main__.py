"""`python -m p2pwire` is the command `p2pwire`."""

from __future__ import annotations

from p2pwire.cli import main

if __name__ == "__main__":
    main()
