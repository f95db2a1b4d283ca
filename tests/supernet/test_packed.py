"""Maps with removed groups of weights: all forms compute the same, and come back from the disk as they were."""

import copy
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from secateur.errors import InputError
from secateur.pruners.block_lasso.groups import prunable_linears
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.packed.packed import FORMS, BsrSlabs, DenseSlabs, PackedSlabs, in_form, mark_slabs, slab_linears
from secateur.supernet.packed.packed_storage import compression, stored_bytes
from secateur.supernet.packed.slabs import Slabs
from secateur.supernet.stored.storage import load_model, save_model
from secateur.tests.tiny import padded_batch, same_weights, tiny_model
from torch import nn

CUTS = [Slabs("row", (4, 4, 4)), Slabs("column", (5, 5)), Slabs("row", (1,) * 12), Slabs("column", (3, 4, 3))]


def weight_of(slabs, empty=None):
    """Return a weight (10, 12) with about half of its groups zero, and one slab without any if asked for."""
    generator = torch.Generator().manual_seed(len(slabs.widths))
    lines = 10 if slabs.scheme == "row" else 12
    kept = torch.rand(lines, len(slabs.widths), generator=generator) < 0.5
    if empty is not None:
        kept[:, empty] = False
    return torch.randn(10, 12, generator=generator) * slabs.spread(kept)


@pytest.mark.parametrize("slabs", CUTS, ids=str)
def test_groups(slabs):
    weight = weight_of(slabs)
    begins = np.cumsum((0, *slabs.widths))
    lines = weight.numpy() if slabs.scheme == "row" else weight.numpy().T
    groups = [[line[a:b] for a, b in itertools.pairwise(begins)] for line in lines]
    norms = np.array([[np.sqrt((group**2).sum()) for group in line] for line in groups])
    assert slabs.norms(weight).numpy() == pytest.approx(norms)
    assert (slabs.kept(weight).numpy() == (norms > 0)).all()
    spread = slabs.spread(torch.arange(norms.size).view(norms.shape)).numpy()
    spread = spread if slabs.scheme == "row" else spread.T
    for i, line in enumerate(spread):
        assert list(line) == [i * norms.shape[1] + s for s, width in enumerate(slabs.widths) for _ in range(width)]


@pytest.mark.parametrize("empty", [None, 0])
@pytest.mark.parametrize("slabs", CUTS, ids=str)
def test_packing(slabs, empty):
    weight = weight_of(slabs, empty)
    values, kept = slabs.pack(weight)
    assert len(values) == int(weight.count_nonzero())
    assert torch.equal(slabs.unpack(values, kept), weight)
    with pytest.raises(ValueError, match=f"the kept groups have {len(values)} weights, got {len(values) - 1}"):
        slabs.unpack(values[:-1], kept)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("empty", [None, 0])
@pytest.mark.parametrize("slabs", CUTS, ids=str)
def test_one_map(slabs, empty, form):
    weight, bias, x = weight_of(slabs, empty), torch.randn(10), torch.randn(2, 3, 12)
    linear = FORMS[form](weight, bias, slabs)
    expected = nn.functional.linear(x.double(), weight.double(), bias.double())
    assert linear(x).double().sub(expected).abs().max() < 1e-5
    assert torch.equal(linear.whole(), weight)
    with torch.inference_mode():
        assert linear(x[:, :1].transpose(0, 1)).shape == (1, 2, 10)


@pytest.mark.parametrize("slabs", CUTS, ids=str)
def test_packed_maps_can_be_trained(slabs):
    weight, bias = weight_of(slabs), torch.randn(10)
    gradients = {}
    for form in ("dense", "packed"):
        linear = FORMS[form](weight, bias, slabs)
        optimiser = torch.optim.SGD(linear.parameters(), lr=0.1)
        linear(torch.ones(4, 12) * torch.arange(12)).square().sum().backward()
        optimiser.step()
        gradients[form] = linear.whole().detach() * (weight != 0), linear.bias.detach()
    for one, other in zip(*gradients.values(), strict=True):
        assert torch.allclose(one, other, rtol=1e-4)


@pytest.mark.parametrize("form", ["packed", "bsr"])
def test_under_autocast(form):
    slabs, x = CUTS[0], torch.randn(5, 12)
    weight, bias = weight_of(slabs), torch.randn(10)
    linear = FORMS[form](weight, bias, slabs)
    with torch.autocast("cpu", torch.bfloat16):
        found = linear(x)
    assert found.float().sub(nn.functional.linear(x, weight, bias)).abs().max() < 0.1


def thinned(model, scheme, seed=0):
    """Return a copy of a model, its layers' maps cut and without half of their groups, and an ordinary one like it."""
    ordinary = copy.deepcopy(model)
    rng, cuts = torch.Generator().manual_seed(seed), {}
    for path in prunable_linears(ordinary):
        module = ordinary.get_submodule(path)
        length = module.weight.shape[1 if scheme == "row" else 0]
        first = (length + 1) // 2
        cuts[path] = Slabs(scheme, (first, length - first) if length > 1 else (1,))
        kept = torch.rand(cuts[path].norms(module.weight).shape, generator=rng) < 0.5
        with torch.no_grad():
            module.weight.mul_(cuts[path].spread(kept))
    marked = copy.deepcopy(ordinary)
    mark_slabs(marked, cuts)
    return marked, ordinary


