"""Settings in a file, as each command prints and reads them; version, sections of the help, completion."""

import os
import re
import subprocess
import sys

import pytest
from secateur import __version__
from secateur.cli.app import COMMANDS
from secateur.cli.options import command
from typer import Typer
from typer.testing import CliRunner

# What each command cannot do without, and something of a group where there is one.
WORDS = {
    "run": ["--model", "m", "--task", "t", "--out", "o", "--search-latency-threads", "2", "--workers", "3"],
    "finetune": ["--model", "m", "--task", "t", "--out", "o: #1", "--finetune-learning-rate", "3e-5"],
    "supernet": ["o", "--supernet-elastic-hidden", "--report-to", "tensorboard"],
    "search": [
        "o",
        "--budget",
        "45",
        "--objectives",
        "error,latency",
        "--no-racing",
        "--latency-sequence-length",
        "task",
    ],
    "ladder": ["o", "--shares", "1/2,1/4", "--steps", "10", "--json"],
    "latency": ["o", "--threads", "2", "--precision", "bf16", "--again"],
    "prune": ["o", "--method", "kcm,cofi", "--density", "0.6", "--cofi-final-epochs", "1", "--from", "supernet"],
    "compare": ["o", "--density", "0.8,0.6", "--recover-epochs", "0.5", "--json"],
    "report": ["o"],
    "front": ["o", "--shares", "3/4,1/2", "--against", "macs"],
    "pick": ["o", "--latency-ms", "8", "--as-measured"],
    "extract": ["o", "--key", "123", "--to", "there"],
    "export": ["o", "--to", "there", "--int8", "--latency-ms", "4"],
    "nest": ["o", "--to", "there", "--weights", "supernet", "--refit"],
    "recover": ["o", "there", "--steps", "10"],
    "convert": ["there", "--int8"],
    "vocabulary": ["there", "--data", "a.csv", "--data", "b", "--keep", "8000", "--to", "small"],
    "bench": ["there", "yes", "--batch-size", "1", "--no-memory"],
}


def settings_of(name, *words):
    """Return what a command's function is called with."""
    caught, app = [], Typer(callback=lambda: None)
    command(app, name, COMMANDS[name][1], caught.append, panel="")
    result = CliRunner().invoke(app, [name, *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return caught[0]


def given(settings):
    """Return the settings that were given, by group."""
    values = {name: getattr(settings, name) for name in sorted(settings.model_fields_set)}
    return {name: given(value) if hasattr(value, "model_fields_set") else value for name, value in values.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_settings_go_through_a_file(call, tmp_path, name):
    printed = call(name, *WORDS[name], "--print-config")
    assert printed.code == 0, printed.err
    file = tmp_path / "settings.yaml"
    file.write_text(printed.out)
    before, after = settings_of(name, *WORDS[name]), settings_of(name, "--config", file)
    assert before == after
    assert given(before) == given(after)
    assert call(name, "--config", file, "--print-config").out == printed.out


def test_only_what_is_given_counts_as_given():
    settings = settings_of("search", "o", "--latency-batch-size", 1, "--workers", 2)
    assert given(settings) == {"run": settings.run, "workers": 2, "search": {"latency": {"batch_size": 1}}}
    assert settings.search.budget == 200


def test_the_command_line_comes_before_the_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("run: o\nsearch:\n  budget: 45\n  racing: true\nstandard:\n")
    settings = settings_of("search", "p", "--config", file, "--budget", 7, "--no-racing")
    assert (str(settings.run), settings.search.budget, settings.search.racing) == ("p", 7, False)
    assert given(settings).keys() == {"run", "search"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search:\n  budgt: 4", "search.budgt: no setting of this command, got 4"),
        ("budget: 4", "budget: no setting of this command, got 4"),
        ("search:\n  budget: many", "search.budget: Input should be a valid integer, .*, got 'many'"),
        ("search:\n  latency:\n    threads: 0", "search.latency.threads: .*greater than or equal to 1, got 0"),
        (
            "search:\n  precision: fp8",
            "search.precision: Input should be 'auto', 'float32', 'bfloat16' or 'int8', got 'fp8'",
        ),
        ("search: 4", "search: Input should be a valid dictionary or .*, got 4"),
    ],
)
def test_a_bad_file_is_refused_by_key(fails, tmp_path, text, expected):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    message = fails("search", "o", "--config", file)
    assert message.startswith(f"{file}: ")
    assert re.search(expected, message), message


def test_a_file_that_cannot_be_read(fails, tmp_path):
    file = tmp_path / "settings.yaml"
    assert fails("front", "--config", file).startswith(f"cannot read {file}: No such file")
    file.write_text("a: [")
    assert fails("front", "--config", file).startswith(f"{file} is no YAML file: ")
    file.write_text("- 4")
    assert fails("front", "--config", file) == f"{file} must be a mapping of settings to values, got [4]"
    file.write_text("json: true")
    assert f"{file}: json: no setting of this command" in fails("front", "o", "--config", file)
    file.write_text("as_json: true")
    assert "Missing argument 'run'" in fails("front", "--config", file)


def test_version(call):
    assert call("--version") == (0, f"secateur {__version__}\n", "")


def test_help_is_in_sections_and_whole(call):
    text = call("run", "--help").out
    titles = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        f"{title}:"
        for title in (
            "Project", "Options", "Finetune", "Supernet", "Search", "Search latency", "Standard", "Ladder", "Workers",
            "Tracking", "General",
        )
    ]  # fmt: skip
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    everything = call("--help").out
    assert max(map(len, everything.splitlines())) <= 80
    assert all(f"\n  {name} " in everything for name in COMMANDS)
    assert "--install-completion" in everything


@pytest.mark.parametrize(
    ("words", "expected"),
    [("secateur pru", "prune"), ("secateur front --sha", "--shares"), ("secateur front --against ma", "macs")],
)
def test_a_shell_completes(words, expected):
    environment = os.environ | {
        "_SECATEUR_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    script = "import sys; sys.argv[0] = 'secateur'; from secateur.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [expected], done.stderr
