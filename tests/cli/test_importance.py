"""A supernet sorted by importance, and a search that begins with its uniform cuts."""

import json

import numpy as np
import pytest
from secateur.cli import run_command
from secateur.evaluation.archive import Archive
from secateur.evaluation.objectives import encoder_parameters
from secateur.pruners.block_losses import BlockLosses
from secateur.run.folder import RunFolder
from secateur.run.project import load_supernet, open_supernet, open_task
from secateur.search_space import UnitScores
from secateur.supernet.extraction import extract
from secateur.supernet.supernet import LAYER_ORDER
from secateur.tests.cli.conftest import SEARCH, archive_rows, record
from transformers import AutoModelForSequenceClassification


def weights(path, name: str):
    return AutoModelForSequenceClassification.from_pretrained(path).get_parameter(name).detach().numpy()


def test_a_supernet_is_sorted_by_default_and_its_scores_are_kept(finished):
    assert record(finished)["stages"]["supernet"]["settings"]["importance"] == "gradient"
    scores = UnitScores.load(finished / "importance" / "gradient.npz")
    assert scores.neurons.shape == (3, 24)
    name = "bert.encoder.layer.0.output.dense.weight"
    before, after = (weights(finished / stage, name) for stage in ("finetuned", "supernet"))
    # Training moves a column far less than columns lie apart: each is nearest to the one it came from.
    apart = np.linalg.norm(after[:, :, None] - before[:, None, :], axis=0)
    assert np.mean(apart.argmin(axis=1) == scores.neuron_order[0]) > 0.9
    assert not np.array_equal(scores.neuron_order[0], np.arange(24))


def test_layers_are_kept_in_the_order_that_was_measured(finished):
    """It is stored with the supernet, searched by, and not handed on to what is cut out."""
    order = json.loads((finished / "importance" / "layers.json").read_text())["values"]
    assert sorted(order) == [0, 1, 2]
    supernet = load_supernet(finished / "supernet")
    assert supernet.layer_order == tuple(order)
    with Archive(finished / "archive.db") as archive:
        found = [one.mask for one in archive.evaluations(split="selection") if one.asked]
    counted = [np.flatnonzero(mask.heads_per_layer).tolist() for mask in found]
    assert all(layers == sorted(order[: len(layers)]) for layers in counted)
    assert {len(layers) for layers in counted} > {3}
    assert not hasattr(extract(supernet.model, found[0]).config, LAYER_ORDER)


def test_an_unknown_importance_is_refused_before_anything_is_computed(copied, fails):
    message = fails("supernet", copied, "--importance", "fischer")
    assert "unknown importance 'fischer'" in message
    assert "fisher" in message


@pytest.mark.parametrize("searcher", ["random", "moead", "gp"])
def test_a_warm_start_asks_uniform_cuts(copied, searcher):
    (copied / "archive.db").unlink()
    command = ["search", str(copied), *SEARCH, "--searcher", searcher, "--warm-start", "4"]
    assert run_command(command) == 0
    with Archive(copied / "archive.db") as archive:
        asked = {one.mask.neurons_per_layer for one in archive.evaluations(split="selection") if one.asked}
    assert {(n,) * 3 for n in (24, 18, 12, 6)} < asked
    rows = archive_rows(copied)
    assert run_command(command) == 0  # complete
    assert archive_rows(copied) == rows


@pytest.mark.parametrize("searcher", ["nsga2", "local"])
def test_a_warm_start_from_blocks_asks_what_their_errors_say(copied, searcher):
    (copied / "archive.db").unlink()
    command = ["search", str(copied), *SEARCH, "--searcher", searcher, "--warm-start", "3", "--warm-from", "blocks"]
    assert run_command(command) == 0
    with Archive(copied / "archive.db") as archive:
        asked = {one.key for one in archive.evaluations(split="selection") if one.asked}
    folder = RunFolder.open(copied)
    (supernet, space), task = open_supernet(folder), open_task(folder)
    losses = BlockLosses.on(supernet, task, np.random.default_rng([0, 7]))
    found = losses.allocations(encoder_parameters(supernet).of)
    whole = supernet.shape.encoder_parameters
    masks = [space.mask(space.nearest(found.best(share * whole))) for share in (1, 2 / 3, 1 / 3)]
    assert masks[0].is_full
    assert {mask.key for mask in masks} <= asked
    assert len(set(masks)) == 3
    rows = archive_rows(copied)
    assert run_command(command) == 0  # complete
    assert archive_rows(copied) == rows
