"""One target under atheris, as a process: `python -m tests.fuzz.engine NAME [libFuzzer's options]`."""

import sys

import atheris

with atheris.instrument_imports(include=["p2pwire"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]].run)
    atheris.Fuzz()
