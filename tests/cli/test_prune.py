"""`secateur prune` on a tiny run: what it adds to the archive, and what it leaves alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from secateur.cli import run_command
from secateur.errors import InputError
from secateur.evaluation.archive import Archive
from secateur.evaluation.model_error import model_error
from secateur.evaluation.objectives import OBJECTIVES
from secateur.pruners import PRUNERS, make_pruner
from secateur.pruners.agreement import check_pruned
from secateur.run.folder import RunFolder
from secateur.run.model import model_name
from secateur.run.project import open_task
from secateur.run.stages.prune import check_labels_are_there, seen_by
from secateur.run.stopwatch import Stopwatch
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.stored.storage import load_model
from secateur.tasks.kinds import KINDS
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model
from transformers import AutoModelForSequenceClassification

from .conftest import message_of, record

METHODS = ("kcm", "rank_random", "ziplm", "layer_drop_top", "deepcuts_magnitude")
DENSITIES = (0.9, 0.7)


def command(run: Path, *options: str, methods=METHODS, densities=DENSITIES) -> list[str]:
    named = ["--method", ",".join(methods), "--density", ",".join(map(str, densities))]
    return ["prune", str(run), *named, *options]


def rows(run: Path, split: str = "selection", **conditions) -> list:
    with Archive(run / "archive.db") as archive:
        return [one for one in archive.evaluations(split=split, **conditions) if one.recipe or one.method == "whole"]


def unclocked(found: list) -> list:
    """All that rows say but for what was measured with a clock."""
    plain = [replace(one, seconds=0.0, values={}) for one in found]
    values = [{k: v for k, v in one.values.items() if not k.startswith("latency")} for one in found]
    return sorted(zip(plain, values, strict=True), key=lambda pair: (pair[0].model, pair[0].split))


@pytest.fixture(scope="module")
def pruned(finished, tmp_path_factory) -> Path:
    """A run that was searched and pruned; tests must leave it as it is."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("pruned") / "run")
    assert run_command(command(run)) == 0
    return run


def test_each_model_is_in_the_archive_with_what_it_took(pruned):
    supernet, full = Supernet(load_model(pruned / "finetuned")), rows(pruned, weights="finetuned", method="whole")
    assert len(full) == 1
    found = [one for one in rows(pruned) if one.method != "whole"]
    assert {(one.method, one.recipe["density"]) for one in found} == {(m, d) for m in METHODS for d in DENSITIES}
    train = len(open_task(RunFolder.open(pruned)).train)
    for one in found:
        density = one.recipe["density"]
        assert one.recipe == {
            "density": density,
            "cost": "nonzero" if one.method == "deepcuts_magnitude" else "encoder_parameters",
            "from": "finetuned",
        }
        assert (one.seed, one.asked, one.x) == (0, True, None)
        assert one.seconds > 0
        assert 0 < one.values["density"] <= density
        if one.method == "deepcuts_magnitude":
            assert one.weights == "native"
            assert one.values["nonzero"] == pytest.approx(density, abs=0.01)
            assert (one.values["labels"], one.values["epochs"] > 0) == (train, True)
            assert not set(OBJECTIVES) & set(one.values)
        else:
            assert one.weights == "finetuned"
            kept = one.mask.encoder_parameters(supernet.shape) / supernet.shape.encoder_parameters
            assert one.values["encoder_parameters"] == one.mask.encoder_parameters(supernet.shape)
            assert one.values["density"] == pytest.approx(kept)
            assert set(OBJECTIVES) <= set(one.values)
            assert (one.values["labels"], one.values["epochs"]) == (0, 0)
            assert one.values["gradients"] == (one.method == "ziplm")
            assert one.values["texts"] == (train if one.method in ("kcm", "ziplm") else 0)
            assert one.values["scaled"] == (one.method in ("kcm", "ziplm"))
    stage = record(pruned)["stages"]["prune"]
    assert stage["complete"]
    assert stage["seconds"] > sum(one.seconds for one in found)


