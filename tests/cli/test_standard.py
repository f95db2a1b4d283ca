"""Standard NAS on a tiny model: candidates trained on their own, beside the supernet's subnetworks."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from secateur.cli import run_command
from secateur.evaluation.archive import Archive
from secateur.evaluation.model_error import model_error
from secateur.evaluation.objectives import OBJECTIVES
from secateur.searchers import AUTO
from secateur.supernet.stored.storage import load_model
from secateur.tests.tiny import same_weights
from transformers import AutoModelForSequenceClassification

from .conftest import archive_rows, message_of, record

EPOCHS = 3
KINDS = ("supernet", "standard")
OPTIONS = ["--search-searcher", "moasha", "--search-precision", "float32"]
OPTIONS += ["--standard-epochs", str(EPOCHS), "--standard-learning-rate", "5e-3", "--standard-batch-size", "16"]


def command(run: Path, budget: int) -> list[str]:
    return ["search", str(run), *OPTIONS, "--search-budget", str(budget)]


def candidates(run: Path, split: str = "selection") -> list:
    with Archive(run / "archive.db") as archive:
        return archive.evaluations(split=split, weights="standard")


@pytest.fixture(scope="module")
def both(finished, tmp_path_factory) -> Path:
    """A run that was searched in both ways; tests must leave it as it is."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("both") / "run")
    assert run_command(command(run, 7)) == 0
    return run


def test_candidates_are_in_the_archive_beside_the_subnetworks(both, finished):
    found = candidates(both)
    assert len(found) == 7
    assert {(one.method, one.asked, one.x is None) for one in found} == {("moasha", True, False)}
    with Archive(finished / "archive.db") as before, Archive(both / "archive.db") as after:
        assert after.evaluations(weights="supernet") == before.evaluations()
    for one in found:
        assert {"error", "parameters", "encoder_parameters", "macs", "latency_ms", "epochs"} <= set(one.values)
        assert one.values["encoder_parameters"] == one.mask.encoder_parameters(shape_of(both))
        assert one.seconds > 0
    stage = record(both)["stages"]["standard"]
    assert stage["complete"]
    assert stage["seconds"] >= sum(one.seconds for one in found)
    assert not (both / "standard.state").exists()


def shape_of(run):
    from secateur.run.project import load_supernet

    return load_supernet(run / "supernet").shape


def test_some_are_stopped_and_some_are_not(both):
    epochs = [one.values["epochs"] for one in candidates(both)]
    assert epochs[0] == EPOCHS  # there is nothing to compare the first with
    assert min(epochs) == 1
    assert sum(epochs) < EPOCHS * len(epochs)


def test_what_is_on_a_front_has_its_weights_and_a_report(both, call):
    with Archive(both / "archive.db") as archive:
        keys = {one.key for cost in OBJECTIVES for one in archive.front(("error", cost), weights="standard")}
    whole = candidates(both)[0]
    assert all(heads == 4 for heads in whole.mask.heads_per_layer)
    assert {path.name for path in (both / "standard").iterdir()} == keys | {whole.key}
    reported = {one.key: one for one in candidates(both, "report")}
    assert set(reported) == keys | {whole.key}
    task = task_of(both)
    for one in candidates(both):
        if one.key in reported:
            model = load_model(both / "standard" / one.key)
            for split, values in ((task.selection, one.values), (task.report["validation"], reported[one.key].values)):
                assert values["error"] == model_error(model, split, task.metric, pad_token_id=task.pad_token_id)
            assert 0 < reported[one.key].values["latency_low_ms"] <= reported[one.key].values["latency_ms"]


def task_of(run):
    from secateur.run.folder import RunFolder
    from secateur.run.project import open_task

    return open_task(RunFolder.open(run))


def test_front_tells_the_two_kinds_apart(both, call):
    everything = json.loads(call("front", both, "--json").out)
    of = {kind: json.loads(call("front", both, "--json", "--weights", kind).out) for kind in KINDS}
    for kind, points in of.items():
        assert {point["weights"] for point in points} == {kind}
    assert {point["method"] for point in of["standard"]} == {"moasha"}
    assert {point["method"] for point in of["supernet"]} == {AUTO}
    merged = [(p["key"], p["weights"]) for points in of.values() for p in points]
    assert {(p["key"], p["weights"]) for p in everything} <= set(merged)
    for point in everything:
        assert not any(
            other["error_selection"] < point["error_selection"]
            and other["encoder_parameters"] <= point["encoder_parameters"]
            for points in of.values()
            for other in points
        )
    mixed = {point["weights"] for point in everything} == {"supernet", "standard"}
    assert ("weights" in call("front", both).out) == mixed
    assert "weights" not in call("front", both, "--weights", "standard").out
    shares = json.loads(call("front", both, "--json", "--weights", "standard", "--shares", "1").out)
    assert shares[0]["key"] == candidates(both)[0].key
    assert shares[0]["weights"] == "standard"


