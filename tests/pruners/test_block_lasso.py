"""Block-structured pruning: groups, their removal, and the pruner around it."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.evaluation.latency import LatencyTarget, machine_name
from secateur.pruners import make_pruner
from secateur.pruners.block_lasso.fastest import fastest
from secateur.pruners.block_lasso.groups import cut, kept_groups, prunable_linears
from secateur.pruners.block_lasso.project import project
from secateur.pruners.block_lasso.pruner import BlockLasso
from secateur.pruners.block_lasso.settings import BlockLassoSettings
from secateur.pruners.budget import best_mask
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.packed.packed import FORMS, in_form, mark_slabs, slab_linears
from secateur.supernet.packed.packed_storage import compression
from secateur.supernet.packed.slabs import Slabs
from secateur.tests.supernet import toy
from secateur.tests.tiny import padded_batch, tiny_model
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

QUICK = BlockLassoSettings(learning_rate=2e-3, batch_size=25, epochs=1, retraining_epochs=1, least_steps=0, penalty=4)
TARGET = LatencyTarget(machine=machine_name(), threads=1, batch_size=2, sequence_length=8)


def quick(**changes):
    return BlockLasso(QUICK.model_copy(update=changes))


def task_of(model):
    return replace(toy.toy_task(), pad_token_id=model.config.pad_token_id)


def of_pruner(pruner, model, density=0.4, seed=0):
    return pruner.prune(Supernet(model), task_of(model), density, np.random.default_rng(seed))


def weights_of(model):
    return {path: one.whole().detach() for path, one in slab_linears(model).items()}


def wide_model(hidden, neurons, layers=1):
    """Return a random BERT of these sizes, heads of 64."""
    config = BertConfig(
        vocab_size=40, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=max(1, hidden // 64),
        intermediate_size=neurons, max_position_embeddings=24, num_labels=3,
    )  # fmt: skip
    return BertForSequenceClassification(config).eval()


def random_norms(model, cuts):
    generator = torch.Generator().manual_seed(0)
    return {path: torch.rand(one.norms(model.get_parameter(f"{path}.weight")).shape, generator=generator)
            for path, one in cuts.items()}  # fmt: skip


def test_what_is_pruned(model):
    paths, layers = prunable_linears(model), f"{Supernet(model).family.layers}."
    everything = {path for path, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert len(paths) == len({*paths}) >= 12
    assert set(paths) == {path for path in everything if path.startswith(layers)}
    head = set(prunable_linears(model, head=True)) - set(paths)
    assert len(head) == 1
    assert model.get_submodule(head.pop()).weight.shape == (16, 16)  # the dense layer, not the classifier


@pytest.mark.parametrize(
    ("sizes", "options", "hidden", "neurons"),
    [
        ((768, 3072), {}, (256,) * 3, (256,) * 12),  # BERT-base: the authors' slabs
        ((384, 1536), {}, (128,) * 3, (128,) * 12),  # MiniLM
        ((512, 1024), {}, (256,) * 2, (256,) * 4),
        ((64, 100), {}, (22, 21, 21), (20,) * 5),
        ((64, 96), {"width": 16}, (16,) * 4, (16,) * 6),
        ((64, 100), {"slabs": 3}, (22, 21, 21), (34, 33, 33)),
    ],
)
def test_how_matrices_are_cut(sizes, options, hidden, neurons):
    model, layer = wide_model(*sizes), "bert.encoder.layer.0."
    cuts = cut(model, **options)
    assert cuts[f"{layer}attention.self.query"] == cuts[f"{layer}intermediate.dense"] == Slabs("row", hidden)
    assert cuts[f"{layer}output.dense"] == Slabs("row", neurons)
    columns = cut(model, scheme="column", **options)
    assert columns[f"{layer}intermediate.dense"] == Slabs("column", neurons)
    assert columns[f"{layer}attention.self.value"] == columns[f"{layer}output.dense"] == Slabs("column", hidden)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 5}, r"slabs of 5 columns do not divide bert\.encoder\.layer\.0\.attention\.self\.query, which has "
                       r"16; give a width that divides 16, 24, or a number of slabs"),
        ({"width": 16, "scheme": "column"}, r"slabs of 16 rows do not divide .*intermediate\.dense, which has 24"),
        ({"slabs": 20}, "has 16 columns, which cannot be cut into 20 slabs; give fewer"),
        ({"slabs": 2, "width": 4}, "slabs have a width or a number, got width 4 and 2 slabs; give one of the two"),
    ],
)  # fmt: skip
def test_slabs_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message) as error:
        of_pruner(quick(**options), tiny_model("bert"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("density", [1.0, 0.9, 0.7, 0.5, 1 / 3, 0.2, 0.01])
def test_the_number_of_groups_that_go(density):
    model = tiny_model("bert")
    cuts = cut(model)
    norms = random_norms(model, cuts)
    for path, kept in kept_groups(norms, cuts, density, "matrix").items():
        total = kept.numel()
        assert int((~kept).sum()) == math.ceil(round((1 - density) * (total - 1), 6))
        assert norms[path][kept].min() > norms[path][~kept].max() if (~kept).any() else True
    kept = kept_groups(norms, cuts, density, "global")
    total = sum(one.numel() for one in kept.values())
    assert sum(int((~one).sum()) for one in kept.values()) == math.ceil(round((1 - density) * (total - 1), 6))


def test_strictly_below_the_percentile():
    norms, cuts = {"a": torch.tensor([[1.0, 1.0], [1.0, 2.0]])}, {"a": Slabs("row", (3, 3))}
    assert kept_groups(norms, cuts, 0.5, "matrix")["a"].all()  # ties with the percentile stay
    with pytest.raises(InputError, match="has diverged; lower the learning rate or the penalty"):
        kept_groups({"a": torch.tensor([[1.0, math.nan]])}, cuts, 0.5, "matrix")


def test_globally_norms_count_per_weight():
    cuts = {"wide": Slabs("row", (16,)), "narrow": Slabs("row", (4,))}
    norms = {"wide": torch.tensor([[2.0], [4.4]]), "narrow": torch.tensor([[1.2], [2.4]])}  # 0.5, 1.1; 0.6, 1.2
    kept = kept_groups(norms, cuts, 0.5, "global")
    assert (kept["wide"].tolist(), kept["narrow"].tolist()) == ([[False], [True]], [[False], [True]])


@pytest.mark.parametrize(("scheme", "selection"), [("row", "matrix"), ("column", "global")])
def test_no_group_is_partly_zero(model, scheme, selection):
    pruned = of_pruner(quick(scheme=scheme, selection=selection), model)
    zeros = total = 0
    for path, linear in slab_linears(pruned.model).items():
        weight, slabs = linear.whole(), linear.slabs
        for line in range(len(slabs.lines_of(weight))):
            for group in slabs.lines_of(weight)[line].split(slabs.widths):
                assert (group == 0).all() or (group != 0).all(), path
        if selection == "matrix":
            groups = slabs.norms(weight).numel()
            assert int((~slabs.kept(weight)).sum()) == math.ceil(round(0.6 * (groups - 1), 6))
        zeros, total = zeros + int((weight == 0).sum()), total + weight.numel()
    assert pruned.density == pytest.approx(1 - zeros / total)
    assert pruned.density == pytest.approx(0.4, abs=0.03)
    assert len(slab_linears(pruned.model)) == len(prunable_linears(model))
    assert pruned.mask == SubnetMask.full(Supernet(model).shape)
    assert not pruned.model.training
    assert not any(parameter._backward_hooks for parameter in pruned.model.parameters())


def test_all_else_is_trained_and_the_mask_stays():
    model, penalised = tiny_model("bert"), []
    before = copy.deepcopy(model.state_dict())
    pruner = quick()
    pruner.report = lambda p: penalised.append(p.note)
    pruned = of_pruner(pruner, model)
    without = of_pruner(quick(retraining_epochs=0), model)
    for path, weight in weights_of(pruned.model).items():
        other = weights_of(without.model)[path]
        assert torch.equal(weight == 0, other == 0), path
        assert not torch.equal(weight, other), path
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [note.startswith("penalty ") for note in penalised] == [True, True, False, False]
    assert (pruned.provenance.epochs, without.provenance.epochs) == (2, 1)


def without_training(**options):
    """Return the prunable weights of a model with half of its groups, and with all of them."""
    settings = QUICK.model_copy(update={"retraining_epochs": 0, "penalty": 0, **options})
    half, whole = (of_pruner(BlockLasso(settings), tiny_model("bert"), density=d).model for d in (0.5, 1.0))
    return weights_of(half), weights_of(whole)


def test_whole_rows():
    """Slabs as wide as the matrix: the rows of the smallest norms go."""
    half, whole = without_training(slabs=1)
    for path, weight in half.items():
        smallest = whole[path].square().sum(1).argsort()[: math.ceil(0.5 * (len(weight) - 1))]
        expected = whole[path].clone()
        expected[smallest] = 0
        assert torch.equal(weight, expected), path


def test_single_weights():
    """Slabs of one weight: magnitude pruning."""
    half, whole = without_training(width=1)
    for path, weight in half.items():
        sizes = whole[path].abs()
        threshold = sizes.flatten().sort().values[math.ceil(0.5 * (sizes.numel() - 1))]
        assert torch.equal(weight, torch.where(sizes < threshold, 0.0, whole[path])), path


@pytest.mark.parametrize("scheme", ["row", "column"])
def test_on_an_extracted_model(scheme):
    model = tiny_model("roberta")
    small = extract(model, SubnetMask.from_counts(Supernet(model).shape, [3, 0, 1], [7, 11, 0], hidden=13))
    before = copy.deepcopy(small.state_dict())
    made = quick(scheme=scheme).compress(small, task_of(model), 0.5, np.random.default_rng(0))
    assert len(slab_linears(made.model)) == 12
    assert made.density == pytest.approx(0.5, abs=0.05)
    assert compression(made.model) > 1.5
    assert all(torch.equal(before[name], tensor) for name, tensor in small.state_dict().items())
    with torch.inference_mode():
        packed, dense = (in_form(made.model, form)(**padded_batch(model)).logits for form in ("packed", "dense"))
        assert packed.sub(dense).abs().max() < 1e-5
    with pytest.raises(InputError, match=r"slabs of 4 .* do not divide .*, which has"):
        quick(scheme=scheme, width=4).compress(small, task_of(model), 0.5, np.random.default_rng(0))
    with pytest.raises(InputError, match="a share above 0 and at most 1, got 2; give"):
        quick().compress(small, task_of(model), 2.0, np.random.default_rng(0))
    none = extract(model, SubnetMask.from_counts(Supernet(model).shape, [0, 0, 0], [0, 0, 0]))
    with pytest.raises(InputError, match="the model has no layer left"):
        quick().compress(none, task_of(model), 0.5, np.random.default_rng(0))


def test_the_fastest_form_is_measured():
    model = of_pruner(quick(), tiny_model("bert")).model
    before = weights_of(model)
    found = fastest(model, TARGET, seconds=0.1)
    assert {"dense", "packed"} <= set(found.latencies) <= set(FORMS)
    assert found.latencies[found.form].median == min(one.median for one in found.latencies.values()) > 0
    assert {type(one) for one in slab_linears(found.model).values()} == {FORMS[found.form]}
    short = fastest(model, TARGET.model_copy(update={"precision": "bfloat16"}), seconds=0.1)
    assert "bsr" not in short.latencies
    for made in (found.model, short.model):
        assert made.dtype == torch.float32
        assert all(torch.equal(weight, before[path]) for path, weight in weights_of(made).items())


def test_the_pruner_returns_the_fastest_form():
    pruner = quick()
    pruner.target = TARGET
    pruned = of_pruner(pruner, tiny_model("bert"))
    form = pruned.provenance.options["form"]
    assert {type(one) for one in slab_linears(pruned.model).values()} == {FORMS[form]}
    assert of_pruner(quick(), tiny_model("bert")).provenance.options["form"] == "dense"


def test_units_from_groups():
    model = tiny_model("bert")
    shape, family = Supernet(model).shape, Supernet(model).family
    for scheme, part in (("row", "qkv"), ("column", "attention_output")):
        made = of_pruner(quick(scheme=scheme), model).model
        scores = project(in_form(made, "packed"))
        assert scores.heads.shape == (3, 4)
        assert scores.neurons.shape == (3, 24)
        weights = weights_of(made)
        for layer, head in ((0, 1), (2, 3)):
            units = [weights[path] for path in family.layer_paths(layer, part)]
            units = [weight if scheme == "row" else weight.T for weight in units]
            expected = sum(float(weight[4 * head : 4 * head + 4].square().sum()) for weight in units)
            assert scores.heads[layer, head] == pytest.approx(expected, rel=1e-5)
        (into,) = family.layer_paths(1, "ffn_in")
        neurons = weights[into] if scheme == "row" else weights[family.layer_path(1, "ffn_out")].T
        assert scores.neurons[1] == pytest.approx(neurons.double().square().sum(1).numpy(), rel=1e-5)
        half = 0.5 * shape.encoder_parameters
        mask = best_mask(shape, scores, lambda one: one.encoder_parameters(shape), half)
        assert extract(model, mask)(**padded_batch(model)).logits.shape == (3, 3)
    with pytest.raises(ValueError, match="no groups of weights"):
        project(model)


def test_the_seed_decides():
    first, same, other = (
        list(of_pruner(quick(), tiny_model("bert"), seed=seed).model.parameters()) for seed in (3, 3, 4)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_head_by_option():
    pruned = of_pruner(quick(head=True), tiny_model("electra"))
    assert set(slab_linears(pruned.model)) - set(prunable_linears(tiny_model("electra"))) == {"classifier.dense"}


def test_small_tasks_get_more_epochs():
    settings = BlockLassoSettings(epochs=1, retraining_epochs=3, batch_size=8, least_steps=100)
    few = settings.stretched(texts=33)  # 5 steps make an epoch
    assert (few.epochs, few.retraining_epochs) == (5, 15)
    many = settings.stretched(texts=8000)
    assert (many.epochs, many.retraining_epochs) == (1, 3)


def test_by_name():
    pruner = make_pruner("block_lasso")
    assert isinstance(pruner, BlockLasso)
    assert (pruner.recovery, pruner.needs_labels, pruner.needs_gradients) == ("native", True, True)
    provenance = of_pruner(quick(), tiny_model("bert")).provenance
    assert (provenance.method, provenance.texts, provenance.labels) == ("block_lasso", 50, 50)
    assert provenance.options["scheme"] == "row"
    assert provenance.seconds > 0
    with pytest.raises(InputError, match="leave the cost out"):
        make_pruner("block_lasso", cost=lambda mask: 1.0)


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (0.0, "a share above 0 and at most 1, got 0;"),
        (1.5, "a share above 0 and at most 1, got 1.5;"),
        (0.01, r"block_lasso cannot go below a density of 0\.0\d\d on this model, got 0\.01;"),
    ],
)
def test_densities_out_of_range(density, message):
    with pytest.raises(InputError, match=message):
        of_pruner(quick(), tiny_model("bert"), density=density)


def test_nothing_to_train_on():
    task = toy.toy_task()
    empty = replace(task, train=replace(task.train, input_ids=[], labels=task.train.labels[:0]))
    with pytest.raises(InputError, match="needs at least 1 text of the training split"):
        quick().prune(Supernet(tiny_model("bert")), empty, 0.5, np.random.default_rng(0))


def test_marking_keeps_the_weights():
    model = tiny_model("bert")
    marked = copy.deepcopy(model)
    mark_slabs(marked, cut(marked))
    assert all(torch.equal(p, model.get_parameter(name)) for name, p in marked.named_parameters())
