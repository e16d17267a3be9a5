"""The group of commands, and how each of them ends: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from p2pwire import __version__
from p2pwire.cli import INTERRUPTED
from p2pwire.cli.errors import CommandError, failure_of
from p2pwire.cli.output import write_event
from p2pwire.cli.text import printable

FAILED: Final = 1
WRONG_USAGE: Final = 2


COMMANDS: Final = {
    "demo": "p2pwire.cli.demo:demo",
    "share": "p2pwire.cli.share:share",
    "get": "p2pwire.cli.get:get",
    "id": "p2pwire.cli.objects:id_",
    "verify": "p2pwire.cli.objects:verify",
    "identity": "p2pwire.cli.identity:identity",
    "decode": "p2pwire.cli.decode:decode",
    "dissector": "p2pwire.cli.dissector:dissector",
    "simulate": "p2pwire.cli.simulate:simulate",
    "demo-peer": "p2pwire.cli.holder:demo_peer",
}
"""Where each command is; one that is not asked for is not loaded."""


class Program(click.Group):
    """A group whose every end is an exit code and, unless all is well, one sentence on standard error."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run one command and exit; see click."""
        arguments = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in _options(arguments)
        try:
            extra["windows_expand_args"] = windows_expand_args
            code = super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra) or 0
            sys.stdout.flush()
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else self.name
            _report(as_json, "usage", where, f"{error.format_message().rstrip('.')} ({where} -h explains)")
            code = WRONG_USAGE
        except click.ClickException as error:
            _report(as_json, "failed", self.name, error.format_message())
            code = FAILED
        except (click.Abort, KeyboardInterrupt):
            _report(as_json, "interrupted", self.name, "interrupted")
            code = INTERRUPTED
        except BrokenPipeError:
            # Whoever read the output has had enough; nothing may complain when the interpreter flushes it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = FAILED
        except Exception as error:
            failure = failure_of(error) or _mistake(error, "-v" in _options(arguments))
            _report(as_json, failure.code, self.name, failure.message)
            code = FAILED
        sys.exit(code)


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments before "--", after which nothing is an option."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _report(as_json: bool, code: str, where: str | None, message: str) -> None:
    """Say why it ended: to a person in any case, to a program too if it listens."""
    message = printable(" ".join(message.split()))
    if as_json:
        write_event("error", code=code, message=message)
    print(f"{where}: {message}", file=sys.stderr)


def _mistake(error: Exception, verbose: bool) -> CommandError:
    """What to say of a mistake in this program."""
    if verbose:
        traceback.print_exception(error)
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    hint = "" if verbose else "; -v shows where"
    return CommandError("internal", f"this is a mistake in p2pwire itself: {type(error).__name__}: {error}{hint}")


@click.group(
    name="p2pwire", cls=Program, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "--version", prog_name="p2pwire", message="%(prog)s %(version)s")
@click.option("--json", "as_json", is_flag=True, help="The same as --json after the command.")
def p2pwire(as_json: bool) -> None:
    """Share files and folders between peers, verified to the byte.

    \b
        p2pwire demo                 three peers on this machine, one folder
        p2pwire share PATH           share a file or folder, and print its URI
        p2pwire get URI -o DIR       get what a URI names

    Every command takes --json: one object a line on standard output. Exit codes: 0 done, 1 failed, 2 wrong usage,
    130 interrupted; after an interruption the same command goes on where it was.
    """
