"""Starts commands in processes of their own that can be killed at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# Starting Python and importing torch takes seconds, so one process does it, and each run is a fork of it: a process of
# its own, in a group of its own, that shares nothing with any other and dies of SIGKILL like any other.
LAUNCHER = """
import json, os, sys
import torch, transformers, accelerate, pymoo, matplotlib
import secateur.cli.app
from secateur.cli import run_command
torch.set_num_threads(1)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(json.loads(line)["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = 99
        try:
            code = run_command(json.loads(line)["command"])
        finally:
            os._exit(code)
    os.setpgid(child, child)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Launcher:
    """Starts commands one after another, each in a process of its own."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, command: list[str], moment: Callable[[], bool] | None = None) -> int:
        """Run a command, kill it when its moment has come, and return its exit code: -9 if it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"command": command, "log": str(self.log)}), file=self._process.stdin, flush=True)
        child = int(self._process.stdout.readline())
        while moment is not None and _alive(child):
            if moment():
                with suppress(ProcessLookupError):  # it came to its end just now
                    os.killpg(child, signal.SIGKILL)
                break
            time.sleep(0.001)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _alive(process: int) -> bool:
    try:
        return os.getpgid(process) >= 0
    except ProcessLookupError:
        return False
