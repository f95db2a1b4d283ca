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

# Keeps a batch's largest activation within what the allocator recycles: larger ones are mapped and cleared anew by the
# operating system each time, which doubled the time of a pass.
TOKENS_PER_BATCH = 4096
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
        tokens: padded tokens of a batch.
    """

    def __init__(
        self,
        supernet: Supernet,
        split: Split,
        metric: Metric,
        *,
        pad_token_id: int,
        dtype: torch.dtype = torch.float32,
        tokens: int = TOKENS_PER_BATCH,
    ) -> None:
        self.supernet = supernet
        self.split = split
        self.metric = metric
        self.dtype = dtype
        self._batches = [
            batch.to(supernet.device) for batch in sorted_batches(split, tokens=tokens, pad_token_id=pad_token_id)
        ]
        self._embedded: list[Tensor] | None = None

    @torch.inference_mode()
    def logits(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the logits `(n, C)` in the split's order after each depth, from one pass over the split.

        The logits after d layers are those of `mask.truncated(d)`, exactly.
        """
        subnet = self.supernet.subnet(mask, self.dtype)
        wanted = tuple(depths)
        collected: dict[int, np.ndarray] = {}
        for batch, embedded in self._texts():
            for depth, logits in subnet.readout(embedded, batch.attention_mask, wanted).items():
                values = logits.float().cpu().numpy()
                if depth not in collected:
                    collected[depth] = np.empty((len(self.split), values.shape[1]), dtype=np.float32)
                collected[depth][batch.index] = values
        return collected

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
