"""`secateur compare` on a tiny run: every method in its layer, recovered alike, resumable."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from secateur.cli import run_command
from secateur.evaluation.archive import Archive
from secateur.evaluation.model_error import model_error, model_outputs
from secateur.run.folder import RunFolder
from secateur.run.model import model_name
from secateur.run.project import load_supernet, open_task
from secateur.run.ship.refit import whole_sums
from secateur.searchers import AUTO
from secateur.supernet.extraction import extract
from secateur.supernet.refit import refit
from secateur.supernet.shipping.checkpoint import card_of
from secateur.supernet.stored.storage import load_model
from secateur.supernet.training.recovery import recover
from secateur.supernet.training.settings import RecoverySettings

from .conftest import archive_rows, message_of, record

SHORT = "equal short recovery: 0.5 epochs of distillation"
NAS = f"nas ({AUTO})"
PRUNE = ["--method", "kcm,rank_magnitude", "--density", "0.9,0.7"]
SECOND = ["--method", "kcm", "--density", "0.7", "--seed", "1"]
LAYERS = {"none": "finetuned", "refitted": "refitted", "recovered": "recovered", "native": "native"}


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory) -> Path:
    """A run that was searched, pruned with two seeds, refitted and recovered; tests must leave it as it is."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("compared") / "run")
    assert run_command(["prune", str(run), *PRUNE]) == 0
    assert run_command(["prune", str(run), *SECOND]) == 0
    assert run_command(["prune", str(run), "--method", "deepcuts_magnitude", "--density", "0.7"]) == 0
    assert run_command(["compare", str(run), "--recover-epochs", "0.5"]) == 0
    return run


@pytest.fixture
def points(compared, call) -> list[dict]:
    return json.loads(call("compare", compared, "--json").out)


def selection(run: Path, **conditions) -> list:
    with Archive(run / "archive.db") as archive:
        return archive.evaluations(split="selection", **conditions)


def test_layers_are_never_mixed(points):
    of = {layer: {p["method"] for p in points if p["layer"] == layer} for layer in LAYERS}
    assert of["none"] == of["recovered"] == of["refitted"] | {"whole"} == {"whole", NAS, "kcm", "rank_magnitude"}
    assert of["native"] == {"deepcuts_magnitude"}
    for p in points:
        assert p["weights"] == ("supernet" if (p["method"], p["layer"]) == (NAS, "none") else LAYERS[p["layer"]])
        assert p["epochs"] == {"none": 0, "refitted": 0, "recovered": 0.5}.get(p["layer"], p["epochs"])
        if p["layer"] == "native":
            assert (p["axis"], p["latency_ms"], p["macs"], p["encoder_parameters"]) == ("nonzero", None, None, None)
        else:
            assert p["axis"] == "encoder_parameters"
            assert 0 < p["latency_low_ms"] <= p["latency_ms"] <= p["latency_high_ms"]
        assert p["share"] <= p["density"] + 1e-9
    seeds = {(p["method"], p["layer"], p["seed"], p["density"]) for p in points if p["method"] == "kcm"}
    made = ((0, 0.9), (0, 0.7), (1, 0.7))
    assert seeds == {("kcm", layer, *one) for layer in ("none", "refitted", "recovered") for one in made}