def test_extract_writes_either_kind(both, call, tmp_path):
    whole = candidates(both)[0]
    made = {}
    for kind in KINDS:
        assert call("extract", both, "--key", whole.key, "--weights", kind, "--to", tmp_path / kind).code == 0
        made[kind] = AutoModelForSequenceClassification.from_pretrained(tmp_path / kind)
    assert call("extract", both, "--key", whole.key, "--to", tmp_path / "default").code == 0
    default = AutoModelForSequenceClassification.from_pretrained(tmp_path / "default")
    assert same_weights(default, made["supernet"])
    assert not same_weights(made["supernet"], made["standard"])
    assert same_weights(load_model(both / "standard" / whole.key), made["standard"])
    card = " ".join((tmp_path / "standard" / "README.md").read_text().split())
    assert f"trained by itself for up to {EPOCHS} epochs, of which the best is kept (standard NAS)" in card
    assert f"| selection | {1 - whole.values['error']:.4f} |" in card
    card = " ".join((tmp_path / "supernet/README.md").read_text().split())
    assert "weights are the supernet's, trained with distil for 6 epochs" in card


def test_extract_within_a_budget_of_either_kind(both, call, tmp_path):
    of = {}
    for kind in KINDS:
        points = json.loads(call("front", both, "--json", "--weights", kind).out)
        smallest = min(points, key=lambda p: p["encoder_parameters"])
        budget = smallest["error_selection"] + 1e-6
        command = ["extract", both, "--error", budget, "--weights", kind, "--to", tmp_path / kind]
        of[kind] = call(*command).out.split()[0]
        assert of[kind] == smallest["key"]
    assert "standard NAS" in (tmp_path / "standard/README.md").read_text()


def test_extract_of_what_is_not_kept(both, fails):
    with Archive(both / "archive.db") as archive:
        supernet_only = next(
            one
            for one in archive.evaluations(weights="supernet")
            if not archive.lookup(one.key, "selection", weights="standard")
        )
    kept = {path.name for path in (both / "standard").iterdir()}
    gone = next(one for one in candidates(both) if one.key not in kept)
    message = fails("extract", both, "--key", gone.key, "--weights", "standard")
    assert message.startswith(
        f"the weights of {gone.key} are not in {both / 'standard' / gone.key}; standard NAS keeps"
    )
    message = fails("extract", both, "--key", supernet_only.key, "--weights", "standard")
    assert message == f"{supernet_only.key} was not evaluated with standard weights, only with supernet; drop --weights"


def test_a_larger_budget_goes_on(finished, both, tmp_path, call):
    run = shutil.copytree(finished, tmp_path / "run")
    for budget in (3, 7):
        assert call(*command(run, budget)).code == 0
    assert archive_rows(run, "selection") == archive_rows(both, "selection")
    before = archive_rows(run)
    assert "standard: complete" in call(*command(run, 7)).err
    assert archive_rows(run) == before


def test_a_run_may_be_standard_from_the_start(inputs, finished, tmp_path, call):
    names = ("archive.db", "front.png", "report.html")
    run = shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns(*names, "subnets"))
    content = record(run)
    del content["stages"]["search"]
    (run / "run.json").write_text(json.dumps(content))
    assert call(*inputs.run(run), *OPTIONS, "--search-budget", "3").code == 0
    assert all((run / name).is_file() for name in names)
    (made,) = (run / "subnets").iterdir()
    assert made.name.endswith("-standard")
    assert {p["weights"] for p in json.loads(call("front", run, "--json", "--shares", "1").out)} == {"standard"}
    assert call("extract", run, "--error", "1").code == 0
    message = message_of(call("search", run, "--search-latency-batch-size", "2"))
    assert "these would be of" in message  # the archive holds latencies of another target


