"""ZipLM's allocations on tiny models; what it is made of has tests of its own."""

import numpy as np
import pytest
import torch
from secateur.evaluation.latency.table import LatencyParts, Part
from secateur.evaluation.latency.target import LatencyTarget
from secateur.pruners import make_pruner
from secateur.pruners.block_losses import BlockLosses
from secateur.pruners.calibration import calibration_batches
from secateur.pruners.sensitivity import moved_outputs
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.refit import WholeSums
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model

SHARES = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def sums_of(supernet, texts=60):
    rng = np.random.default_rng(0)
    return WholeSums(supernet, list(calibration_batches(supernet, toy_task(), texts, rng)), rng)


def test_any_number_of_budgets_at_once(headed):
    supernet = Supernet(headed)
    full = SubnetMask.full(supernet.shape)

    def cost(mask):
        return mask.encoder_parameters(supernet.shape) / full.encoder_parameters(supernet.shape)

    found = BlockLosses.of(sums_of(supernet), np.random.default_rng(1)).allocations(cost)
    at = [found.within(share) for share in SHARES]
    assert found.best(1.0) == full
    assert found.losses[at[-1]] == 0
    assert (np.diff(found.losses[at]) < 0).all()
    for share in SHARES:
        assert share - 0.08 < cost(found.best(share)) <= share


def test_budgets_of_a_latency_table_drop_what_costs_but_for_being_there(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    part = Part(sizes=(1, 24), milliseconds=(1.0, 1.01))  # so that fewer units save next to nothing
    table = LatencyParts(
        target=LatencyTarget(machine="here", threads=1, batch_size=1, sequence_length=8),
        hidden_sizes=(16,), base=(0.5,), attention=(part,), ffn=(part,),
    )  # fmt: skip
    found = BlockLosses.of(sums_of(supernet), np.random.default_rng(1)).allocations(table.predict)
    for limit, dropped in ((6.6, 0), (5.6, 1), (3.6, 3), (1.6, 5)):
        mask = found.best(limit)
        assert table.predict(mask) <= limit
        counts = mask.heads_per_layer + mask.neurons_per_layer
        assert counts.count(0) == dropped
        assert {n for n in counts if n} <= {4, 24}


def test_what_is_missing_moves_the_outputs(tiny_models):
    model = tiny_models["roberta"]
    supernet = Supernet(model)
    target = sums_of(supernet)
    batches, full = target.batches[:2], SubnetMask.full(supernet.shape)
    mask = SubnetMask.from_counts(supernet.shape, [4, 0, 4], [24, 24, 24])
    moved, nothing = moved_outputs(target, len(batches[0]) + 1, [mask, full])
    with torch.no_grad():
        squares = [
            (model(**b.inputs).logits - supernet.subnet(mask)(**b.inputs)).square().sum(1) for b in batches
        ]  # fmt: skip
    assert moved == pytest.approx(float(torch.cat(squares).mean()), rel=1e-3)
    assert nothing == 0


def test_it_says_what_it_used():
    pruned = make_pruner("ziplm").prune(Supernet(tiny_model("bert")), toy_task(), 0.5, np.random.default_rng(0))
    assert pruned.provenance.labels == pruned.provenance.epochs == 0
    assert pruned.provenance.gradients
    assert pruned.provenance.texts == min(512, len(toy_task().train))
