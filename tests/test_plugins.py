"""One file and one line: what a package outside adds to the registries is there from the command line to the report."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from secateur.evaluation.archive import Archive

from .cli.conftest import FINETUNE, SUPERNET, sentences, write_csv
from .once import made_once

# All commands in one process: importing torch takes long.
COMMANDS = """
import contextlib, io, json, sys
from secateur.cli import run_command
done = []
for command in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(command)
    done.append((code, out.getvalue(), err.getvalue()))
    print(err.getvalue()[-2000:], file=sys.stderr)
print(json.dumps(done))
"""
MODEL = """
import sys
from secateur.tests.tiny import tiny_model, tiny_tokenizer
from my_plugin import MyBertConfig, MyBertModel
bert = tiny_model("bert").bert
model = MyBertModel(MyBertConfig(**{k: v for k, v in bert.config.to_dict().items() if k != "model_type"}))
model.load_state_dict(bert.state_dict())
model.save_pretrained(sys.argv[1])
tiny_tokenizer().save_pretrained(sys.argv[1])
"""


def installed(folder: Path) -> None:
    """Make a folder on the path where a package is installed that adds one of each kind."""
    folder.mkdir()
    shutil.copyfile(Path(__file__).with_name("plugin.py"), folder / "my_plugin.py")
    about = folder / "my_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[secateur.plugins]\nmine = my_plugin\n")


def started(outside, *arguments) -> str:
    """Run Python with the package installed; return what it prints."""
    path = os.pathsep.join([str(outside), *sys.path])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def searched(outside: Path) -> None:
    """Make a run of the family from outside, searched over the objective and for the runtime from there, and pruned."""
    installed(outside)
    out, base, data = (outside / name for name in ("run", "base", "data"))
    started(outside, "-c", MODEL, base)
    for split, count, seed in (("train", 128, 0), ("validation", 48, 1)):
        write_csv(data / f"{split}.csv", ["text", "label"], sentences(count, seed))
    project = ["--model", base, "--task", "local", "--data", data, "--out", out]
    search = ["--search-budget", 6, "--search-precision", "float32", "--search-latency-runtime", "twice"]
    halving = ["--method", "halving", "--density", 0.5, "--halving-epochs", 2]
    everything = [
        ["run", *project, *FINETUNE, *SUPERNET, *search, "--skip", "ladder", "--search-objectives", "error,kept_heads"],
        ["prune", out, *halving],
        ["front", out, "--against", "kept_heads"],
        ["front", out, "--against", "kept_heads", "--json"],
        ["pick", out, "--kept-heads", 7, "--as-measured"],
        ["pick", out, "--kept-heads", 7, "--as-measured", "--json"],
        ["extract", out, "--kept-heads", 7, "--to", outside / "small", "--form", "secateur"],
        ["report", out],
        ["pick", "--help"],
        ["prune", "--help"],
        ["search", "--help"],
    ]
    commands = json.dumps([[str(word) for word in command] for command in everything])
    done = json.loads(started(outside, "-c", COMMANDS, commands).splitlines()[-1])
    assert [code for code, *_ in done] == [0] * len(done), done
    (outside / "texts.json").write_text(json.dumps([text for _, text, _ in done]))


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Path:
    """A folder where a package is installed that adds one of each kind, with a run that uses them all."""
    # A copy, for a process must not find it locked by another one that reads it just now.
    made = made_once(tmp_path_factory, "plugin", searched)
    return shutil.copytree(made, tmp_path_factory.mktemp("plugin") / "outside")


@pytest.fixture(scope="module")
def run(outside):
    """The run, and what each command printed."""
    return outside / "run", json.loads((outside / "texts.json").read_text())


def test_an_objective(run):
    out, (_, _, table, front, picked, answer, _, _, pick_help, prune_help, search_help) = run
    with Archive(out / "archive.db") as archive:
        rows = archive.evaluations(split="selection", weights="supernet")
    assert all(row.values["kept_heads"] == sum(row.mask.heads_per_layer) for row in rows)
    assert all(model["kept_heads"] == sum(model["heads"]) for model in json.loads(front))
    for text in (table, picked):
        assert re.search(r"\bkept\b[\s\S]*\bheads\b", text)
    chosen = json.loads(answer)["chosen"]
    assert chosen["kept_heads"] <= 7
    within = [row.values["error"] for row in rows if row.values["kept_heads"] <= 7]
    assert chosen["error_selection"] == pytest.approx(min(within), rel=1e-5)
    page = (out / "report.html").read_text()
    axes = re.search(r'"axes":(\[.*?\])', page)
    assert axes is not None
    assert "kept_heads" in {axis["name"] for axis in json.loads(axes[1])}
    assert "--kept-heads" in pick_help
    assert all("kept_heads" in text for text in (prune_help, search_help))


def test_a_runtime(run):
    out, (*_, pick_help, _, search_help) = run
    record = json.loads((out / "run.json").read_text())
    assert record["basis"]["target"].endswith("-twice")
    assert "float32, PyTorch, twice" in (out / "report.html").read_text()
    assert all("openvino-int8,twice" in "".join(text.split()) for text in (pick_help, search_help))


def test_a_trained_pruner_with_settings_of_its_own(run):
    out, (*_, prune_help, _) = run
    with Archive(out / "archive.db") as archive:
        (row,) = archive.evaluations(split="selection", method="halving")
    assert row.weights == "native"
    assert row.recipe["halving_epochs"] == 2
    assert row.values["epochs"] == 2
    assert '"halving (epochs 2.0)"' in (out / "report.html").read_text()
    assert "--halving-epochs" in prune_help
    assert "passes after the halving" in prune_help


def test_a_family(outside):
    record = json.loads((outside / "small" / "config.json").read_text())
    assert record["model_type"] == "secateur-mybert"
    assert record["architectures"] == ["ExtractedMyBertForSequenceClassification"]
    load = "import my_plugin; from secateur.supernet.stored.storage import load_model; "
    load += f"print(type(load_model({str(outside / 'small')!r})))"
    assert "ExtractedMyBertForSequenceClassification" in started(outside, "-c", load)


def test_a_plug_in_that_fails_is_named(outside, tmp_path):
    broken = shutil.copytree(outside / "my_plugin-1.0.dist-info", tmp_path / "broken-1.0.dist-info")
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[secateur.plugins]\nbroken = not_there\n")
    program = "import warnings; warnings.simplefilter('ignore'); import secateur.run.settings; print('went on')"
    assert started(tmp_path, "-c", program) == "went on\n"
    program = program.replace("'ignore'", "'error', RuntimeWarning")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "the plug-in broken (not_there) cannot be imported, so what it adds is missing" in done.stderr