def test_points_are_what_the_archive_says(compared, points):
    stages, task = record(compared)["stages"], open_task(RunFolder.open(compared))
    train, held_out = len(task.train), len(task.selection)
    with Archive(compared / "archive.db") as archive:
        report = {one.model: one for one in archive.evaluations(split="report")}
    supernet = stages["supernet"]["seconds"] + stages["search"]["seconds"]
    whole = next(p for p in points if p["method"] == "whole")["encoder_parameters"]
    for p in (p for p in points if p["method"] not in ("whole", NAS)):
        (one,) = (
            row
            for row in selection(compared, weights=p["weights"], method=p["method"])
            if row.seed == p["seed"] and row.recipe["density"] == p["density"]
        )
        assert (p["key"], p["error_selection"]) == (one.key, pytest.approx(one.values["error"], rel=1e-5))
        assert p["error_report"] == report[one.model].values["error"]
        shared = one.values.get("shared_seconds", 0)
        assert (shared > 0) == (p["layer"] in ("refitted", "recovered"))
        assert (p["seconds"], p["shared_seconds"]) == pytest.approx((one.seconds + shared, shared), rel=1e-5)
        labels = {"none": 0, "refitted": 0, "recovered": round(train / 2), "native": train}
        assert p["texts"] >= min(train, 512) or p["layer"] in ("none", "native")
        assert p["labels"] == labels[p["layer"]]
    searched = selection(compared, weights="supernet")
    for p in (p for p in points if p["method"] == NAS):
        assert (p["labels"], p["texts"]) == (train + held_out, train + held_out)
        if p["layer"] == "none":
            assert p["shared_seconds"] == pytest.approx(supernet, rel=1e-5)
            within = [one for one in searched if one.values["encoder_parameters"] <= p["density"] * whole]
            assert p["error_selection"] == pytest.approx(min(one.values["error"] for one in within), rel=1e-5)
            assert p["seconds"] == pytest.approx(supernet, rel=1e-5)
        else:
            assert p["seconds"] > supernet


def test_refitted_and_recovered_models_are_made_of_what_was_cut_out(compared):
    """Done once more here; the archive's errors and the kept weights come out."""
    folder = RunFolder.open(compared)
    task, whole = open_task(folder), load_supernet(compared / "finetuned")
    teacher = model_outputs(whole.model, task.train, pad_token_id=task.pad_token_id)
    sums = {source: whole_sums(source, task, 0) for source in (whole, load_supernet(compared / "supernet"))}
    rows = []
    for weights in ("refitted", "recovered"):
        there = selection(compared, weights=weights)
        rows += [one for one in there if one.method in ("rank_magnitude", "whole")]
        rows.append(next(one for one in there if one.method == AUTO))
    assert len(rows) == 7
    for one in rows:
        source = [*sums][one.method == AUTO]
        model = extract(source.model, one.mask)
        if one.method != "whole":
            assert one.recipe["refit"] == 512
            refit(model, one.mask, sums[source])
        if one.weights == "recovered":
            recover(model, task, teacher, RecoverySettings(epochs=0.5), seed=one.seed)
        error = model_error(model.eval(), task.selection, task.metric, pad_token_id=task.pad_token_id)
        assert one.values["error"] == error
        kept = compared / "pruned" / model_name(one)
        if kept.is_dir():
            stored, inputs = load_model(kept), {"pad_token_id": task.pad_token_id}
            found, expected = (model_outputs(m, task.selection, **inputs) for m in (stored, model))
            np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)
    assert [one for one in rows if (compared / "pruned" / model_name(one)).is_dir()]
    assert not (compared / "recover.state").exists()


