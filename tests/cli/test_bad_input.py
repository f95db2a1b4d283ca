"""Bad input and faults from outside: one line on stderr that says what to do, exit code 2, nothing lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from secateur.cli import run_command
from secateur.evaluation.archive import Archive
from secateur.searchers import SEARCHERS

from .conftest import SEARCH, archive_rows, message_of, record, sentences, write_csv


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "run"


def snapshot(run: Path) -> dict[str, bytes]:
    """Return all files of a run but the tokens, which any stage may add and which are made again when lost."""
    files = [path for path in run.rglob("*") if path.is_file() and "tokens" not in path.parts]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


# Names


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--task", "sst3"], r"unknown task 'sst3'; known: cola, demo, embedding, local, mnli, mrpc, .*wnli$"),
        (["--supernet-strategy", "best"], r"unknown strategy 'best'; known: distil, full, inplace_kd, .*standard$"),
        (["--supernet-space", "huge"], r"unknown space 'huge'; known: large, layer, medium, small$"),
        (["--search-searcher", "luck"], rf"unknown searcher 'luck'; known: {', '.join(sorted(SEARCHERS))}$"),
        (
            ["--search-objectives", "error,speed"],
            r"unknown objective 'speed'; known: disk_mb, encoder_parameters, error, .*memory_mb, parameters$",
        ),
        (["--search-objectives", "error"], r"--search-objectives needs at least two different objectives, got 'error'"),
        (["--metric", "bleu"], r"unknown metric 'bleu'; known: accuracy, auroc, .*, weighted_f1$"),
        (["--metric", "mine"], r"unknown metric 'mine'; known: accuracy, "),
        (
            ["--metric", "no.where:f"],
            r"the metric no.where:f cannot be imported \(ModuleNotFoundError: .* PYTHONPATH\?$",
        ),
        (["--metric", "math:tau2"], r"the module math has no function tau2; name the metric as it is called there$"),
        (["--metric", "math:sqrt"], r"the metric math:sqrt fails on outputs \(\d+, 2\) and labels \(\d+,\)"),
        (["--loss", "torch:zeros"], r"the loss torch:zeros fails on outputs \(\d+, 2\)"),
        (
            ["--loss", "torch:zeros", "--class-weights", "balanced"],
            r"is your own, and weighs classes itself; leave the",
        ),
        (
            ["--ranking-loss", "listwise"],
            r"a listwise loss is one of a ranking's two, but the labels are a classification",
        ),
        (["--precision-floor", "0.5"], r"the precision 0.5 is one to ask for a recall at, but the metric is accuracy"),
        (
            ["--task", "multilabel", "--label-column", "label"],
            r"row 1 of .*train.csv must hold a list of labels in column",
        ),
        (["--task", "ranking"], r"train.csv has no column 'query'; its columns: text, label$"),
        (["--metric", "spearman"], r"metric spearman judges a regression, but the labels are a classification; use"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_unknown_names(fails, inputs, out, options, expected):
    assert re.search(expected, fails(*inputs.run(out), *options))
    assert not out.exists()  # refused before anything is computed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["supernet", "RUN", "--supernet-strategy", "best"], "unknown strategy 'best'"),
        (["supernet", "RUN", "--supernet-space", "huge"], "unknown space 'huge'"),
        (["search", "RUN", "--search-searcher", "luck"], "unknown searcher 'luck'"),
        (["search", "RUN", "--search-objectives", "error,speed"], "unknown objective 'speed'"),
    ],
)
def test_unknown_names_of_a_stage(fails, finished, arguments, expected):
    before = snapshot(finished)
    assert expected in fails(*[finished if argument == "RUN" else argument for argument in arguments])
    assert snapshot(finished) == before


# Options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--supernet-k", "0"], r"--supernet-k: .*greater than or equal to 1, got 0"),
        (["--supernet-k", "0.5"], r"--supernet-k"),
        (["--search-budget", "x"], r"--search-budget.*valid integer.*, got 'x'; see `secateur run --help`"),
        (["--search-budget", "-3"], r"--search-budget: .*greater than or equal to 1, got -3"),
        (["--search-latency-threads", "0"], r"--search-latency-threads: .*greater than or equal to 1, got 0"),
        (["--search-precision", "fp8"], r"--search-precision.*'fp8' is not one of 'auto', 'float32', 'bfloat16'"),
        (["--selection-fraction", "1.5"], r"--selection-fraction: .*less than 1, got 1.5"),
        (["--supernet-epochs", "nan"], "--supernet-epochs: Input should be a finite number, got nan"),
        (["--finetune-learning-rate", "-1"], r"--finetune-learning-rate: .*greater than 0, got -1"),
        (["--suprenet-k", "2"], r"[Nn]o such option.*--suprenet-k.*--supernet-k"),
        (["--search-latency-sequence-length", "99"], r"--search-latency-sequence-length is 99, but the model has 24 "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(fails, inputs, out, options, expected):
    assert re.search(expected, fails(*inputs.run(out), *options))
    assert not out.exists()


def test_a_run_that_is_there_says_what_it_is_about(fails, finished):
    assert "is a run with seed 0, not 5" in fails("run", "--out", finished, "--seed", 5)
    assert "Missing option '--task'" in fails("run", "--out", finished, "--model", "other")


def test_a_missing_option_and_a_missing_command(fails, inputs, out):
    assert re.search(
        r"[Mm]issing option '--task'.*secateur run --help", fails("run", "--model", inputs.model, "--out", out)
    )
    assert re.search(r"[Mm]issing option '--model'.*secateur run --help", fails("run", "--out", out))
    assert re.match("No such command 'shrink'.*secateur --help", fails("shrink", out))
    assert "Missing argument 'run'; see `secateur front --help`" in fails("front")


# Models


def test_a_folder_that_is_no_model(fails, inputs, out, tmp_path):
    (tmp_path / "empty").mkdir()
    message = fails(*inputs.run(out, model=tmp_path / "empty"))
    assert message.startswith(f"{tmp_path / 'empty'} is no model: it has no config.json; expected a folder with")
    message = fails(*inputs.run(out, model=tmp_path / "nothing"))
    assert (
        message
        == f"there is no folder '{tmp_path}/nothing'; give a model's folder, or its name on the Hugging Face hub"
    )
    assert "is a file and no model" in fails(*inputs.run(out, model=inputs.data / "train.csv"))
    assert not out.exists()


def test_a_model_without_a_tokenizer(fails, inputs, out, tmp_path):
    model = shutil.copytree(inputs.model, tmp_path / "model", ignore=shutil.ignore_patterns("tokenizer*"))
    assert "has a model but no tokenizer; expected tokenizer.json or vocab.txt" in fails(*inputs.run(out, model=model))


def test_an_unsupported_family(fails, inputs, out, tmp_path):
    from transformers import AlbertConfig

    AlbertConfig().save_pretrained(tmp_path / "albert")
    message = fails(*inputs.run(out, model=tmp_path / "albert"))
    assert re.search(r"'albert' are not supported \(ALBERT shares one set of weights.*bert, .*distilbert", message)


def fine_tuned(inputs, tiny_tokenizer, folder: Path, labels: list[str]) -> Path:
    """A classifier with a head for these labels."""
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(inputs.model, num_labels=len(labels))
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {name: i for i, name in enumerate(labels)}
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def test_labels_that_do_not_fit_the_model(fails, inputs, out, tiny_tokenizer, tmp_path):
    model = fine_tuned(inputs, tiny_tokenizer, tmp_path / "three", ["neg", "so-so", "pos"])
    message = fails(*inputs.run(out, model=model))
    assert (
        "the model has a head for 3 labels, but the task 'local' has 2 (neg, pos); give a model fine-tuned" in message
    )
    model = fine_tuned(inputs, tiny_tokenizer, tmp_path / "other", ["pos", "bad"])
    message = fails(*inputs.run(out, model=model))
    assert (
        "the model's classes are pos, bad, and 'neg' of the task 'local' is none of them, though others are" in message
    )
    assert not out.exists()


# Data


def test_a_missing_column(fails, inputs, out):
    message = fails(*inputs.run(out, text_column="sentence"))
    assert message == f"{inputs.data / 'train.csv'} has no column 'sentence'; its columns: text, label"
    message = fails(*inputs.run(out, label_column="stars"))
    assert message == f"{inputs.data / 'train.csv'} has no column 'stars'; its columns: text, label"


def test_missing_data(fails, inputs, out, tmp_path):
    arguments = inputs.run(out)
    at = arguments.index("--data")
    assert "the task 'local' needs --data" in fails(*arguments[:at], *arguments[at + 2 :])
    assert "nothing.csv does not exist" in fails(*inputs.run(out, data=tmp_path / "nothing.csv"))
    assert "train.csv has no column 'sentence'" in fails(*inputs.run(out, data=inputs.data, task="sst2"))
    (tmp_path / "data").mkdir()
    assert "lacks train.csv, train.tsv, train.json, train.jsonl, train.parquet or train.arrow" in fails(
        *inputs.run(out, data=tmp_path / "data")
    )


def test_an_empty_data_set(fails, inputs, out, tmp_path):
    data = write_csv(tmp_path / "data.csv", ["text", "label"], [])
    assert f"{data} holds no rows; a data set needs" in fails(*inputs.run(out, data=data))
    data.write_bytes(b"")
    assert f"{data} holds no rows; a data set needs" in fails(*inputs.run(out, data=data))
    (tmp_path / "data.jsonl").write_text("")
    assert "holds no rows" in fails(*inputs.run(out, data=tmp_path / "data.jsonl"))


def test_one_class(fails, inputs, out, tmp_path):
    data = write_csv(tmp_path / "data.csv", ["text", "label"], [(text, "pos") for text, _ in sentences(50)])
    message = fails(*inputs.run(out, data=data))
    assert message == f"all 50 labels of {data} are the same; a task needs at least two different ones"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_nan_labels(fails, inputs, out, tmp_path, ending):
    data = tmp_path / f"data.{ending}"
    rows = [(text, float("nan") if i in (6, 9) else i % 2) for i, (text, _) in enumerate(sentences(50))]
    if ending == "csv":
        write_csv(data, ["text", "label"], rows)
    elif ending == "jsonl":
        data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    else:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({"text": [text for text, _ in rows], "label": [float(label) for _, label in rows]})
        pyarrow.parquet.write_table(table, data)
    message = fails(*inputs.run(out, data=data))
    assert message == f"column 'label' of {data} lacks 2 of 50 labels, first in row 7; drop these rows or label them"


def test_long_texts_are_cut_counted_and_told(call, inputs, out, tmp_path):
    rows = [(f"{text} {'film ' * 40 * (i < 3)}", label) for i, (text, label) in enumerate(sentences(60))]
    data = write_csv(tmp_path / "data.csv", ["text", "label"], rows)
    result = call("finetune", *inputs.project(out, data=data), "--finetune-epochs", "0.1")
    assert result.code == 0
    assert "; 3 texts were longer than the model's positions and are cut" in result.err


# Budgets


@pytest.mark.parametrize(("command", "options"), [("pick", ["--as-measured"]), ("extract", [])])
def test_an_impossible_budget_names_the_nearest(fails, finished, command, options):
    """Be it no better than a constant answer."""
    with Archive(finished / "archive.db") as archive:
        models = archive.evaluations(split="report", weights="supernet")
    for name in ("latency_ms", "parameters", "macs"):
        nearest = min(models, key=lambda one: one.values[name])
        message = fails(command, finished, f"--{name.replace('_', '-')}", 1e-3, *options)
        start, number = message.rsplit(" ", 1)
        assert start == f"no evaluated model keeps {name} <= 0.001; the nearest is {nearest.key} with {name}"
        if (name, command) == ("latency_ms", "extract"):
            assert float(number) > 0  # measured here and now
        else:
            assert number == f"{nearest.values[name]:.6g}"
    message = fails(command, finished, "--error", 1e-9, "--encoder-parameters", 1e-9, *options)
    expected = r"no evaluated model keeps encoder_parameters <= 1e-09 and error <= 1e-09; the nearest is \w{16} with "
    assert re.match(expected + r"encoder_parameters \S+ and error \S+$", message)


def test_other_bad_budgets(fails, finished):
    assert "give a budget: one or more of --latency-ms, --memory-mb, --disk-mb, --parameters" in fails("pick", finished)
    assert "--latency-ms: Input should be greater than 0, got -1" in fails("pick", finished, "--latency-ms", -1)
    message = fails("extract", finished, "--key", "0123")
    assert message == "the archive has no subnetwork '0123'; `secateur front` lists the keys"


def test_extract_never_replaces_something_else(fails, finished, tmp_path):
    (tmp_path / "thesis.tex").touch()
    message = fails("extract", finished, "--error", 0.3, "--to", tmp_path)
    assert message == f"{tmp_path} exists and is no extracted model; choose another folder, or remove it yourself"
    assert os.listdir(tmp_path) == ["thesis.tex"]


# Run folders


def test_a_run_folder_of_another_run(fails, inputs, copied, finished, tmp_path):
    before = snapshot(copied)
    message = fails(*inputs.run(copied, model=finished / "finetuned"))
    assert f"{copied} is a run with model '{inputs.model}', not '{finished / 'finetuned'}'; choose another" in message
    assert f"{copied} is a run with seed 0, not 1; choose another --out" in fails(*inputs.run(copied, seed=1))
    other = write_csv(tmp_path / "data.csv", ["text", "label"], sentences(64, seed=5))
    message = fails(*inputs.run(copied, data=other))
    assert f"the data or the model's tokenizer have changed since the run {copied} began" in message
    message = fails(*inputs.run(copied), "--supernet-epochs", "7")
    assert f"the supernet stage of {copied} was run with epochs 6.0, not 7.0; choose another --out" in message
    message = fails("search", copied, *SEARCH, "--search-precision", "bfloat16")
    assert "were computed in float32, these would be in bfloat16; leave the precision out" in message
    message = fails("search", copied, *SEARCH, "--search-latency-batch-size", "2")
    assert re.search(r"latencies in .* are of cpu-t\d+-b1-s24-float32, these would be of cpu-t\d+-b2-s24", message)
    assert snapshot(copied) == before


def test_another_model_of_the_same_name(fails, inputs, out, call, tmp_path):
    model = shutil.copytree(inputs.model, tmp_path / "model")
    short = ["--finetune-epochs", "0.1"]
    assert call("finetune", *inputs.project(out, model=model), *short).code == 0
    with (model / "model.safetensors").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\0")
    message = fails("finetune", *inputs.project(out, model=model), *short)
    assert f"the model's weights have changed since the run {out} began; bring back what it began with" in message


def test_data_that_changed_between_stages(fails, inputs, out, call, tmp_path):
    data = shutil.copytree(inputs.data, tmp_path / "data")
    assert call("finetune", *inputs.project(out, data=data), "--finetune-epochs", "0.1").code == 0
    write_csv(data / "train.csv", ["text", "label"], sentences(64, seed=5))
    message = fails("supernet", out)
    assert f"the data or the tokenizer of {out} have changed since the run began; restore them" in message


def test_a_folder_that_is_no_run(fails, inputs, tmp_path):
    (tmp_path / "thesis.tex").touch()
    message = fails(*inputs.run(tmp_path))
    assert message == f"{tmp_path} exists and is no run folder; choose a new folder for --out"
    assert "exists and is no run folder" in fails(*inputs.run(tmp_path / "thesis.tex"))
    assert os.listdir(tmp_path) == ["thesis.tex"]
    pruned = ["prune", "--method", "kcm", "--density", "0.9"]
    for command in (["supernet"], ["search"], ["front"], ["pick"], ["extract"], ["compare"], pruned):
        message = fails(*command, tmp_path)
        assert message.startswith(f"{tmp_path} is no run folder (it has no run.json); `secateur run --out {tmp_path}`")


def test_a_run_that_was_killed_before_its_first_line(call, inputs, out):
    out.mkdir()
    (out / ".run.json.0123abcd.part").write_text("{")
    assert call("finetune", *inputs.project(out), "--finetune-epochs", "0.1").code == 0


def test_stages_before_their_predecessors(fails, call, inputs, out):
    assert call("finetune", *inputs.project(out), "--finetune-epochs", "0.1").code == 0
    assert f"{out} has no supernet stage yet; run `secateur supernet` on it first" in fails("search", out)
    for command in (["front"], ["pick", "--error", "0.5"], ["extract", "--error", "0.5"]):
        message = fails(command[0], out, *command[1:])
        assert message == f"{out} has no archive yet; run `secateur search {out}` first"
    shutil.rmtree(out / "finetuned")
    for command in (["supernet"], ["prune", "--method", "kcm", "--density", "0.9"]):
        message = fails(*command, out)
        assert message == (
            f"{out / 'finetuned'} is gone; put it back, or run `secateur finetune {out}` again, which makes the same "
            "from the same seed"
        )
    assert not (out / "archive.db").exists()


@pytest.mark.parametrize("shares", ["half", "1/0", "0", "-1/2", "3/2", "", "1/2,,1/4"])
def test_shares_that_are_none(fails, finished, shares):
    message = fails("front", finished, "--shares", shares)
    assert message.startswith("--shares needs numbers above 0 and at most 1, such as 3/4,1/2,0.1; got '")


def test_a_share_that_nothing_keeps(fails, finished):
    message = fails("front", finished, "--against", "parameters", "--shares", "1/1000")
    assert re.fullmatch(r"nothing on the front has at most 1/1000 of the parameters; the least is 0\.\d+", message)


def test_a_front_that_was_not_scored_to_the_end(fails, call, copied):
    import sqlite3

    db = sqlite3.connect(copied / "archive.db", isolation_level=None)
    db.execute("DELETE FROM evaluations WHERE split = 'report'")
    db.close()
    message = fails("front", copied)
    assert re.match(r"\d of \d models of the front have no report score yet; run `secateur search` again", message)
    chosen = json.loads(call("pick", copied, "--error", "0.9", "--as-measured", "--json").out)["chosen"]
    assert chosen["error_report"] is None  # chosen on the selection split, which it was scored on


# Damage


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("stage", ["finetuned", "supernet"])
def test_a_damaged_checkpoint(fails, call, inputs, finished, copied, stage):
    cut(copied / stage / "model.safetensors")
    if stage == "finetuned":
        shutil.rmtree(copied / "supernet")
    arguments = inputs.run(copied)
    before = snapshot(copied)
    message = fails(*arguments)
    assert f"{copied / stage / 'model.safetensors'} is damaged: it is not the file that was written" in message
    assert f"or delete {copied / stage}, and the same `secateur run` makes it again" in message
    after = snapshot(copied)
    assert {name: after[name] for name in before if name != "run.json"} == {
        name: before[name] for name in before if name != "run.json"
    }
    shutil.rmtree(copied / stage)
    assert call(*arguments).code == 0  # as the message says
    assert archive_rows(copied) == archive_rows(finished)
    assert (copied / "supernet/model.safetensors").read_bytes() == (
        finished / "supernet/model.safetensors"
    ).read_bytes()


def interrupted(command: list[str], sign: Path, pattern: str) -> int:
    """Run a command in this process and interrupt it as Ctrl-C does when a file appears."""

    def watch() -> None:
        until = time.monotonic() + 60
        while not list(sign.glob(pattern)) and time.monotonic() < until:
            time.sleep(0.005)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=watch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
    thread.start()
    try:
        return run_command(command)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("stage", ["finetune", "supernet"])
def test_a_damaged_resume_point(fails, call, inputs, out, capsys, stage):
    folder = out / {"finetune": "finetuned.state", "supernet": "supernet.state"}[stage]
    options = {
        "finetune": [*inputs.project(out), "--finetune-epochs", "1000", "--finetune-save-seconds", "0"],
        "supernet": [str(out), "--supernet-epochs", "1000", "--supernet-save-seconds", "0"],
    }
    if stage == "supernet":
        assert call("finetune", *inputs.project(out), "--finetune-epochs", "0.1").code == 0
    command = [stage, *options[stage]]
    assert interrupted(command, folder, "step-*") == 130
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "secateur: interrupted; the same command goes on from here"
    for path in next(folder.glob("step-*")).iterdir():
        cut(path)
    message = fails(*command)
    assert re.match(rf"the checkpoint {folder}/step-\d+ cannot be read \(.+\); delete that folder and", message)


@pytest.mark.parametrize("damage", ["garbage", "half"])
def test_a_damaged_archive(fails, inputs, copied, damage):
    path = copied / "archive.db"
    if damage == "half":
        cut(path)
    else:
        path.write_bytes(b"garbage " * 1000)
    before = snapshot(copied)
    commands = [inputs.run(copied), ["search", copied, *SEARCH], ["front", copied], ["pick", copied, "--error", "0.5"]]
    commands += [["extract", copied, "--error", "0.5"], ["compare", copied]]
    for command in [*commands, ["prune", copied, "--method", "kcm", "--density", "0.9"]]:
        message = fails(*command)
        assert re.match(rf"the archive {path} is damaged or is no archive \(.*\); move it away and the", message)
    assert snapshot(copied) == before


def test_an_empty_archive(fails, call, inputs, finished, copied):
    """To SQLite a file of no bytes is a new one."""
    (copied / "archive.db").write_bytes(b"")
    for command in (["front", copied], ["pick", copied, "--error", "0.5"], ["extract", copied, "--macs", "9"]):
        assert "archive.db is empty, and with it what was found before; put it back, or run" in fails(*command)
    assert call(*inputs.run(copied)).code == 0
    assert archive_rows(copied) == archive_rows(finished)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"project": {}}', '{"project": 3, "facts": {}, "stages": {}}']
)
def test_a_damaged_run_json(fails, inputs, copied, content):
    (copied / "run.json").write_text(content)
    before = snapshot(copied)
    for command in (inputs.run(copied), ["search", copied], ["front", copied]):
        message = fails(*command)
        assert re.match(
            rf"{copied}/run.json is damaged \(.*\); put back a copy of it, or choose another --out", message
        )
    assert snapshot(copied) == before


def test_a_run_json_without_its_stages(fails, copied):
    content = record(copied)
    for change in ({"stages": {"supernet": {}}}, {"facts": {}}, {"stages": None}):
        (copied / "run.json").write_text(json.dumps({**content, **change}))
        assert "run.json is damaged" in fails("search", copied)


def test_a_damaged_latency_table(fails, call, inputs, copied):
    (table,) = (copied / "latency").iterdir()
    longer = [*inputs.run(copied), "--search-budget", "10"]
    for content in (b"", b"{}", b"\xff\xfe", b'{"target": 1}'):
        table.write_bytes(content)
        for command in (longer, ["extract", copied, "--error", "0.5"]):
            assert fails(*command) == f"the latency table {table} is damaged; delete it and it is measured again"
    table.unlink()
    assert f"the latency table {table} is gone; search or prune again" in fails("extract", copied, "--error", 0.5)
    assert call(*longer).code == 0


def test_damaged_tokens_are_made_again(call, copied):
    assert call("search", copied, *SEARCH, "--search-budget", "9").code == 0
    (path,) = (copied / "tokens").iterdir()
    whole = path.read_bytes()
    cut(path)
    assert call("search", copied, *SEARCH, "--search-budget", "10").code == 0
    assert path.read_bytes() == whole


# The machine


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Make writing beyond a size fail, as on a full disk."""
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [100, 10_000, 45_000, 60_000])
def test_a_full_disk(call, inputs, out, size):
    """Whatever is written first beyond that size fails: run.json, a model, an optimiser's state."""
    command = ["finetune", *inputs.project(out), "--finetune-save-seconds", "0", "--finetune-epochs", "1"]
    with no_file_larger_than(size):
        message = message_of(call(*command))
    assert "the disk is full" in message
    assert call(*command).code == 0