def test_scores_are_those_of_the_models(pruned):
    """Computed here with the models that are kept, or cut out anew."""
    task, whole = open_task(RunFolder.open(pruned)), load_model(pruned / "finetuned")
    report = {one.model: one for one in rows(pruned, "report")}
    kept = {path.name for path in (pruned / "pruned").iterdir()}
    assert kept
    seen = set()
    for one in rows(pruned):
        if one.values.get("scaled") == 0 or one.method == "whole":
            model = extract(whole, one.mask)
        elif model_name(one) in kept:
            model = load_model(pruned / "pruned" / model_name(one))
            seen.add(model_name(one))
        else:
            continue
        for split, row in ((task.selection, one), (task.report["validation"], report[one.model])):
            assert row.values["error"] == model_error(model, split, task.metric, pad_token_id=task.pad_token_id)
        structured = one.weights != "native"
        assert ("latency_ms" in report[one.model].values) == structured
        if structured:
            values = report[one.model].values
            assert 0 < values["latency_low_ms"] <= values["latency_ms"] <= values["latency_high_ms"]
    assert seen == kept
    with Archive(pruned / "archive.db") as archive:
        fronts = [
            one
            for k in ("finetuned", "native")
            for c in (*OBJECTIVES, "nonzero")
            for one in archive.front(("error", c), weights=k)
        ]
    assert kept == {model_name(one) for one in fronts if one.values.get("scaled") or one.weights == "native"}


def test_what_was_searched_for_is_shown_as_before(pruned, finished, call):
    for arguments in (["front", "--json"], ["pick", "--error", "0.6", "--as-measured", "--json"]):
        before, after = (call(arguments[0], run, *arguments[1:]).out for run in (finished, pruned))
        assert json.loads(before) == json.loads(after)
    from secateur.run.report.report import report_facts

    found = []
    for run in (finished, pruned):
        folder = RunFolder.open(run)
        with Archive(run / "archive.db") as archive:
            facts = report_facts(folder, archive)
        searched = [point for point in facts.points if point.model.weights == "supernet"]
        found.append((searched, facts.hypervolumes, facts.curves, facts.approaches, facts.stages))
    assert found[0] == found[1]
    assert {point.layer for point in facts.points} == {"none", "native"}


def test_fronts_of_pruned_models(pruned, call, fails):
    for against in ("encoder_parameters", "latency_ms"):
        points = json.loads(call("front", pruned, "--json", "--weights", "finetuned", "--against", against).out)
        assert {point["method"] for point in points} <= {*METHODS[:-1], "whole"}
        assert all(point["latency_ms"] > 0 and point["nonzero"] is None for point in points)
    (zeros, *_) = json.loads(call("front", pruned, "--json", "--weights", "native", "--against", "nonzero").out)
    assert (zeros["method"], zeros["latency_ms"], zeros["parameters"]) == ("deepcuts_magnitude", None, None)
    assert "non-zero" in call("front", pruned, "--weights", "native", "--against", "nonzero").out
    for against in ("encoder_parameters", "macs", "latency_ms"):
        message = fails("front", pruned, "--weights", "native", "--against", against)
        assert message.endswith(f"has {against}; add --against nonzero")
    message = fails("front", pruned, "--weights", "recovered")
    assert message.endswith(f"run `secateur compare {pruned} --recover-epochs 1` for them")


LOAD = """
import sys, torch, secateur
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
print(model(torch.tensor([[2, 5, 6, 3]])).logits.tolist())
"""


def test_extracted_models_load_in_a_new_process(pruned, call, fails, tmp_path):
    best = json.loads(call("front", pruned, "--json", "--weights", "native", "--against", "nonzero").out)[0]
    kcm = next(one for one in rows(pruned, method="kcm") if (pruned / "pruned" / model_name(one)).is_dir())
    for key, kind, method, density in (
        (kcm.key, "finetuned", "kcm", kcm.recipe["density"]),
        (best["key"], "native", best["method"], best["density"]),
    ):
        options = ["--key", key, "--weights", kind, "--method", method, "--density", density]
        assert call("extract", pruned, *options, "--to", tmp_path / method).code == 0
    result = subprocess.run([sys.executable, "-c", LOAD, tmp_path / "kcm"], capture_output=True, text=True, check=True)
    expected = load_model(pruned / "pruned" / model_name(kcm))(torch.tensor([[2, 5, 6, 3]])).logits
    assert json.loads(result.stdout)[0] == pytest.approx(expected[0].tolist())
    plain = extract(load_model(pruned / "finetuned"), kcm.mask)(torch.tensor([[2, 5, 6, 3]])).logits
    assert not torch.allclose(plain, expected)  # its scales are in it
    card = " ".join((tmp_path / "kcm/README.md").read_text().split())
    assert f"kcm for a density of {kcm.recipe['density']:g} (encoder_parameters), seed 0" in card
    zeros = AutoModelForSequenceClassification.from_pretrained(tmp_path / best["method"])
    weight = zeros.get_submodule("bert.encoder.layer.0.attention.self.query").weight
    assert float((weight != 0).float().mean()) == pytest.approx(best["density"], abs=0.05)
    message = fails("extract", pruned, "--key", kcm.key, "--weights", "finetuned", "--method", "rank_fisher")
    assert message.startswith(f"{kcm.key} with finetuned weights was made by kcm at {kcm.recipe['density']:g}; give")


