"""What a person sees, in a real pseudo-terminal: whole at 80 columns, complete at any width."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys

import pytest
from rich.console import Console
from secateur.cli.tables import show
from secateur.run.choice.columns import Column

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
WIDTHS = (80, 200, 48)


@pytest.fixture(scope="module")
def shown(launcher):
    """Gives the lines that a command prints on a terminal of so many columns and 24 lines."""
    import fcntl  # here: the file can be imported on Windows, too
    import pty
    import termios

    def run(columns: int, folder, *arguments: str) -> list[str]:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment["TERM"] = "xterm-256color"
        started = launcher.on_terminal([*arguments], folder, environment, follower)
        os.close(follower)
        text = b""
        try:
            while piece := os.read(leader, 1 << 16):
                text += piece
        except OSError:  # the other end was closed
            pass
        os.close(leader)
        with started, started.makefile() as code:
            assert int(code.read()) == 0, text.decode()
        return CONTROL.sub("", text.decode()).splitlines()

    return run


@pytest.fixture(scope="module")
def models(finished):
    """The front, as JSON has it."""
    done = subprocess.run(
        [sys.executable, "-m", "secateur", "front", str(finished), "--json"], capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


def whole(lines: list[str], columns: int) -> str:
    """Check that nothing is cut and nothing runs over the edge; return the text."""
    assert max(map(len, lines)) <= columns, max(lines, key=len)
    text = "\n".join(lines)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    return text


@pytest.mark.parametrize("columns", WIDTHS)
def test_front(finished, models, columns, shown):
    text = whole(shown(columns, finished.parent, "front", finished.name, "--against", "latency_ms"), columns)
    assert re.search(r"\bms\b", text)  # the cost that was asked for
    text = whole(shown(columns, finished.parent, "front", finished.name), columns)
    for model in models:
        rows = [line for line in text.splitlines() if line.startswith(model["key"])]
        assert rows
        cells = " ".join(rows).split()
        assert f"{model['error_selection']:.4f}" in cells
        assert f"{model['error_report']:.4f}" in cells
        assert str(model["layers"]) in cells
        assert "" not in cells
    if columns >= 80:
        assert all(len(re.findall(rf"^{model['key']}", text, re.MULTILINE)) == 1 for model in models)


@pytest.mark.parametrize("columns", WIDTHS)
def test_pick(finished, columns, shown):
    budgets = ["--memory-mb", "10000", "--macs", "1e9", "--disk-mb", "1000"]
    lines = shown(columns, finished.parent, "pick", finished.name, *budgets, "--as-measured")
    command = lines.pop()
    assert command.startswith(f"secateur extract {finished.name} --key ")  # to be copied: never folded
    text = whole(lines, columns)
    key = command.split()[4]
    assert re.search(rf"^chosen +{key} ", text, re.MULTILINE)
    heads = " ".join(text.split())
    assert all(name in heads for name in ("memory", "macs", "disk")), text  # each budget is a column


@pytest.mark.parametrize("columns", WIDTHS)
def test_shares_label_their_rows(finished, columns, shown):
    lines = shown(columns, finished.parent, "front", finished.name, "--shares", "3/4,1/2,1/2")
    text = whole(lines, columns)
    labels = [line.split()[0] for line in text.splitlines() if line.startswith(("all", "3/4", "1/2"))]
    assert labels == ["all", "3/4", "1/2"] * (len(labels) // 3)


@pytest.mark.parametrize("columns", [80, 200])
def test_a_search_ends_with_the_front_and_what_comes_next(finished, models, columns, shown):
    search = ["search", finished.name, "--search-budget", "8", "--search-precision", "float32"]
    lines = shown(columns, finished.parent, *search)
    assert lines[0] == f"search: complete, in {finished.name}/archive.db"
    assert re.fullmatch(rf"next: secateur pick {finished.name} --latency-ms [0-9.]+", lines[-1])
    text = whole(lines, columns)
    assert all(model["key"] in text for model in models)


@pytest.mark.parametrize("columns", [80, 200])
def test_compare_latency_and_report(finished, columns, shown):
    text = whole(shown(columns, finished.parent, "compare", finished.name, "--no-refit"), columns)
    assert re.search(r"^nas \(\w+\) +", text, re.MULTILINE)
    assert "the lowest selection error within each budget" in text
    text = whole(shown(columns, finished.parent, "latency", finished.name), columns)  # of the search: it is there
    assert re.search(r"median error [0-9.]+%, worst [0-9.]+%", " ".join(text.split()))
    text = whole(shown(columns, finished.parent, "report", finished.name), columns)
    assert text.startswith(f"page: {finished.name}/report.html, picture: {finished.name}/front.png")


@pytest.mark.parametrize("columns", [30, 80, 110, 300])
def test_large_networks_read_well(columns):
    """Of 12 layers that all differ; heads and neurons are folded between numbers, or stand below."""
    heads, neurons = "/".join(["12"] * 12), "/".join(["3072"] * 12)
    table = [
        Column("key", [f"{i:016x}" for i in range(9)], left=True),
        Column("heads", [heads] * 9),
        Column("neurons", [neurons] * 9),
        Column("error, selection", ["0.1234"] * 9),
        Column("ms", ["12.3"] * 9),
    ]
    console = Console(width=columns, record=True, force_terminal=True, highlight=False, soft_wrap=True)
    show("a front", table, console=console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= max(columns, 32)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    numbers = re.findall(r"\d+\.?\d*", re.sub(r"\b0{15}\d\b", "", text))
    assert set(numbers) <= {"12", "3072", "0.1234", "12.3"}
    assert numbers.count("3072") == numbers.count("12") == 9 * 12
    assert (text.count(heads) == text.count(neurons) == 9) == (columns == 300)
