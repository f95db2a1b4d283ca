"""`search --weights solved`: subnetworks of the fine-tuned model with solved outgoing maps, from start to end."""

import json
import shutil

import numpy as np
import pytest
import torch
from secateur import Run
from secateur.cli import run_command
from secateur.digests import seal
from secateur.evaluation.archive import Archive
from secateur.evaluation.evaluation import REPORT, SELECTION
from secateur.evaluation.evaluator import Pass
from secateur.evaluation.model_error import model_error, model_outputs
from secateur.evaluation.weights import Layer, Weights
from secateur.run.folder import RunFolder
from secateur.run.model import open_subnet
from secateur.run.project import load_solved, load_supernet, open_encoder, open_task
from secateur.run.settings import SearchSettings
from secateur.run.stages.workers import _recipe
from secateur.search_space import SubnetMask
from secateur.supernet.stored.storage import load_model

from .conftest import FINETUNE, archive_rows, record

SOLVED = ["--weights", "solved", "--budget", "6", "--precision", "float32"]


@pytest.fixture(scope="module")
def alone(inputs, tmp_path_factory):
    """A run without a supernet, searched."""
    out = tmp_path_factory.mktemp("solved") / "run"
    assert run_command(["finetune", *inputs.project(out), *FINETUNE]) == 0
    assert run_command(["search", str(out), *SOLVED]) == 0
    return out


@pytest.fixture(scope="module")
def both(finished, tmp_path_factory):
    """A run whose supernet was searched, and then solved weights."""
    out = shutil.copytree(finished, tmp_path_factory.mktemp("solved") / "both")
    assert run_command(["search", str(out), *SOLVED]) == 0
    return out


def test_no_supernet_is_needed(alone):
    stages = record(alone)["stages"]
    assert list(stages) == ["finetune", "solved", "solved_search"]
    assert not (alone / "supernet").exists()
    with Archive(alone / "archive.db") as archive:
        rows = archive.evaluations()
    assert {row.weights for row in rows} == {Weights.SOLVED}
    assert {row.weights.layer for row in rows} == {Layer.REFITTED}
    assert {row.split for row in rows} == {SELECTION, REPORT}
    assert sum(row.asked for row in rows if row.split == SELECTION) == 6


