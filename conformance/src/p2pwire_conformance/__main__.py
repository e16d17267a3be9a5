"""`python -m p2pwire_conformance`."""

from __future__ import annotations

from p2pwire_conformance.command import main

if __name__ == "__main__":
    main()
