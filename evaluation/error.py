"""The error of subnetworks on a split, fast: slices, texts sorted by length, all depths from one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.encoder import embed
from ..tasks.batches import Batch, sorted_batches
from ..tasks.task import Metric, Split

# Padded tokens of a batch, by what was measured to be fastest: few pad less, and in bfloat16 many mean fewer shapes to
# compile kernels for. The widest activation stays below 32 MB, from where on the allocator maps fresh memory, which the
# operating system clears, each time.
_TOKENS_ON_CPU = {torch.float32: 1536, torch.bfloat16: 3072}
_TOKENS = 16384
# Embeddings are shared by all subnetworks; beyond this many elements they are computed for each again.
_CACHED_ELEMENTS = 2**28


class SplitError:
    """Runs subnetworks of one supernet over one split.

    Args:
        supernet: its weights must not change while this object lives.
        split: tokenised texts with labels.
        metric: what is scored; the error is 1 - score.
        pad_token_id: fills up short texts of a batch.
        dtype: precision of the passes.
    """

    def __init__(
        self,
        supernet: Supernet,
        split: Split,
        metric: Metric,
        *,
        pad_token_id: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.supernet = supernet
        self.split = split
        self.metric = metric
        self.dtype = dtype
        tokens = _TOKENS_ON_CPU[dtype] if supernet.device.type == "cpu" else _TOKENS
        batches = sorted_batches(split, tokens=tokens, pad_token_id=pad_token_id)
        self._batches = [batch.to(supernet.device) for batch in batches]
        self._order = np.concatenate([batch.index for batch in self._batches])
        self._embedded: list[Tensor] | None = None

    @torch.inference_mode()
    def logits(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the logits `(n, C)` in the split's order after each depth, from one pass over the split.

        The logits after d layers are those of `mask.truncated(d)`, exactly.
        """
        subnet = self.supernet.subnet(mask, self.dtype)
        texts = ((embedded, batch.attention_mask) for batch, embedded in self._texts())
        found: dict[int, np.ndarray] = {}
        for depth, values in subnet.readouts(texts, tuple(depths)).items():
            found[depth] = np.empty((len(self.split), values.shape[1]), dtype=np.float32)
            found[depth][self._order] = values.float().cpu().numpy()
        return found

    def errors(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, float]:
        """Return `1 - score` after each depth; NaN where the outputs are not numbers."""
        return {
            depth: self.metric.error(outputs, self.split.labels) if np.isfinite(outputs).all() else float("nan")
            for depth, outputs in self.logits(mask, depths).items()
        }

    def _texts(self) -> list[tuple[Batch, Tensor]] | zip[tuple[Batch, Tensor]]:
        if self._embedded is None:
            elements = sum(b.input_ids.numel() for b in self._batches) * self.supernet.shape.hidden_size
            if elements > _CACHED_ELEMENTS:
                return zip(self._batches, map(self._embed, self._batches), strict=True)
            self._embedded = [self._embed(batch) for batch in self._batches]
        return zip(self._batches, self._embedded, strict=True)

    def _embed(self, batch: Batch) -> Tensor:
        supernet = self.supernet
        total = embed(supernet.architecture, supernet.parameters, batch.input_ids, batch.token_type_ids)
        return total.to(self.dtype)
