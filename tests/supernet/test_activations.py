"""Every activation that one function is: the same in transformers, on slices, extracted, in ONNX, and its gradients."""

import json

import numpy as np
import pytest
import torch
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.encoder import neuron_outputs
from secateur.supernet.extraction import extract
from secateur.supernet.families.activations import ACTIVATIONS, activation_of
from secateur.supernet.heads import read_outputs
from secateur.supernet.shipping.activations import NODES
from secateur.supernet.shipping.onnx import export_onnx
from secateur.supernet.shipping.session import OnnxModel
from secateur.supernet.shipping.stock import stock_model
from secateur.supernet.training.step import GradientStep
from secateur.tests.supernet.reference import multiplied
from secateur.tests.supernet.refusals import message_of
from secateur.tests.tiny import padded_batch, tiny_model
from transformers.activations import ACT2FN
from transformers.models.bert.configuration_bert import BertConfig

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
UNEVEN = SubnetMask.from_counts(SHAPE, [3, 0, 2], [24, 7, 0], 13)
ALIKE = SubnetMask.from_counts(SHAPE, [4, 0, 4], [5, 0, 5])
ATTRIBUTES = {"bert": "hidden_act", "distilbert": "activation", "electra": "hidden_act"}
FEW = [(layout, name) for layout in ATTRIBUTES for name in ("relu", "gelu_new", "quick_gelu", "silu")]


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_functions_are_transformers_own(name):
    x = torch.linspace(-12, 12, 4001).requires_grad_()
    mine, theirs = ACTIVATIONS[name](x), ACT2FN[name](x)
    torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-6)
    found, expected = (torch.autograd.grad(out.sum(), x)[0] for out in (mine, theirs))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_each_function_has_its_nodes():
    assert set(ACTIVATIONS.values()) <= NODES.keys()


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_onnx_files_are_right(name, tmp_path):
    model = extract(tiny_model("bert", hidden_act=name), UNEVEN)
    export_onnx(model, tmp_path / "model.onnx")  # compares
    assert OnnxModel(tmp_path / "model.onnx").inputs[0] == "input_ids"


@pytest.mark.parametrize(("layout", "name"), FEW)
def test_all_ways_agree(layout, name):
    model, usual = tiny_model(layout, **{ATTRIBUTES[layout]: name}), tiny_model(layout)
    batch = padded_batch(model)
    found = {}
    for mask in (UNEVEN, ALIKE):
        with torch.no_grad(), multiplied(model, mask) as reference:
            expected = read_outputs(reference(**batch), batch["attention_mask"])
        extracted = extract(model, mask)
        assert json.loads(extracted.config.to_json_string())[ATTRIBUTES[layout]] == name
        models = [extracted] if mask is UNEVEN else [extracted, stock_model(extracted)]
        with torch.no_grad():
            outputs = [read_outputs(one(**batch), batch["attention_mask"]) for one in models]
        for out in (*outputs, Supernet(model).subnet(mask).outputs(**batch)):
            torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)
        found[mask.key] = expected
    other = Supernet(usual).subnet(UNEVEN).outputs(**batch)
    assert (other - found[UNEVEN.key]).abs().max() > 2e-5  # else nothing was compared


@pytest.mark.parametrize(("layout", "name"), FEW)
def test_a_training_step_has_transformers_gradients(layout, name):
    model = tiny_model(layout, **{ATTRIBUTES[layout]: name})
    reference, batch = tiny_model(layout, **{ATTRIBUTES[layout]: name}), padded_batch(model)
    step = GradientStep(Supernet(model))
    step.begin(batch["input_ids"], batch["attention_mask"].bool(), batch.get("token_type_ids"))
    step.run(SubnetMask.full(SHAPE), lambda outputs: outputs.square().sum())
    step.finish()
    reference(**batch).logits.square().sum().backward()
    for path, parameter in reference.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(step.gradients[path], parameter.grad, atol=1e-4, rtol=1e-4)


def test_neurons_are_computed_by_the_models_own():
    supernet = Supernet(tiny_model("bert", hidden_act="relu"))
    weights = {"0.ffn_in.weight": torch.eye(2), "0.ffn_in.bias": torch.zeros(2)}
    out = neuron_outputs(supernet.architecture, weights, 0, torch.tensor([[-1.0, 2.0]]))
    assert np.array_equal(out.numpy(), [[0.0, 2.0]])


@pytest.mark.parametrize("name", ["prelu", "xielu", "gelu2", "", None, 3])
def test_what_is_no_plain_function_is_refused(name):
    config = BertConfig()
    vars(config)["hidden_act"] = name
    message = message_of(activation_of, config, "hidden_act")
    assert message.startswith(f"the configuration's hidden_act is {name!r}, which is not supported; supported")