def test_what_is_there_is_skipped_and_the_same_seed_gives_the_same(pruned, finished, tmp_path, call):
    run = shutil.copytree(finished, tmp_path / "run")
    assert call(*command(run, methods=METHODS[:3], densities=DENSITIES[:1])).code == 0
    before = rows(run)
    result = call(*command(run))
    assert [line for line in result.err.splitlines() if "already" in line] == [
        f"{method} at 0.9: in the archive already" for method in METHODS[:3]
    ]
    assert rows(run)[: len(before)] == before
    assert unclocked(rows(run) + rows(run, "report")) == unclocked(rows(pruned) + rows(pruned, "report"))
    weights = [sorted(path.rglob("*.safetensors")) for path in (run / "pruned", pruned / "pruned")]
    for mine, others in zip(*weights, strict=True):
        assert mine.read_bytes() == others.read_bytes()
    assert call(*command(run, "--seed", "1", methods=["rank_random"])).code == 0
    other = [one for one in rows(run, method="rank_random") if one.seed == 1]
    assert {one.key for one in other} & {one.key for one in rows(pruned, method="rank_random")} == set()


def test_other_costs_texts_and_the_supernet(pruned, tmp_path, call, fails):
    run = shutil.copytree(pruned, tmp_path / "run")
    options = ["--cost", "macs", "--texts", "20", "--from", "supernet"]
    assert call(*command(run, *options, methods=["kcm"], densities=[0.8])).code == 0
    (one,) = rows(run, weights="supernet-pruned")
    assert one.recipe == {"density": 0.8, "cost": "macs", "from": "supernet", "texts": 20}
    assert one.values["texts"] == 20
    (whole,) = rows(run, method="whole")
    head = 16 * 16 + 16 * 2  # of the classifier, which no mask makes smaller
    assert (one.values["macs"]) <= 0.8 * whole.values["macs"]
    assert one.values["macs"] > 0.75 * whole.values["macs"] - head
    message = fails(*command(run, "--cost", "latency_ms", methods=["deepcuts_magnitude"]))
    assert "cannot be a share of another cost; leave the cost out" in message


def test_before_any_supernet_and_then_a_search(finished, tmp_path, call, fails):
    run = shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("archive.db", "latency"))
    content = record(run)
    del content["stages"]["search"]
    kept = content["stages"].pop("supernet")
    (run / "run.json").write_text(json.dumps(content))
    (run / "supernet").rename(tmp_path / "supernet")
    assert call(*command(run, methods=["rank_magnitude"], densities=[0.8])).code == 0
    assert len(rows(run, "report")) == 2
    message = fails(*command(run, "--from", "supernet", methods=["kcm"]))
    assert message == f"{run} has no supernet stage yet; run `secateur supernet` on it first"
    assert call("extract", run, "--key", rows(run)[1].key, "--weights", "finetuned").code == 0
    assert json.loads(call("front", run, "--json", "--weights", "finetuned", "--shares", "1").out)
    (tmp_path / "supernet").rename(run / "supernet")
    content = record(run)
    content["stages"]["supernet"] = kept
    (run / "run.json").write_text(json.dumps(content))
    message = fails("search", run, "--search-budget", "2", "--search-latency-batch-size", "2")
    assert "these would be of" in message
    dtype = record(run)["basis"]["dtype"]
    other = "bfloat16" if dtype == "float32" else "float32"
    assert f"were computed in {dtype}, these would be in {other}" in fails("search", run, "--search-precision", other)
    assert call("search", run, "--search-budget", "2").code == 0
    assert json.loads(call("front", run, "--json").out)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--method", "luck"], "unknown pruner 'luck'; known: block_lasso, cofi, deepcuts_cam, "),
        (["--method", "kcm,"], "unknown pruner ''; known: "),
        (["--density", "1.5"], "--density needs numbers above 0 and at most 1, such as 0.9,0.6; got '1.5'"),
        (["--density", "0.9,0"], "--density needs numbers above 0 and at most 1, such as 0.9,0.6; got '0'"),
        (["--density", "half"], "--density needs numbers above 0 and at most 1, such as 0.9,0.6; got 'half'"),
        (["--density", "nan"], "--density needs numbers above 0 and at most 1, such as 0.9,0.6; got 'nan'"),
        (["--density", "0.9,0.2"], "kcm cannot go below a density of 0."),
        (["--texts", "0"], "--texts: Input should be greater than or equal to 1, got 0"),
        (["--seed", "-1"], "--seed: Input should be greater than or equal to 0, got -1"),
    ],
)
def test_bad_input_is_named_before_anything_is_done(finished, copied, fails, options, expected):
    given = {"--method": "kcm", "--density": "0.9", **dict(zip(options[::2], options[1::2], strict=True))}
    message = fails("prune", copied, *(part for pair in given.items() for part in pair))
    assert message.startswith(expected)
    assert len(rows(copied)) == 0
    assert "prune" not in record(copied)["stages"]


