"""Ctrl-C at moments at which Python or a library makes something else of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys, time
from secateur.cli import app, main

stop = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"

def in_a_text_of_code(_):
    exec(stop)

def swallowed(_):
    try:
        exec(stop)
    except KeyboardInterrupt:
        time.sleep(60)

def another_error(_):
    try:
        exec(stop)
    except KeyboardInterrupt:
        raise ValueError("a schema cannot be built")

def at_the_start(_):
    pass

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
moment = sys.argv.pop()
if moment == "at_the_start":
    app.make_app = lambda names: exec(stop)
app.function_of = lambda name: globals()[moment]
main()
"""


@pytest.mark.parametrize("moment", ["in_a_text_of_code", "swallowed", "another_error", "at_the_start"])
def test_it_is_one_line_and_130(tmp_path, moment):
    (tmp_path / "interrupted.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "interrupted", "front", "runs/one", moment]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "secateur: interrupted; the same command goes on from here\n"


SLOW = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(30)
"""


@pytest.mark.parametrize("library", ["wrapt", "typer"])
@pytest.mark.parametrize("program", ["module", "script"])
def test_it_is_one_line_and_130_while_libraries_are_imported(tmp_path, library, program):
    """The first is imported by the package itself, before the command line is there."""
    (tmp_path / f"{library}.py").write_text(SLOW)
    script = Path(sys.executable).with_name("secateur")
    command = [sys.executable, "-m", "secateur"] if program == "module" else [sys.executable, str(script)]
    done = subprocess.run(
        [*command, "front", "runs/one"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job may ignore it
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr == "secateur: interrupted; the same command goes on from here\n"


def test_who_imports_the_package_keeps_the_handler():
    script = "import signal, secateur; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert done.stdout == "True\n"
