"""The command line: one file per command."""

from __future__ import annotations

import io
import os
import sys
from itertools import pairwise

from . import interrupts


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show a character shows a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    interrupts.listen()
    try:
        code = run_command(sys.argv[1:])
    except KeyboardInterrupt:  # while it starts
        code = interrupts.heard()
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """Run a command and return its exit code.

    0: done. 2: bad input, or something outside (disk, network) that the user can mend. 130: interrupted.
    """
    import typer

    from ..errors import InputError
    from ..files import UNUSABLE, disk_is_full
    from .app import COMMANDS, make_app
    from .console import fail

    usage_error: type[Exception] = typer.BadParameter.__mro__[1]  # its place differs between typer's versions
    try:
        app = make_app(arguments[:1] if {*arguments[:1]} & {*COMMANDS} else COMMANDS)  # quicker than all
        code = app(args=arguments or ["--help"], standalone_mode=False, prog_name="secateur")
        if code == 130:  # what newer versions of typer make of a KeyboardInterrupt
            raise KeyboardInterrupt
    except InputError as error:
        return fail(str(error))
    except usage_error as error:
        context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
        message = error.format_message().rstrip(".")  # pyright: ignore[reportAttributeAccessIssue]
        came = _value_of(arguments, parameter.opts) if parameter else None
        came = f", got {came!r}" if came is not None and repr(came) not in message else ""
        return fail(f"{message}{came}{f'; see `{context.command_path} --help`' if context else ''}")
    except (KeyboardInterrupt, typer.Abort):
        return interrupts.heard()
    except Exception as error:
        if interrupts.was_asked():
            return interrupts.heard()
        if disk_is_full(error):
            return fail("the disk is full; make room and give the same command again, it goes on from here")
        if isinstance(error, OSError) and error.errno in UNUSABLE:
            place = str(error.filename or "a file")  # an argument may be longer than a path can be
            return fail(f"{place[:200]} cannot be used ({os.strerror(error.errno)}); give another place")
        raise
    return 0


def _value_of(arguments: list[str], names: list[str]) -> str | None:
    """Return the value that the command line gives to an option."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    return next((value for name, value in reversed(list(pairwise(words))) if name in names), None)