def test_the_report_draws_both_fronts_with_what_they_cost(both):
    from secateur.run.folder import RunFolder
    from secateur.run.report.report import report_facts

    folder = RunFolder.open(both)
    with Archive(both / "archive.db") as archive:
        facts = report_facts(folder, archive)
        fronts = {w: {p.key for c in OBJECTIVES for p in archive.front(("error", c), weights=w)} for w in KINDS}
    sharing, standard = facts.approaches
    assert (sharing.weights, standard.weights) == KINDS
    assert sharing.seconds == folder.seconds("supernet") + folder.seconds("search")
    assert standard.seconds == folder.seconds("standard")
    searchers = f"nas ({AUTO})", "standard nas (moasha)"
    assert [facts.hypervolumes[name] for name in searchers] == [sharing.hypervolume, standard.hypervolume]
    assert {curve.method: curve.hypervolumes[-1] for curve in facts.curves} == facts.hypervolumes
    assert {point.method: point.layer for point in facts.points} == dict(
        zip(searchers, ("none", "native"), strict=True)
    )
    assert 0 < standard.hypervolume <= 1
    for weights, keys in fronts.items():
        assert {p.model.key for p in facts.front if p.model.weights == weights} == keys
    assert facts.full.model.weights == "supernet"
    page = (both / "report.html").read_text(encoding="utf-8")
    assert "standard NAS" in page
    assert f"moasha, 7 candidates of up to {EPOCHS} epochs" in page


def test_what_cannot_be_compared_is_refused(both, fails):
    changed = [*command(both, 8), "--standard-epochs", "2"]
    assert fails(*changed) == (
        f"{both / 'archive.db'} holds candidates with epochs {EPOCHS}, these would have 2; search with that again, or "
        "choose another --out for another run"
    )
    assert "holds candidates with objectives" in fails(*command(both, 8), "--search-objectives", "error,macs")
    message = fails(*command(both, 8), "--search-precision", "bfloat16")
    assert "were computed in float32, these would be in bfloat16" in message
    assert "these would be of" in fails(*command(both, 8), "--search-latency-batch-size", "2")


def test_bad_input_is_named(finished, fails):
    assert "--search-budget" in fails("search", finished, *OPTIONS, "--search-budget", "0")
    message = fails("search", finished, *OPTIONS, "--standard-epochs", "0")
    assert message == "--standard-epochs: Input should be greater than or equal to 1, got 0"
    message = fails("front", finished, "--weights", "standard")
    assert message == (
        f"{finished / 'archive.db'} has no model with standard weights; run `secateur search {finished} "
        "--searcher moasha` for them"
    )
    assert "'own'" in fails("front", finished, "--weights", "own")


# Killed at any moment


def rows(run: Path, split: str) -> int:
    try:
        with sqlite3.connect(f"file:{run / 'archive.db'}?mode=ro", uri=True, timeout=0.1) as db:
            query = "SELECT count(*) FROM evaluations WHERE weights = 'standard' AND split = ?"
            return db.execute(query, (split,)).fetchone()[0]
    except sqlite3.Error:  # being written
        return -1
    finally:
        db.close()


def diary(run: Path) -> dict:
    try:
        return json.loads((run / "standard.state/diary.json").read_text())
    except (OSError, ValueError):
        return {"errors": []}


def steps(run: Path) -> int:
    return max((int(path.name[5:]) for path in (run / "standard.state/training").glob("step-*")), default=0)


def test_killed_at_any_moment_it_is_the_same(finished, both, launcher, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    moments: list[Callable[[], bool]] = [
        lambda: steps(run) >= 2,  # in the first epoch of the first candidate
        lambda: len(diary(run)["errors"]) == 1 and steps(run) > 16,  # in its second
        lambda: rows(run, "selection") == 2 and len(diary(run)["errors"]) > 0,
        lambda: rows(run, "report") == 1,
    ]
    saving = [*command(run, 7), "--standard-save-seconds", "0"]
    for moment in moments:
        assert launcher.run(saving, moment) == -signal.SIGKILL, launcher.log.read_text()
        print(f"killed at {rows(run, 'selection')} candidates, {diary(run)}, step {steps(run)}")
    assert launcher.run(command(run, 7)) == 0, launcher.log.read_text()
    assert archive_rows(run, "selection") == archive_rows(both, "selection")
    assert files(run / "standard") == files(both / "standard")
    assert not (run / "standard.state").exists()
    seconds = np.array([one.seconds for one in candidates(run)])
    assert (seconds > 0).all()
    stage = record(run)["stages"]["standard"]
    assert stage["complete"]
    # What killed attempts took is counted, but for the last second of each, which no clock had written down.
    assert stage["seconds"] >= seconds.sum() - len(moments)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}