def test_tables_page_and_picture(compared, call):
    result = call("compare", compared)
    text = " ".join(result.out.split())  # folded at spaces
    for title in ("no recovery", "refit", f"{SHORT} after the refit", "native recipe"):
        assert f"{title}, error = 1 - accuracy" in text
    assert "kcm, 2 seeds" in text
    assert "deepcuts_magnitude (non-zero weights)" in text
    page = (compared / "report.html").read_text(encoding="utf-8")
    for method in (NAS, "kcm", "rank_magnitude", "deepcuts_magnitude"):
        assert f' value="{method}">' in page  # in the legend, with what it took
    for fact in ("one for all", "held out of it", "end to end", "All methods at equal budgets"):
        assert fact in page
    assert (compared / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_budgets_can_be_chosen(compared, call, fails):
    points = json.loads(call("compare", compared, "--density", "0.7", "--json").out)
    assert {p["density"] for p in points} == {0.7, 1.0}
    assert {p["method"] for p in points if p["density"] == 1} == {"whole"}
    points = json.loads(call("compare", compared, "--density", "0.5", "--json").out)
    assert {p["method"] for p in points} == {"whole", NAS}  # a search has a model within any budget
    assert fails("compare", compared, "--density", "0.9,x").startswith("--density needs numbers above 0")
    message = fails("compare", compared, "--recover-epochs", "0")
    assert message == "--recover-epochs: Input should be greater than 0, got 0.0"
    message = fails("compare", compared, "--recover", "4", "--recover-epochs", "0.5")
    assert message == "--recover and --recover-epochs are two ways to say how long; give one"


def test_another_recovery_is_not_mixed_in(compared, tmp_path, call):
    run = shutil.copytree(compared, tmp_path / "run")
    options = ["--density", "0.7", "--recover-epochs", "0.25", "--json"]
    points = json.loads(call("compare", run, *options).out)
    assert {p["epochs"] for p in points if p["layer"] == "recovered"} == {0.25}
    again = call("compare", run, *options)
    assert "models are in the archive already" in again.err
    assert json.loads(again.out) == points
    later = json.loads(call("compare", run, "--density", "0.7", "--json").out)
    assert {p["epochs"] for p in later if p["layer"] == "recovered"} == {0.5}
    plain = json.loads(call("compare", run, *options, "--no-refit").out)
    assert {p["layer"] for p in plain} == {"none", "recovered", "native"}
    assert not any(p in points for p in plain if p["layer"] == "recovered" and p["method"] != "whole")
    assert json.loads(call("compare", run, *options).out) == points
    text = " ".join(call("compare", run, "--density", "0.7", "--no-refit").out.split())  # as long as it was begun
    assert text.count(f"{SHORT[:20]}: 0.25 epochs of distillation, error = ") == 1
    assert SHORT not in text


def test_what_began_without_a_refit_is_shown_until_there_is_better(finished, tmp_path, call):
    run = shutil.copytree(finished, tmp_path / "run")
    assert call("compare", run, "--recover-epochs", "0.25", "--no-refit").code == 0
    assert {one.weights for one in selection(run)} == {"supernet", "finetuned", "recovered"}
    layers = {p["layer"] for p in json.loads(call("compare", run, "--json").out)}
    assert layers == {"none", "refitted", "recovered"}
    text = " ".join(call("compare", run).out.split())
    assert "0.25 epochs of distillation, error" in text
    text = " ".join(call("compare", run, "--recover-epochs", "0.1").out.split())
    assert "0.1 epochs of distillation after the refit, error" in text
    text = " ".join(call("compare", run).out.split())
    assert "0.1 epochs of distillation after the refit, error" in text


def test_recovered_models_are_on_fronts_of_their_own_and_extracted(compared, call, tmp_path):
    points = json.loads(call("front", compared, "--weights", "recovered", "--json").out)
    assert {p["weights"] for p in points} == {"recovered"}
    best = points[0]
    options = ["--key", best["key"], "--weights", "recovered", "--method", best["method"]]
    assert call("extract", compared, *options, "--to", tmp_path / "model").code == 0
    card = (tmp_path / "model/README.md").read_text()
    assert "a refit and distilled from the fine-tuned model for 0.5 epochs" in " ".join(card.split())


def test_a_refitted_model_is_extracted(compared, call, tmp_path):
    best = json.loads(call("front", compared, "--weights", "refitted", "--json").out)[0]
    options = ["--key", best["key"], "--weights", "refitted", "--to", tmp_path / "model"]
    assert call("extract", compared, *options).code == 0
    assert "outgoing maps were solved for anew" in " ".join((tmp_path / "model/README.md").read_text().split())
    task, model = open_task(RunFolder.open(compared)), load_model(tmp_path / "model")
    error = model_error(model, task.selection, task.metric, pad_token_id=task.pad_token_id)
    assert best["error_selection"] == pytest.approx(error, rel=1e-5)


def test_extract_refits_if_it_is_asked_to(compared, call, tmp_path):
    task = open_task(RunFolder.open(compared))
    row = next(one for one in selection(compared, method="rank_magnitude") if one.weights == "finetuned")
    (after,) = (one for one in selection(compared, weights="refitted", method=row.method) if one.key == row.key)
    errors = {}
    for word in ("--no-refit", "--refit"):
        to = tmp_path / word
        options = ["--key", row.key, "--weights", "finetuned", "--method", row.method, "--to", to]
        assert call("extract", compared, *options, word).code == 0
        errors[word] = model_error(load_model(to), task.selection, task.metric, pad_token_id=task.pad_token_id)
        assert card_of(to).selection == pytest.approx(1 - errors[word])
        assert ("Refit" in card_of(to).sections) == (word == "--refit")
    assert errors["--no-refit"] == row.values["error"]
    assert errors["--refit"] == min(row.values["error"], after.values["error"])


def test_densities_that_nothing_has(compared, tmp_path, fails):
    run = shutil.copytree(compared, tmp_path / "run")
    with sqlite3.connect(run / "archive.db") as db:
        db.execute("DELETE FROM evaluations WHERE recipe = '{}' AND method != 'whole' OR method IN (?)", (AUTO,))
    db.close()
    message = fails("compare", run, "--density", "0.8")
    assert message == f"no method has a model of {run} at a density of 0.8; it was pruned at 0.9, 0.7"


def test_nothing_to_compare(inputs, finished, tmp_path, fails, call):
    out = tmp_path / "run"
    assert call("finetune", *inputs.project(out), "--finetune-epochs", "0.1").code == 0
    expected = (
        f"{out} has nothing to compare yet; run `secateur prune {out} --method kcm,mask_tuning --density 0.8,0.6` or "
        f"`secateur search {out}` first"
    )
    assert fails("compare", out) == expected
    with Archive(out / "archive.db"):
        pass
    assert message_of(call("compare", out, "--recover-epochs", "1")) == expected
    searched = json.loads(call("compare", shutil.copytree(finished, tmp_path / "searched"), "--json").out)
    assert {(p["method"], p["layer"]) for p in searched} == {("whole", "none"), (NAS, "none"), (NAS, "refitted")}


def count(run: Path, weights: str) -> int:
    try:
        with sqlite3.connect(f"file:{run / 'archive.db'}?mode=ro", uri=True, timeout=0.1) as db:
            query = "SELECT count(*) FROM evaluations WHERE weights = ? AND split = 'report'"
            return db.execute(query, (weights,)).fetchone()[0]
    except sqlite3.Error:  # being written
        return -1
    finally:
        db.close()


def test_killed_at_any_moment_it_is_the_same(compared, launcher, tmp_path):
    """What two methods pruned and all that was recovered is taken away, and made again with a kill in between."""
    run = shutil.copytree(compared, tmp_path / "run")
    with sqlite3.connect(run / "archive.db") as db:
        db.execute(
            "DELETE FROM evaluations WHERE weights IN ('refitted', 'recovered') OR method IN ('rank_magnitude', 'kcm')"
        )
        db.execute("DELETE FROM objective_values WHERE evaluation NOT IN (SELECT id FROM evaluations)")
    db.close()
    shutil.rmtree(run / "pruned")
    prune, second = ["prune", str(run), *PRUNE], ["prune", str(run), *SECOND]
    assert launcher.run(prune, lambda: count(run, "finetuned") == 3) == -signal.SIGKILL, launcher.log.read_text()
    for command in (prune, second):
        assert launcher.run(command) == 0, launcher.log.read_text()
    recover = ["compare", str(run), "--recover-epochs", "0.5"]
    assert launcher.run(recover, lambda: count(run, "refitted") == 2) == -signal.SIGKILL, launcher.log.read_text()
    assert launcher.run(recover, lambda: count(run, "recovered") == 2) == -signal.SIGKILL, launcher.log.read_text()
    assert (run / "recover.state/teacher.npy").exists()
    assert launcher.run(recover) == 0, launcher.log.read_text()
    assert sorted(archive_rows(run), key=repr) == sorted(archive_rows(compared), key=repr)
    names = [{path.name for path in (one / "pruned").iterdir() if "native" not in path.name} for one in (run, compared)]
    assert names[0] == names[1]
    assert not (run / "recover.state").exists()
