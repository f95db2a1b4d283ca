"""The error of subnetworks on a split, as the program that serves them in int8 answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract_subnet
from ..supernet.shipping.engines import Engine
from ..tasks.batches import Batch
from ..tasks.metrics import Metric
from ..tasks.split import Split
from .model_error import error_of, file_outputs


class ServedError:
    """Does what `SplitError` does, in int8: each subnetwork is cut out, converted, quantised and run as a file.

    One pass gives one depth: a truncated subnetwork is another file, with scales of its own.

    Args:
        supernet: its weights must not change while this object lives.
        split: tokenised texts with labels.
        metric: what is scored; the error is 1 - score.
        pad_token_id: fills up short texts of a batch.
        engine: runs the files.
        texts: what fixed scales are found on.
    """

    all_depths = False

    def __init__(
        self,
        supernet: Supernet,
        split: Split,
        metric: Metric,
        *,
        pad_token_id: int,
        engine: Engine,
        texts: Sequence[Batch],
    ) -> None:
        self.supernet = supernet
        self.split = split
        self.metric = metric
        self.pad_token_id = pad_token_id
        self._engine, self._texts = engine, texts

    def outputs(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the outputs `(R, C)` in the split's order after each depth, a file for each."""
        return {depth: self._outputs(mask.truncated(depth)) for depth in depths}

    def errors(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, float]:
        """Return `1 - score` after each depth; NaN where the outputs are not numbers."""
        return {
            depth: error_of(outputs, self.split, self.metric) for depth, outputs in self.outputs(mask, depths).items()
        }

    def _outputs(self, mask: SubnetMask) -> np.ndarray:
        model = extract_subnet(self.supernet, mask).float().cpu().eval()
        found = self._engine.opened(model, int8=True, texts=self._texts)
        return file_outputs(found, self.split, pad_token_id=self.pad_token_id)