@pytest.mark.parametrize("scheme", ["row", "column"])
def test_forms_agree(model, batch, scheme):
    marked, ordinary = thinned(model, scheme)
    with torch.inference_mode():
        expected = ordinary(**batch).logits
        for form, kind in FORMS.items():
            made = in_form(marked, form)
            assert [type(one) for one in slab_linears(made).values()] == [kind] * 3 * len(
                Supernet(model).family.linear_paths(0)
            )
            assert made(**batch).logits.sub(expected).abs().max() < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_forms_turn_into_each_other(form):
    marked, ordinary = thinned(tiny_model("bert"), "column")
    weights = {path: one.whole() for path, one in slab_linears(marked).items()}
    made = in_form(marked, form)
    for other in FORMS:
        assert all(torch.equal(one.whole(), weights[path]) for path, one in slab_linears(in_form(made, other)).items())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(7.0)  # a copy, not the same tensors
    assert all(torch.equal(p, ordinary.get_parameter(name)) for name, p in marked.named_parameters())


def test_an_unknown_form():
    with pytest.raises(InputError, match="unknown form 'sparse'; known: bsr, dense, packed"):
        in_form(thinned(tiny_model("bert"), "row")[0], "sparse")


def test_compression_counts_linear_maps():
    marked, ordinary = thinned(tiny_model("bert"), "row")
    linears = [one.weight for one in ordinary.modules() if isinstance(one, nn.Linear)]  # head included, tables not
    expected = sum(w.numel() for w in linears) / sum(int((w != 0).sum()) for w in linears)
    assert [compression(in_form(marked, form)) for form in FORMS] == [pytest.approx(expected)] * 3
    assert compression(tiny_model("bert")) == 1


@pytest.mark.parametrize("form", ["packed", "bsr"])
def test_saved_and_loaded(model, batch, tiny_tokenizer, tmp_path, form):
    made = in_form(thinned(model, "row")[0], form)
    save_model(made, tiny_tokenizer, tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"config.json", "packed.safetensors", "packing.json"} < files
    assert "model.safetensors" not in files  # transformers alone would make up what is not there
    stored = load_file(tmp_path / "model" / "packed.safetensors")
    whole = sum(tensor.nbytes for tensor in model.state_dict().values())
    zeros = sum(int((one.whole() == 0).sum()) for one in slab_linears(made).values())
    groups = sum(one.slabs.norms(one.whole()).numel() for one in slab_linears(made).values())
    assert stored_bytes(made) == sum(tensor.nbytes for tensor in stored.values()) == whole - 4 * zeros + groups
    loaded = load_model(tmp_path / "model")
    assert type(loaded) is type(model)
    assert not loaded.training
    assert {type(one) for one in slab_linears(loaded).values()} == {FORMS[form]}
    assert same_weights(loaded, made)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(**batch).logits, made(**batch).logits, atol=1e-5, rtol=0)
    assert load_model(tmp_path / "model", dtype=torch.bfloat16).dtype == torch.bfloat16


PROGRAM = """
import sys, torch
from pathlib import Path
from secateur.supernet.stored.storage import load_model
from secateur.tests.tiny import padded_batch
model = load_model(Path(sys.argv[1]))
torch.save(model(**padded_batch(model)).logits.detach(), sys.argv[2])
"""


def test_an_extracted_model_in_a_new_process(tiny_tokenizer, tmp_path):
    model = tiny_model("bert")
    small = extract(model, SubnetMask.from_counts(Supernet(model).shape, [3, 0, 1], [7, 11, 0], hidden=13))
    made = in_form(thinned(small, "column")[0], "packed")
    assert len(slab_linears(made)) == 12
    save_model(made, tiny_tokenizer, tmp_path / "model")
    subprocess.run([sys.executable, "-c", PROGRAM, tmp_path / "model", tmp_path / "logits"], check=True)
    torch.testing.assert_close(torch.load(tmp_path / "logits"), made(**padded_batch(model)).logits.detach())


def test_damaged_files(tiny_tokenizer, tmp_path):
    save_model(in_form(thinned(tiny_model("bert"), "row")[0], "packed"), tiny_tokenizer, tmp_path / "model")
    packing = tmp_path / "model" / "packing.json"
    found = json.loads(packing.read_text())
    assert set(found) == {"form", "matrices"}
    weights = tmp_path / "model" / "packed.safetensors"
    whole = weights.read_bytes()
    for file, content in ((weights, whole[:-100]), (packing, b"{")):
        before = file.read_bytes()
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot load the model .* its files are damaged, incomplete") as error:
            load_model(tmp_path / "model")
        assert "\n" not in str(error.value)
        file.write_bytes(before)


def test_where_blocks_do_not_multiply():
    """This build multiplies single weights, if not groups; one that multiplies neither says so."""
    slabs = CUTS[0]
    linear = BsrSlabs(weight_of(slabs), torch.zeros(10), slabs)
    assert linear.values.shape[1:] in {(1, 4), (1, 1)}
    with pytest.raises(RuntimeError):
        linear.to(torch.float16)(torch.zeros(1, 12, dtype=torch.float16))


def test_kept_weights_are_all_a_packed_map_has():
    slabs = CUTS[0]
    weight = weight_of(slabs)
    packed, dense = PackedSlabs(weight, torch.zeros(10), slabs), DenseSlabs(weight, torch.zeros(10), slabs)
    assert sum(p.numel() for p in packed.values) == int(weight.count_nonzero()) < dense.weight.numel()
