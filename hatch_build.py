"""The compiled build, which is made only when asked for: HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip install .

The core is written in the manner that suits mypyc (`p2pwire.generate.compiled`) and compiled in a directory of its own.
The extension modules go into the wheel beside their Python source, and are what gets imported; nothing changes in the
source tree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE: Final = "p2pwire"

WRITE: Final = """
import sys
# Whatever is installed, or stands in this directory: the tree that the wheel is made of comes first.
sys.path.insert(0, sys.argv[1])
from p2pwire.generate.compiled import main
sys.exit(main(sys.argv[2:]))
"""

COMPILE: Final = """
import os
import sys
from mypyc.build import mypycify
from setuptools import setup

# All in one library: calls from module to module are those of C then.
modules = mypycify(sys.argv[2:], opt_level=sys.argv[1], debug_level="0")
if os.name == "posix":
    for module in modules:
        # Nobody links to functions of the library, so that the compiler may put one into another.
        module.extra_compile_args.append("-fvisibility=hidden")
setup(name="compiled", packages=[], ext_modules=modules, script_args=["--quiet", "build_ext", "--inplace"])
"""


class CompiledBuild(BuildHookInterface[Any]):
    """Adds extension modules to a wheel. MYPYC_OPT_LEVEL: how hard the C compiler tries, 0 to 3 (3)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile."""
        if version == "editable":
            raise ValueError("an editable install runs the sources: leave HATCH_BUILD_HOOK_ENABLE_CUSTOM out")
        self._directory = TemporaryDirectory(prefix="p2pwire-compiled-")
        place = Path(self._directory.name)
        sources = Path(self.root, "src")
        written = self._run("-B", "-c", WRITE, str(sources), str(sources / PACKAGE), PACKAGE, stdout=subprocess.PIPE)
        self._run("-c", COMPILE, os.environ.get("MYPYC_OPT_LEVEL", "3"), *written.splitlines())
        # The library of all stands beside the package.
        made = [*place.glob(f"{PACKAGE}/**/*"), *place.glob("*")]
        made = [file for file in made if file.suffix in (".so", ".pyd")]
        build_data["force_include"].update({str(file): str(file.relative_to(place)) for file in made})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        self._directory.cleanup()

    def _run(self, *arguments: str, stdout: int | None = None) -> str:
        """What it says there, if that is a pipe; else it is the user's."""
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=self._directory.name, check=True, stdout=stdout, text=True)
        return done.stdout or ""
