"""Commands that read and write nothing but a run's numbers start without the libraries that train models."""

import subprocess
import sys

import pytest
from secateur.cli.app import COMMANDS
from secateur.tests.cli.conftest import copied, finished, inputs  # noqa: F401 (fixtures)

HEAVY = "torch", "transformers", "datasets", "accelerate", "sklearn", "scipy", "pandas", "optuna", "pymoo"
DRAWS = "matplotlib", "plotly"
SCRIPT = """
import sys
from secateur.cli import run_command
try:
    code = run_command(sys.argv[1:])
except SystemExit as error:
    code = error.code
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


def imported(*words, environment=None):
    """Run a command in a process of its own; return what it printed and the packages that it imported."""
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_is_light(words):
    printed, modules = imported(*words)
    assert printed
    assert "secateur" in modules
    assert not modules & {*HEAVY, *DRAWS}


def test_settings_are_printed_without_a_run():
    printed, modules = imported("run", "--out", "nowhere", "--search-budget", 3, "--print-config")
    assert "budget: 3" in printed
    assert not modules & {*HEAVY, *DRAWS}


@pytest.mark.parametrize(
    "words",
    [
        ["front"],
        ["front", "--json"],
        ["front", "--shares", "3/4"],
        ["pick", "--encoder-parameters", "1e9", "--as-measured"],
    ],
    ids=" ".join,
)
def test_numbers_are_read_lightly(finished, words):  # noqa: F811
    printed, modules = imported(words[0], finished, *words[1:])
    assert printed
    assert not modules & {*HEAVY, *DRAWS}


@pytest.mark.parametrize("words", [["report"], ["compare", "--no-refit"]], ids=" ".join)
def test_pages_are_drawn_lightly(finished, words):  # noqa: F811
    words, page = [words[0], finished, *words[1:]], finished / "report.html"
    page.unlink()
    printed, modules = imported(*words)
    assert "report.html" in printed
    assert page.is_file()
    assert not modules & set(HEAVY)
    again, modules = imported(*words)
    assert again == printed
    assert "matplotlib" not in modules  # the pictures show all that already


def test_what_was_refitted_is_compared_lightly(copied):  # noqa: F811
    assert "torch" in imported("compare", copied)[1]
    assert not imported("compare", copied)[1] & set(HEAVY)
