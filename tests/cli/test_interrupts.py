"""Ctrl-C at moments at which Python or a library makes something else of it."""

from __future__ import annotations

import subprocess
import sys

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
