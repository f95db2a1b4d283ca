"""The contract: multiplied, sliced, extracted and reloaded subnetworks agree."""

import copy
import json

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secateur.search_space import SPACES, EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import check_agreement, check_extracted, extract
from secateur.supernet.families import FAMILIES, Dropout, family_of
from secateur.supernet.heads import auto_class, head_of, read_outputs
from secateur.supernet.stored.extracted import config_class
from secateur.supernet.stored.storage import load_model
from secateur.supernet.training.step import GradientStep
from secateur.tests.supernet.reference import multiplied
from secateur.tests.tiny import padded_batch, random_batch, same_weights, tiny_model
from transformers import PreTrainedModel

TOLERANCE = 1e-5
PER_TEXT = ("sequence-classification", "embedding")
PER_COMBINATION = 3  # times 4 spaces, with and without elastic width, of each model and head
MANY = 200  # with those
SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)

many = settings(
    max_examples=PER_COMBINATION,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="session")
def model(headed) -> PreTrainedModel:
    """Here all tests are for all heads."""
    return headed


@torch.no_grad()
def outputs(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return read_outputs(model(**batch), batch["attention_mask"])


def auto(model: PreTrainedModel):
    return getattr(transformers, auto_class(head_of(model)))


def in_memory(model: PreTrainedModel) -> PreTrainedModel:
    """Save and load without a disk: the configuration through JSON, the weights through safetensors."""
    written = json.loads(model.config.to_json_string())
    weights = safetensors.torch.load(safetensors.torch.save(model.state_dict()))
    config = config_class(FAMILIES[written["model_type"].removeprefix("secateur-")]).from_dict(written)
    with torch.device("meta"):
        loaded = type(model)(config) if head_of(model) == "embedding" else auto(model).from_config(config)
    loaded.load_state_dict(weights, assign=True)
    for name, buffer in loaded.named_buffers():
        owner, _, attribute = name.rpartition(".")
        setattr(loaded.get_submodule(owner), attribute, model.get_buffer(name).to(buffer.dtype))
    return loaded.eval()


def check_unstored(
    model: PreTrainedModel, mask: SubnetMask, batch: dict[str, torch.Tensor]
) -> tuple[PreTrainedModel, torch.Tensor]:
    """Compare masks multiplied, slices and the extracted model, which is returned with its outputs."""
    with multiplied(model, mask) as reference:
        expected = outputs(reference, batch)
    extracted = extract(model, mask)
    got = outputs(extracted, batch)
    count = 3 if head_of(model) in PER_TEXT else 7 + 4 + 1
    assert expected.shape == got.shape == (count, model.config.num_labels)
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(Supernet(model).subnet(mask).outputs(**batch), expected, atol=TOLERANCE, rtol=0)
    return extracted, got


def check_all(model: PreTrainedModel, mask: SubnetMask, batch: dict[str, torch.Tensor], folder=None) -> torch.Tensor:
    """Compare the four ways to run a subnetwork; through the disk if a folder is given. Returns the outputs."""
    extracted, got = check_unstored(model, mask, batch)
    if folder is None:
        reloaded = in_memory(extracted)
    else:
        extracted.save_pretrained(folder)
        reloaded = load_model(folder) if head_of(model) == "embedding" else auto(model).from_pretrained(folder)
    assert type(reloaded) is type(extracted)
    assert same_weights(reloaded, extracted)
    torch.testing.assert_close(outputs(reloaded, batch), got, atol=TOLERANCE, rtol=0)
    assert reloaded.config.secateur_key == mask.key
    layers = extracted.get_submodule(family_of(model.config).layers)
    assert sum(p.numel() for p in layers.parameters()) == mask.encoder_parameters(
        family_of(model.config).shape(model.config)
    )
    return got


@pytest.mark.parametrize("elastic_hidden", [False, True], ids=["full width", "elastic width"])
@pytest.mark.parametrize("space", list(SPACES))
def test_all_ways_agree(model, batch, space, elastic_hidden):
    space = SPACES[space](SHAPE, elastic_hidden=elastic_hidden)

    @many
    @given(seed=seeds)
    def check(seed):
        rng = np.random.default_rng(seed)
        draw = space.sample if seed % 2 else space.sample_by_size
        check_all(model, space.mask(draw(1, rng)[0]), batch)

    check()


def test_many_masks_agree(model, batch):
    rng, spaces = np.random.default_rng(1), list(SPACES.values())
    for place in range(MANY - 2 * len(spaces) * PER_COMBINATION):
        space = spaces[place % len(spaces)](SHAPE, elastic_hidden=bool(rng.integers(2)))
        check_unstored(model, space.mask(space.sample_by_size(1, rng)[0]), batch)


def test_scattered_masks_agree_through_the_disk(model, batch, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(7):
        keep = rng.uniform(0.1, 0.9, 3)
        hidden = rng.random(16) < keep[2]
        hidden[rng.integers(16)] = True
        mask = SubnetMask(rng.random((3, 4)) < keep[0], rng.random((3, 24)) < keep[1], hidden)
        check_all(model, mask, batch, tmp_path / str(i))


def counts(heads, neurons, hidden=16) -> SubnetMask:
    return SubnetMask.from_counts(SHAPE, heads, neurons, hidden)


CORNERS = {
    "everything kept": counts([4, 4, 4], [24, 24, 24]),
    "no heads in a layer": counts([4, 0, 4], [24, 24, 24]),
    "no neurons in a layer": counts([4, 4, 4], [24, 0, 24]),
    "a layer dropped": counts([4, 0, 4], [24, 0, 24]),
    "the first layer dropped": counts([0, 4, 4], [0, 24, 24]),
    "the last layer dropped": counts([4, 4, 0], [24, 24, 0]),
    "no heads at all": counts([0, 0, 0], [24, 3, 1]),
    "no neurons at all": counts([4, 1, 3], [0, 0, 0]),
    "all dropped": counts([0, 0, 0], [0, 0, 0]),
    "all dropped, half width": counts([0, 0, 0], [0, 0, 0], 8),
    "one head, one neuron": counts([1, 1, 1], [1, 1, 1]),
    "one dimension": counts([2, 0, 4], [24, 7, 0], 1),
    "as wide as the embeddings": counts([2, 3, 4], [24, 7, 5], 8),
    "indivisible width": counts([3, 2, 1], [24, 7, 5], 13),
    "last heads, neurons and dimensions": SubnetMask(
        np.arange(4) >= np.array([[3], [1], [2]]), np.arange(24) >= np.array([[20], [5], [23]]), np.arange(16) >= 5
    ),
}


@pytest.mark.parametrize("mask", CORNERS.values(), ids=CORNERS.keys())
def test_corner_cases_agree(model, batch, mask, tmp_path):
    check_all(model, mask, batch, tmp_path)


def test_padding_changes_nothing(model, batch):
    mask = counts([3, 0, 2], [5, 24, 0], 12)
    second = {name: rows[1:2, :4] for name, rows in batch.items()}
    extracted, subnet = extract(model, mask), Supernet(model).subnet(mask)
    whole, alone = outputs(extracted, batch), outputs(extracted, second)
    begin = 1 if head_of(model) in PER_TEXT else 7
    torch.testing.assert_close(alone, whole[begin : begin + len(alone)], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(subnet.outputs(**second), alone, atol=TOLERANCE, rtol=0)
    unmasked = subnet.outputs(**{name: rows for name, rows in second.items() if name != "attention_mask"})
    torch.testing.assert_close(unmasked, alone, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("mask", [SubnetMask.full(SHAPE), counts([3, 0, 2], [5, 24, 0], 12)], ids=["whole", "part"])
def test_a_text_without_a_real_token_is_what_transformers_makes_of_it(model, batch, mask):
    """And it does nothing to the others of its batch."""
    empty = {name: rows.clone() for name, rows in batch.items()}
    empty["attention_mask"][1] = 0
    with multiplied(model, mask) as reference:
        expected = outputs(reference, empty)
    assert expected.isfinite().all()
    supernet = Supernet(copy.deepcopy(model))
    for found in (supernet.subnet(mask).outputs(**empty), outputs(extract(model, mask), empty)):
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
    step = GradientStep(supernet)
    step.begin(empty["input_ids"], empty["attention_mask"].bool(), empty.get("token_type_ids"))
    stepped = step.run(mask, lambda outputs: outputs.square().sum(), Dropout())
    step.finish()
    torch.testing.assert_close(stepped, expected, atol=TOLERANCE, rtol=0)
    assert all(gradient.isfinite().all() for gradient in step.gradients.values())


def test_a_subnetwork_answers_in_the_shape_of_its_model(model, batch):
    mask = counts([3, 0, 2], [5, 24, 0], 12)
    found, subnet = Supernet(model).subnet(mask)(**batch), Supernet(model).subnet(mask)
    if head_of(model) in PER_TEXT:
        torch.testing.assert_close(found, subnet.outputs(**batch), atol=TOLERANCE, rtol=0)
        return
    real = batch["attention_mask"].bool()
    assert found.shape == (3, 7, model.config.num_labels)
    torch.testing.assert_close(found[real], subnet.outputs(**batch), atol=TOLERANCE, rtol=0)
    assert not found[~real].any()
    whole = subnet(**{name: rows[:1] for name, rows in batch.items() if name != "attention_mask"})
    torch.testing.assert_close(whole[0], found[0], atol=TOLERANCE, rtol=0)


def test_eager_attention_agrees(model, batch):
    extracted = extract(model, counts([3, 0, 2], [5, 24, 0], 12))
    fused = outputs(extracted, batch)
    extracted.set_attn_implementation("eager")
    torch.testing.assert_close(outputs(extracted, batch), fused, atol=TOLERANCE, rtol=0)


def test_masks_matter(model, batch):
    """Else all would agree on one and the same wrong thing."""
    found = [outputs(extract(model, mask), batch) for mask in CORNERS.values()]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one - other).abs().max() > 100 * TOLERANCE


def test_the_full_mask_is_the_model(model, batch):
    torch.testing.assert_close(
        outputs(extract(model, SubnetMask.full(SHAPE)), batch), outputs(model, batch), atol=1e-6, rtol=0
    )


def test_an_extracted_model_trains(model, batch):
    extracted = extract(model, counts([3, 0, 2], [5, 24, 0], 12)).train()
    read_outputs(extracted(**batch), batch["attention_mask"]).square().sum().backward()
    assert all(parameter.grad is not None for parameter in extracted.parameters())


def test_disagreement_is_an_error():
    one = torch.tensor([[1.0, 2.0]])
    assert check_agreement(one, one + 5e-5) == pytest.approx(5e-5, rel=0.01)
    with pytest.raises(RuntimeError, match=r"outputs differ by up to 0\.1, allowed are 0\.0002"):
        check_agreement(one, one + 0.1)
    with pytest.raises(RuntimeError, match="disagrees"):
        check_agreement(one, torch.full((1, 2), float("nan")))
    with pytest.raises(ValueError, match=r"got \(1, 2\) and \(2, 2\)"):
        check_agreement(one, torch.zeros(2, 2))


def test_an_extracted_model_that_was_changed_is_noticed(model, batch):
    mask, supernet = counts([3, 0, 2], [5, 24, 0], 12), Supernet(model)
    extracted = extract(model, mask)
    check_extracted(extracted, supernet, mask, batch)
    with torch.no_grad():
        extracted.get_parameter(f"{supernet.head_paths.classifier}.bias")[1] += 0.01
    with pytest.raises(RuntimeError, match="outputs differ"):
        check_extracted(extracted, supernet, mask, batch)


def test_a_head_that_reads_the_mean_of_a_text():
    model = tiny_model("modernbert", classifier_pooling="mean")
    batch = padded_batch(model)
    found = [check_all(model, mask, batch) for mask in CORNERS.values()]
    first = outputs(tiny_model("modernbert"), batch)
    assert (found[0] - first).abs().max() > 100 * TOLERANCE
    step = GradientStep(Supernet(copy.deepcopy(model)))
    step.begin(batch["input_ids"], batch["attention_mask"].bool(), None)
    stepped = step.run(CORNERS["one head, one neuron"], lambda outputs: outputs.sum())
    torch.testing.assert_close(stepped, found[list(CORNERS).index("one head, one neuron")], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", ["mpnet", "nomic_bert", "modernbert", "deberta-v2"])
@pytest.mark.parametrize("head", ["sequence-classification", "token-classification"])
def test_positions_far_apart(name, head):
    """Of texts long enough for each way to compute attention, and for distances that share a row or have none."""
    model = tiny_model(name, head, max_position_embeddings=400)
    rng, mask = np.random.default_rng(0), counts([3, 0, 2], [5, 24, 0], 12)
    for tokens in (70, 390):
        batch = random_batch(model, rng, 3, tokens)
        extracted = extract(model, mask)
        for found, one in (
            (Supernet(model).subnet(SubnetMask.full(SHAPE)), model),
            (Supernet(model).subnet(mask), extracted),
        ):
            with torch.no_grad():
                expected = read_outputs(one(**batch.inputs), batch.attention_mask)
            torch.testing.assert_close(found.outputs(**batch.inputs), expected, atol=TOLERANCE, rtol=0)