def test_the_model_is_the_fine_tuned_one_in_another_order(alone):
    task, folder = open_task(RunFolder.open(alone)), RunFolder.open(alone)
    nets = load_supernet(folder.finetuned), load_solved(folder.solved, torch.device("cpu"))
    outputs = [model_outputs(net.model, task.selection, pad_token_id=task.pad_token_id) for net in nets]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)
    first, second = ([*net.parameters.values()] for net in nets)
    assert any(not torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert nets[1].layer_order is not None


def test_models_have_the_weights_that_were_evaluated(alone):
    folder = RunFolder.open(alone)
    task = open_task(folder)
    with Archive(folder.archive) as archive:
        rows = [row for row in archive.evaluations(split=SELECTION) if not row.mask.is_full]
    assert len({row.values["error"] for row in rows}) > 1
    for row in rows:
        model = open_subnet(folder, open_encoder(folder), row)
        found = model_error(model, task.selection, task.metric, pad_token_id=task.pad_token_id)
        assert found == pytest.approx(row.values["error"], abs=1.5 / len(task.selection))  # a text may lie on the edge


def test_a_search_that_is_complete_is_not_repeated(alone, call):
    before = archive_rows(alone)
    result = call("search", alone, *SOLVED)
    assert "search: complete" in result.err + result.out
    assert archive_rows(alone) == before


def test_the_same_seed_finds_the_same_and_a_longer_search_goes_on(alone, inputs, tmp_path, call):
    other = tmp_path / "other"
    assert call("finetune", *inputs.project(other), *FINETUNE).code == 0
    assert call("search", other, *SOLVED[:2], "--budget", "3", "--precision", "float32").code == 0
    assert call("search", other, *SOLVED[:2], "--budget", "6").code == 0
    one, two = (sorted(archive_rows(run, SELECTION), key=str) for run in (alone, other))
    assert one == two


def test_front_pick_extract_and_export(alone, call, tmp_path):
    front = json.loads(call("front", alone, "--weights", "solved", "--json").out)
    assert {model["weights"] for model in front} == {"solved"}
    smallest = min(front, key=lambda model: model["encoder_parameters"])
    assert call("extract", alone, "--key", smallest["key"], "--to", tmp_path / "cut").code == 0
    folder = RunFolder.open(alone)
    with Archive(folder.archive) as archive:
        row = next(row for row in archive.evaluations(split=SELECTION) if row.key == smallest["key"])
    expected = dict(open_subnet(folder, open_encoder(folder), row).named_parameters())
    for name, parameter in load_model(tmp_path / "cut").named_parameters():
        assert torch.equal(parameter, expected[name])
    assert "outgoing maps of what is left" in (tmp_path / "cut" / "README.md").read_text()
    picked = json.loads(call("pick", alone, "--encoder-parameters", "5000", "--as-measured", "--json").out)
    assert picked["chosen"]["weights"] == "solved"
    exported = call("export", alone, "--key", smallest["key"], "--to", tmp_path / "out", "--json")
    assert exported.code == 0, exported.err


def test_both_kinds_of_weights_in_one_run(both, finished, call):
    before, after = archive_rows(finished), archive_rows(both)
    assert after[: len(before)] == before
    assert {row[7] for row in after[len(before) :]} == {"solved"}
    for weights in ("supernet", "solved"):
        models = Run(both).front(weights=weights).models
        assert {model.weights for model in models} == {Weights(weights)}
    assert {"solved", "solved_search", "supernet", "search"} <= record(both)["stages"].keys()


def test_compare_and_report(both, tmp_path, call):
    run = shutil.copytree(both, tmp_path / "run")
    result = call("compare", run, "--density", "0.6", "--recover-epochs", "0.25", "--json")
    assert result.code == 0, result.err
    methods = {(point["layer"], point["method"]) for point in json.loads(result.out)}
    assert {"none", "refitted", "recovered"} <= {layer for layer, _ in methods}
    solved = sorted(layer for layer, method in methods if method.startswith("solved nas ("))
    assert solved == ["recovered", "refitted"]
    assert call("report", run).code == 0
    assert "solved nas (" in (run / "report.html").read_text()


def test_workers_run_the_same_weights(alone):
    folder = RunFolder.open(alone)
    task = open_task(folder)
    recipe = _recipe(folder, task, SearchSettings(weights="solved", precision="float32"))
    with Archive(folder.archive) as archive:
        row = next(row for row in archive.evaluations(split=SELECTION) if row.asked and not row.mask.is_full)
    outcomes = recipe()(Pass(row.mask, (row.mask.depth,), None))
    assert outcomes.of[SELECTION][row.mask.depth].error == row.values["error"]


def test_racing_and_a_warm_start_from_blocks(alone, tmp_path, call):
    run = shutil.copytree(alone, tmp_path / "run")
    options = ["--racing", "--warm-start", "3", "--warm-from", "blocks", "--space", "medium", "--budget", "5"]
    result = call("search", run, "--weights", "solved", *options)
    assert result.code == 0, result.err
    with Archive(run / "archive.db") as archive:
        assert {row.space for row in archive.evaluations(split=SELECTION)} == {"small", "medium"}


def test_what_cannot_be_searched(alone, both, fails, tmp_path):
    message = fails("search", alone, "--weights", "solved", "--searcher", "moasha")
    assert message.startswith("standard NAS (moasha) trains its candidates; give")
    assert "huge" in fails("search", alone, "--weights", "solved", "--space", "huge")
    message = fails("search", both, "--weights", "supernet", "--space", "medium")
    assert message.startswith("the supernet is for the space small, not medium; give ")
    run = shutil.copytree(alone, tmp_path / "run")
    changed = load_model(run / "solved")
    with torch.no_grad():
        next(changed.parameters()).add_(1)
    changed.save_pretrained(run / "solved")
    message = fails("search", run, *SOLVED[:2], "--budget", "9")
    assert message.startswith(f"{run / 'solved' / 'model.safetensors'} is damaged: it is not the file that was written")
    seal(run / "solved")
    message = fails("search", run, *SOLVED[:2], "--budget", "9")
    assert "holds evaluations of other solved weights than those of" in message
    (run / "solved" / "products.safetensors").write_bytes(b"damaged")
    seal(run / "solved")
    assert "cannot read the products of units in" in fails("search", run, *SOLVED[:2], "--budget", "9")


def test_a_lost_folder_is_made_again_the_same(alone, tmp_path, call):
    run = shutil.copytree(alone, tmp_path / "run")
    shutil.rmtree(run / "solved")
    assert call("search", run, *SOLVED[:2], "--budget", "7").code == 0
    with Archive(run / "archive.db") as archive:
        assert sum(row.asked for row in archive.evaluations(split=SELECTION)) == 7


def test_the_python_api(inputs, alone, tmp_path):
    run = Run(shutil.copytree(alone, tmp_path / "run"))
    run.search(weights="solved", budget=8)
    models = run.front(weights="solved").models
    full = SubnetMask.full(run.folder and open_encoder(run.folder).shape).key
    assert full in {model.key for model in models} | {run.front(shares="1/1").models[0].key}
