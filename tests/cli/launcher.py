"""Starts commands in processes of their own that can be killed at any moment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Starting Python and importing torch takes seconds, so one process does it, and each run is a fork of it: a process of
# its own, in a group of its own, that shares nothing with any other and dies of SIGKILL like any other.
LAUNCHER = """
import json, os, select, socket, sys
import torch, transformers, accelerate, pymoo, matplotlib
from secateur.cli import run_command
from secateur.cli.app import COMMANDS, function_of
for name in COMMANDS:
    function_of(name)
torch.set_num_threads(1)
listener = socket.socket(fileno=int(sys.argv[1]))
waiting = 0
while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
    connection, _ = listener.accept()
    waiting += 1
    if os.fork():
        connection.close()
        continue
    message, files, *_ = socket.recv_fds(connection, 1 << 20, 3)
    command, folder, environment = json.loads(message)
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        listener.close()
        connection.close()
        for place, file in enumerate(files):
            os.dup2(file, place)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        if os.isatty(1):  # the command line looks for a terminal when it is imported
            for name in [name for name in sys.modules if name.startswith("secateur.cli")]:
                del sys.modules[name]
            from secateur.cli import run_command
        code = 99
        try:
            code = run_command(command)
            sys.stdout.flush()
        finally:
            os._exit(code)
    os.setpgid(child, child)
    connection.sendall(b"%d " % child)
    connection.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)
for _ in range(waiting):
    os.wait()
"""
# What stands in for the program `secateur`, for those who start it from a shell.
PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    message = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)])
    socket.send_fds(connection, [message.encode()], [0, 1, 2])
    sys.exit(int(connection.makefile().read().split()[1]))
"""


class Launcher:
    """Starts commands, each in a process of its own.

    Args:
        log: takes what they print.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._address = str(log.with_name("socket"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )

    def run(self, command: list[str], moment: Callable[[], bool] | None = None) -> int:
        """Run a command, kill it when its moment has come, and return its exit code: -9 if it was killed."""
        with self.log.open("a") as log, open(os.devnull) as nothing:
            files = [nothing.fileno(), log.fileno(), log.fileno()]
            connection, child = self._start(command, os.getcwd(), dict(os.environ), files)
        with connection:
            while moment is not None and _alive(child):
                if moment():
                    with suppress(ProcessLookupError):  # it came to its end just now
                        os.killpg(child, signal.SIGKILL)
                    break
                time.sleep(0.001)
            return int(connection.makefile().read())

    def on_terminal(
        self, command: list[str], folder: Path, environment: dict[str, str], terminal: int
    ) -> socket.socket:
        """Start a command with a terminal as its files, and return what its exit code can be read from at its end."""
        return self._start(command, str(folder), environment, [terminal] * 3)[0]

    def _start(
        self, command: list[str], folder: str, environment: dict[str, str], files: list[int]
    ) -> tuple[socket.socket, int]:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        socket.send_fds(connection, [json.dumps([command, folder, environment]).encode()], files)
        answer = b""
        while not answer.endswith(b" "):
            answer += connection.recv(1)
        return connection, int(answer)

    def program(self, folder: Path) -> Path:
        """Write a `secateur` that runs here into a folder; return the folder, for a PATH."""
        path = folder / "secateur"
        path.write_text(PROGRAM.format(python=sys.executable, address=self._address))
        path.chmod(0o755)
        return folder

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


def _alive(process: int) -> bool:
    try:
        return os.getpgid(process) >= 0
    except ProcessLookupError:
        return False
