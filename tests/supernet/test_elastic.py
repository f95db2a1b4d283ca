"""Feed-forward blocks filled up to a round width compute what they do without."""

import numpy as np
import pytest
import torch
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.elastic import pieces
from secateur.supernet.encoder import classify, embed, encode, finish
from secateur.supernet.precision import width_multiple

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)


def scattered(seed: int) -> SubnetMask:
    rng = np.random.default_rng(seed)
    return SubnetMask(rng.random((3, 4)) < 0.6, rng.random((3, 24)) < 0.5, rng.random(16) < 0.7)


MASKS = {
    "prefixes": SubnetMask.from_counts(SHAPE, [1, 2, 4], [1, 7, 16]),
    "up to all": SubnetMask.from_counts(SHAPE, [1, 2, 4], [23, 17, 24]),
    "dropped": SubnetMask.from_counts(SHAPE, [1, 0, 4], [0, 9, 0], 9),
    "scattered": scattered(0),
    "scattered too": scattered(1),
}


def logits_and_gradients(supernet, batch, mask, multiple):
    taken = pieces(supernet.family, supernet.head_paths, SHAPE, mask, names=supernet.parameters, multiple=multiple)
    parameters = {name: p.detach() for name, p in supernet.parameters.items()}
    leaves = {key: piece.take(parameters).requires_grad_() for key, piece in taken.items()}
    architecture = supernet.architecture
    embedded = embed(architecture, parameters, batch["input_ids"], batch.get("token_type_ids"))
    columns = supernet.embedding_columns(mask)
    embedded = embedded if columns is None else embedded[..., columns]
    encoded = encode(architecture, leaves, embedded, batch["attention_mask"].bool())
    logits = classify(architecture, leaves, finish(architecture, leaves, encoded)[3])
    logits.square().sum().backward()
    gradients = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for key, piece in taken.items():
        if leaves[key].grad is not None:
            piece.add_to(gradients, leaves[key].grad)
    widths = [leaves[f"{i}.ffn_out.weight"].shape[1] for i in range(3) if f"{i}.ffn_out.weight" in leaves]
    return logits.detach(), gradients, widths


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_filling_up_changes_neither_outputs_nor_gradients(model, batch, mask):
    supernet = Supernet(model)
    expected, gradients, _ = logits_and_gradients(supernet, batch, mask, 1)
    logits, filled, widths = logits_and_gradients(supernet, batch, mask, 10)
    assert widths == [min(24, -(-n // 10) * 10) for n in mask.neurons_per_layer if n]
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(filled[name], gradient, atol=1e-5, rtol=1e-4, msg=lambda t, name=name: name + t)


def test_only_what_is_compiled_for_each_shape_is_filled_up():
    assert width_multiple(torch.float32, torch.device("cpu")) == 1
    assert width_multiple(torch.bfloat16, torch.device("cuda")) == 1
    assert width_multiple(torch.bfloat16, torch.device("cpu")) > 1