def test_a_full_disk_while_the_report_is_written(call, inputs, copied):
    before = (copied / "report.html").read_bytes()
    with no_file_larger_than(1_000_000):
        assert "report.html: the disk is full; free some space and run again" in message_of(call(*inputs.run(copied)))
    assert (copied / "report.html").read_bytes() == before
    assert call(*inputs.run(copied)).code == 0


@pytest.mark.parametrize("size", [10_000, 45_000])
def test_a_full_disk_while_the_supernet_is_trained(call, inputs, copied, finished, size):
    shutil.rmtree(copied / "supernet")
    command = [*inputs.run(copied), "--supernet-save-seconds", "0"]
    with no_file_larger_than(size):
        assert "the disk is full" in message_of(call(*command))
    assert archive_rows(copied) == archive_rows(finished)
    assert call(*command).code == 0
    weights = Path("supernet", "model.safetensors")
    assert (copied / weights).read_bytes() == (finished / weights).read_bytes()


@pytest.mark.parametrize("size", [1000, 30_000])
def test_a_full_disk_keeps_what_is_there(call, inputs, copied, finished, size):
    with no_file_larger_than(size):
        message = message_of(call(*inputs.run(copied), "--search-budget", "40"))
    assert re.search("the disk is full|disk I/O error; check that", message)  # SQLite cannot tell this from a fault
    before, after = archive_rows(finished, "selection"), archive_rows(copied, "selection")
    assert [row[0] for row in after[: len(before)]] == [row[0] for row in before]
    for name in ("finetuned", "supernet"):
        assert (copied / name / "model.safetensors").read_bytes() == (
            finished / name / "model.safetensors"
        ).read_bytes()
    assert call(*inputs.run(copied), "--search-budget", "40").code == 0


