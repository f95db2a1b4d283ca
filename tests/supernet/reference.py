"""What a subnetwork means, by multiplication: the full Hugging Face model with hooks that zero what a mask drops."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from secateur.search_space import SubnetMask
from secateur.supernet.families import family_of
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel


@contextmanager
def multiplied(model: PreTrainedModel, mask: SubnetMask) -> Iterator[PreTrainedModel]:
    """Run `model` with a mask applied by multiplication; slow and plain, to compare other ways with.

    Heads are zeroed where their context enters the output projection, neurons after the activation, dimensions of the
    residual stream after each LayerNorm, whose mean and variance are taken over the kept dimensions.
    """
    family = family_of(model.config)
    shape = family.shape(model.config)
    handles: list[RemovableHandle] = []
    residual: dict[str, Tensor] = {}

    def numbers(kept: np.ndarray) -> Tensor:
        return torch.from_numpy(kept.astype(np.float32))

    hidden = numbers(mask.hidden)

    def find(path: str) -> nn.Module:
        return model.get_submodule(path)

    def multiply_input(path: str, factor: Tensor) -> None:
        handles.append(find(path).register_forward_pre_hook(lambda _, inputs: (inputs[0] * factor, *inputs[1:])))

    def normalise_kept(path: str) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor], _: Tensor) -> Tensor:
            x, n = inputs[0], hidden.sum()
            mean = (x * hidden).sum(-1, keepdim=True) / n
            variance = ((x - mean).square() * hidden).sum(-1, keepdim=True) / n
            scaled = (x - mean) / torch.sqrt(variance + module.eps) * module.weight
            return (scaled if module.bias is None else scaled + module.bias) * hidden

        handles.append(find(path).register_forward_hook(hook))

    def multiply_output(path: str, factor: Tensor | float) -> None:
        handles.append(find(path).register_forward_hook(lambda _module, _inputs, output: output * factor))

    def bypass(path: str, source: str) -> None:
        handles.append(find(path).register_forward_hook(lambda *_: residual[source]))

    projection = family.embeddings.projection
    if projection is not None and f"{projection}.weight" in dict(model.named_parameters()):
        multiply_output(projection, hidden)
    else:
        normalise_kept(family.embeddings.norm)
    if family.distances_norm is not None:
        normalise_kept(family.distances_norm)
    if family.pre_norm:  # what a block adds is all that its residual stream gets
        for path in family.norm_paths(dict(model.named_parameters())):
            normalise_kept(path)
    for i in range(shape.num_layers if family.pre_norm else 0):
        for part, kept in (
            ("attention_output", np.repeat(mask.heads[i], shape.head_size)),
            ("ffn_out", mask.neurons[i]),
        ):
            multiply_input(family.layer_path(i, part), numbers(kept))
            multiply_output(family.layer_path(i, part), hidden * float(kept.any()))
    for i in range(0 if family.pre_norm else shape.num_layers):
        norms = family.layer_path(i, "attention_norm"), family.layer_path(i, "ffn_norm")
        multiply_input(family.layer_path(i, "attention_output"), numbers(np.repeat(mask.heads[i], shape.head_size)))
        multiply_input(family.layer_path(i, "ffn_out"), numbers(mask.neurons[i]))
        for norm in norms:
            normalise_kept(norm)

        def keep_input(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            residual["layer"] = inputs[0]

        def keep_middle(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            residual["middle"] = output

        handles.append(find(f"{family.layers}.{i}").register_forward_pre_hook(keep_input))
        if not mask.heads[i].any():
            bypass(norms[0], "layer")
        handles.append(find(norms[0]).register_forward_hook(keep_middle))
        if not mask.neurons[i].any():
            bypass(norms[1], "middle")
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()
