"""Runs commands in a process that writes down each connection that it opens and each pickle that it reads.

    python -m secateur.tests.cli.watched WHERE < commands.json

`commands.json` is a list of commands, each a list of words. WHERE gets a line for each thing that must not happen.
"""

from __future__ import annotations

import json
import pickle
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn


class Forbidden(OSError):
    """What is raised in the place of what must not happen."""


def watch(where: Path) -> None:
    """Forbid and write down connections and pickles from now on."""

    def forbid(what: str) -> NoReturn:
        frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_stack()[-8:-2]]
        with where.open("a") as file:
            file.write(f"{what}: {' < '.join(reversed(frames))}\n")
        raise Forbidden(what)

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            forbid(f"a connection to {address}")
        own_connect(self, address)

    def reader(own: type) -> type:
        """Return a class that libraries may derive their own from, but that reads nothing."""
        return type(own.__name__, (own,), {"__init__": lambda self, *_, **__: forbid("a pickle")})

    own_connect = socket.socket.connect
    socket.socket.connect = connect  # type: ignore[method-assign]
    socket.socket.connect_ex = connect  # type: ignore[method-assign]
    socket.getaddrinfo = lambda *_, **__: forbid("an address that is looked up")
    pickle.Unpickler, pickle._Unpickler = reader(pickle.Unpickler), reader(pickle._Unpickler)
    pickle.load = pickle.loads = lambda *_, **__: forbid("a pickle")
    sys.modules["_pickle"].__dict__.update({name: getattr(pickle, name) for name in ("Unpickler", "load", "loads")})


def main(where: Path) -> int:
    """Run the commands and return the worst exit code."""
    watch(where)
    from secateur.cli import run_command

    codes = []
    for command in json.load(sys.stdin):
        print("$", *command, file=sys.stderr, flush=True)
        codes.append(run_command(command))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
