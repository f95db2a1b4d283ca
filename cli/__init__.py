"""The command line: one file per command."""

from __future__ import annotations

import errno
import os
import sys


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run a command and return its exit code.

    0: done. 2: bad input, or something outside (disk, network) that the user can mend. 130: interrupted.
    """
    import typer

    from ..errors import InputError
    from .app import make_app
    from .console import fail

    try:
        make_app()(args=arguments, standalone_mode=False, prog_name="secateur")
    except InputError as error:
        return fail(str(error))
    except typer.BadParameter.__base__ as error:  # UsageError, whose place differs between typer's versions
        hint = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
        return fail(f"{error.format_message()}{hint}")
    except (KeyboardInterrupt, typer.Abort):
        fail("interrupted; the same command goes on from here")
        return 130
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return fail("the disk is full; make room and give the same command again, it goes on from here")
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return fail(
                f"{error.filename or 'a file'} cannot be written ({os.strerror(error.errno)}); choose another --out"
            )
        raise
    return 0
