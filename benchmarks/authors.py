"""The baseline: subnetworks as the published code of Klein et al. runs them.

Masks are multiplied into a model that computes everything; every batch is padded to 128 tokens; float32; the default
AdamW. Our own code after the description in the paper, on today's transformers: `head_mask` is gone from its models, so
heads are masked at the input of attention's output projection, which is the same product.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..tasks.batches import Batch, collate
from ..tasks.kinds import KINDS
from ..tasks.split import Split

LENGTH = 128
KIND = KINDS["classification"]


class MaskedModel:
    """A classifier that runs subnetworks by multiplication.

    Args:
        supernet: of any family; the model is copied.
    """

    def __init__(self, supernet: Supernet) -> None:
        self.model = copy.deepcopy(supernet.model).float()
        self.shape, self.family = supernet.shape, supernet.family

    @contextmanager
    def masked(self, mask: SubnetMask) -> Iterator[nn.Module]:
        """Yield the model with a mask multiplied in; a block that keeps nothing is computed and its input returned."""
        with ExitStack() as stack:
            for layer, (heads, neurons) in enumerate(zip(mask.heads, mask.neurons, strict=True)):
                units = np.repeat(heads, self.shape.head_size), neurons
                for part, kept in zip(("attention_output", "ffn_out"), units, strict=True):
                    module = self._module(self.family.layer_path(layer, part))
                    factors = torch.tensor(kept, dtype=torch.float32)
                    stack.callback(module.register_forward_pre_hook(_multiply(factors)).remove)
                    if not kept.any() and self.family.pre_norm:  # not even its bias
                        stack.callback(module.register_forward_hook(_nothing).remove)
                if not self.family.pre_norm:
                    self._bypass(layer, heads, neurons, stack)
            yield self.model

    def _bypass(self, layer: int, heads: np.ndarray, neurons: np.ndarray, stack: ExitStack) -> None:
        """Let the norms behind a layer's blocks give what the blocks got, where these keep nothing."""
        got: dict[str, Any] = {}
        whole = self._module(f"{self.family.layers}.{layer}")
        stack.callback(whole.register_forward_pre_hook(lambda _, args: got.update(attention=args[0])).remove)
        attention, ffn = (self._module(self.family.layer_path(layer, f"{part}_norm")) for part in ("attention", "ffn"))
        if not heads.any():
            stack.callback(attention.register_forward_hook(lambda *_: got["attention"]).remove)
        stack.callback(attention.register_forward_hook(lambda _, args, out: got.update(ffn=out)).remove)
        if not neurons.any():
            stack.callback(ffn.register_forward_hook(lambda *_: got["ffn"]).remove)

    def _module(self, path: str) -> nn.Module:
        return self.model.get_submodule(path)

    @torch.no_grad()
    def logits(self, mask: SubnetMask, split: Split, *, batch_size: int, pad_token_id: int) -> np.ndarray:
        """Evaluate one subnetwork on a split, in the split's order: `(n, C)`."""
        self.model.eval()
        found = []
        with self.masked(mask) as model:
            for start in range(0, len(split), batch_size):
                rows = np.arange(start, min(start + batch_size, len(split)))
                batch = collate(split, rows, pad_token_id)
                found.append(model(**padded(batch, pad_token_id)).logits.numpy())
        return np.concatenate(found)

    def full_step(
        self, masks: Sequence[SubnetMask], batch: Batch, pad_token_id: int, temperature: float = 10.0
    ) -> None:
        """Accumulate the gradients of a `full` step: the largest on labels, the other masks from it."""
        self.model.train()
        inputs = padded(batch, pad_token_id)
        teacher = self.model(**inputs).logits
        KIND.loss(teacher, batch).backward()
        for mask in masks:
            with self.masked(mask) as model:
                student = model(**inputs).logits
            KIND.distillation(student, teacher, batch, temperature=temperature, label_weight=1.0).backward()


def padded(batch: Batch, pad_token_id: int) -> dict[str, Tensor]:
    """Pad (or cut) a batch to 128 tokens."""
    real = batch.attention_mask if batch.attention_mask is not None else torch.ones_like(batch.input_ids).bool()
    more = LENGTH - batch.input_ids.shape[1]
    return {
        "input_ids": functional.pad(batch.input_ids, (0, more), value=pad_token_id),
        "attention_mask": functional.pad(real, (0, more), value=False).long(),
    }


def _nothing(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    return output * 0


def _multiply(values: Tensor) -> Any:
    return lambda _, args: (args[0] * values, *args[1:])
