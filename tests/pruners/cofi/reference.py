"""What masks mean, by multiplication: the full Hugging Face model with hooks, in double precision."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from secateur.pruners.cofi.masks import MaskValues
from secateur.supernet.families import family_of
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel


@contextmanager
def masked(model: PreTrainedModel, values: MaskValues) -> Iterator[PreTrainedModel]:
    """Run `model`, in double precision, with hooks that multiply masks where the paper does.

    Heads' contexts, neurons' outputs, blocks' outputs with their biases, and residual dimensions: of the embeddings'
    sum, of what each block adds, and of each LayerNorm's output, whose statistics are those of the dimensions that are
    not zero. A block whose mask is zero, or all of whose units' masks are, is passed by with its LayerNorm.
    """
    handles: list[RemovableHandle] = []
    attention, ffn, heads, neurons, hidden = (part.detach().double() for part in values)
    family = family_of(model.config)
    shape = family.shape(model.config)
    kept = (hidden > 0).double()
    residual: dict[str, Tensor] = {}

    def find(path: str) -> nn.Module:
        return model.get_submodule(path)

    def before(path: str, hook: Callable) -> None:
        handles.append(find(path).register_forward_pre_hook(hook))

    def after(path: str, hook: Callable) -> None:
        handles.append(find(path).register_forward_hook(hook))

    def multiply_input(path: str, factor: Tensor) -> None:
        before(path, lambda _, inputs: (inputs[0] * factor, *inputs[1:]))

    def multiply_output(path: str, factor: Tensor) -> None:
        after(path, lambda _, __, output: output * factor)

    def normalise_kept(path: str, factor: Tensor) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor], _: Tensor) -> Tensor:
            x, n = inputs[0], kept.sum()
            mean = (x * kept).sum(-1, keepdim=True) / n
            variance = ((x - mean).square() * kept).sum(-1, keepdim=True) / n
            scaled = (x - mean) / torch.sqrt(variance + module.eps) * module.weight
            return (scaled if module.bias is None else scaled + module.bias) * factor

        after(path, hook)

    projection = family.embeddings.projection
    if projection is not None and f"{projection}.weight" in dict(model.named_parameters()):
        multiply_output(projection, hidden)
    else:
        multiply_input(family.embeddings.norm, hidden)
        normalise_kept(family.embeddings.norm, hidden)
    if family.distances_norm is not None:
        normalise_kept(family.distances_norm, hidden)
    if family.pre_norm:  # what blocks add is multiplied, and nothing else of the stream
        for path in family.norm_paths(dict(model.named_parameters())):
            normalise_kept(path, kept)
    for i in range(shape.num_layers):
        norms = family.layer_path(i, "attention_norm"), family.layer_path(i, "ffn_norm")
        multiply_input(family.layer_path(i, "attention_output"), heads[i].repeat_interleave(shape.head_size))
        multiply_output(family.layer_path(i, "attention_output"), attention[i] * hidden)
        multiply_input(family.layer_path(i, "ffn_out"), neurons[i])
        multiply_output(family.layer_path(i, "ffn_out"), ffn[i] * hidden)
        if family.pre_norm:
            continue
        for norm in norms:
            normalise_kept(norm, hidden)
        before(f"{family.layers}.{i}", lambda _, inputs: residual.update(layer=inputs[0]))
        if not attention[i] or not heads[i].any():
            after(norms[0], lambda *_: residual["layer"])
        after(norms[0], lambda _, __, output: residual.update(middle=output))
        if not ffn[i] or not neurons[i].any():
            after(norms[1], lambda *_: residual["middle"])
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()