SMALL_DISK = """
import json, os, subprocess, sys
from secateur.cli import run_command
disk, command = sys.argv[1], sys.argv[2:]
codes = [run_command(command)]
subprocess.run(["mount", "-o", "remount,size=64m", "tmpfs", disk], check=True)
codes.append(run_command(command))
print(json.dumps(codes))
"""


def test_a_full_file_system(inputs, tmp_path):
    """On a file system of 80 kB the run stops; with more room the same command comes to its end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    can_mount = [*alone, "mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if not shutil.which("unshare") or subprocess.run(can_mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    inside = 'mount -t tmpfs -o size=80k tmpfs "$1" && shift && exec "$@"'
    short = ["--finetune-epochs", "1", "--supernet-epochs", "1", "--search-budget", "2"]
    python = [sys.executable, "-c", SMALL_DISK, str(disk), *inputs.run(disk / "run"), *short]
    command = [*alone, "sh", "-c", inside, "sh", str(disk), *python]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [2, 0]
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("secateur: ")]
    assert "the disk is full" in message


def test_no_network(fails, inputs, out, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    begin = time.monotonic()
    message = fails(*inputs.run(out, model="nobody/no-such-model"))
    assert "no folder 'nobody/no-such-model', and no model of that name in the local cache; the Hugging Face" in message
    arguments = inputs.run(out, task="sst2")
    at = arguments.index("--data")
    message = fails(*arguments[:at], *arguments[at + 2 :])
    assert "cannot reach the hub for GLUE's sst2" in message
    assert "give a folder that holds sst2/train.parquet with --data, or go online once" in message
    assert time.monotonic() - begin < 10


def test_a_place_that_cannot_be_written(fails, inputs, tmp_path):
    (tmp_path / "file").touch()
    message = fails(*inputs.run(tmp_path / "file" / "run"))
    assert "choose another --out" in message


def test_ctrl_c(inputs, out):
    """A process that is told to stop ends with one line and 130, and the same command goes on."""
    command = [sys.executable, "-m", "secateur", *inputs.run(out), "--finetune-epochs", "500"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job may ignore it
    )
    until = time.monotonic() + 60
    while not (out / "run.json").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "secateur: interrupted; the same command goes on from here"
    assert "Traceback" not in err
    assert record(out)["stages"].get("finetune", {}).get("complete") in (None, False)


@pytest.mark.parametrize(
    "words",
    [
        ["convert", "RUN/finetuned", "--to", "LONG"],
        ["extract", "RUN", "--error", "0.9", "--to", "LONG"],
        ["finetune", "--task", "demo", "--model", "demo", "--out", "LONG"],
        ["finetune", "--task", "local", "--model", "RUN/finetuned", "--out", "NEW", "--data", "LONG"],
        ["front", "LONG"],
    ],
    ids=lambda words: f"{words[0]} {words[-2]}",
)
def test_a_name_that_is_too_long_is_one_line(fails, finished, tmp_path, words):
    places = {"RUN": str(finished), "NEW": str(tmp_path / "new"), "LONG": "x" * 5000}
    message = fails(*(places.get(word, word.replace("RUN", places["RUN"])) for word in words))
    assert "xxx" in message
    assert message.endswith(" cannot be used (File name too long); give another place")
    assert len(message) < 300
    assert not (tmp_path / "new").exists()


def test_an_empty_tag_is_refused(fails, finished):
    assert "--latency-tag" in fails("search", finished, "--latency-tag", "")


@pytest.mark.parametrize(
    ("verb", "option"),
    [
        ("search", "--search-warm-start"),
        ("search", "--search-prefix-mb"),
        ("search", "--workers"),
        ("search", "--search-latency-threads"),
        ("latency", "--batch-size"),
        ("prune", "--texts"),
    ],
)
def test_numbers_of_things_have_an_end(fails, finished, verb, option):
    needed = ["--method", "kcm", "--density", "0.5"] if verb == "prune" else []
    message = fails(verb, finished, *needed, option, "99999999999999999999")
    assert option in message
    assert "less than or equal to" in message


def test_names_that_are_not_in_utf8_are_refused_before_anything_is_trained(fails, inputs, finished, tmp_path):
    latin = str(tmp_path / "caf\udce9")
    for words in (["finetune", *inputs.project(latin)], ["extract", finished, "--error", "0.9", "--to", latin]):
        assert "expected a name in UTF-8" in fails(*words)
    assert not [*tmp_path.iterdir()]