def test_bad_choices(finished, fails, call):
    assert "'pretrained'" in fails(*command(finished, "--from", "pretrained"))
    assert "'memory'" in fails(*command(finished, "--cost", "memory"))
    assert "Missing option '--density'" in fails("prune", finished, "--method", "kcm")
    assert "Missing option '--method'" in message_of(call("prune", finished, "--density", "0.5"))


def test_labels_that_are_missing():
    task = toy.toy_task()
    unlabelled = replace(task, train=replace(task.train, labels=np.where(np.arange(50) < 3, -1, task.train.labels)))
    for name in PRUNERS:
        check_labels_are_there(make_pruner(name), task)
    for name in ("kcm", "rank_magnitude", "layer_drop_top"):
        check_labels_are_there(make_pruner(name), unlabelled)
    for name in ("mask_tuning", "rank_fisher", "deepcuts_cam"):
        with pytest.raises(InputError, match=rf"{name} needs labels, but 3 of the 50 training texts of toy have none;"):
            check_labels_are_there(make_pruner(name), unlabelled)
    numbers = replace(task, kind=KINDS["regression"], train=replace(task.train, labels=np.full(50, np.nan, np.float32)))
    with pytest.raises(InputError, match="50 of the 50 training texts"):
        check_labels_are_there(make_pruner("rank_cam"), numbers)


def test_few_texts_are_drawn_by_the_seed():
    task = toy.toy_task()
    some = seen_by(task, 7, 0)
    assert len(some.train) == 7
    assert {tuple(ids) for ids in some.train.input_ids} <= {tuple(ids) for ids in task.train.input_ids}
    assert seen_by(task, 7, 1).train.labels.tolist() != some.train.labels.tolist()
    assert seen_by(task, None, 0) is seen_by(task, 500, 0) is task


@pytest.mark.parametrize("method", ["kcm", "mask_tuning", "rank_random", "layer_drop_top"])
def test_a_model_that_computes_something_else_is_refused(method):
    supernet, task = Supernet(tiny_model("bert")), toy.toy_task()
    pruned = make_pruner(method).prune(supernet, task, 0.8, np.random.default_rng(0))
    assert check_pruned(supernet, task, pruned) == (method in ("kcm", "mask_tuning"))
    with torch.no_grad():
        pruned.model.get_submodule("bert.encoder.layer.0.intermediate.dense").bias.add_(0.5)
    with pytest.raises(RuntimeError, match="disagrees with its subnetwork"):
        check_pruned(supernet, task, pruned)


def test_seconds_of_killed_attempts_are_counted(tmp_path):
    path = tmp_path / "job/seconds"
    with Stopwatch(path) as watch:
        while not path.is_file():  # another thread writes it
            time.sleep(0.01)
    assert 0 < float(path.read_text().split()[0]) <= watch.seconds
    path.write_text("41.5")
    with Stopwatch(path, before=12.0) as again:
        assert again.before == 41.5
    assert 41.5 <= float(path.read_text().split()[0]) <= again.seconds
    path.write_text(f"9{path.read_text()}")
    with pytest.raises(InputError, match="seconds is damaged; delete it, and the time of the attempts before"):
        Stopwatch(path)
