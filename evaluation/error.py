"""The error of subnetworks on a split, fast: slices, texts sorted by length, all depths from one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.encoder import embed
from ..supernet.supernet import Subnet
from ..tasks.batches import Batch, sorted_batches
from ..tasks.metrics import Metric
from ..tasks.split import Split
from .model_error import error_of, in_order
from .prefixes import Prefix, Prefixes
from .racing import Outcome, check_racing, hardness, probes, stages

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
        prefix_bytes: most memory for hidden states that subnetworks share which begin with the same layers (see
            `Prefixes`); results do not depend on it. It is used where the depths asked for lie behind those layers.

    Attributes:
        all_depths: one pass gives the error after each depth.
        prefixes: the shared states, and how much they have saved.
    """

    all_depths = True

    def __init__(
        self,
        supernet: Supernet,
        split: Split,
        metric: Metric,
        *,
        pad_token_id: int,
        dtype: torch.dtype = torch.float32,
        prefix_bytes: int = 0,
    ) -> None:
        self.supernet = supernet
        self.split = split
        self.metric = metric
        self.dtype = dtype
        self.pad_token_id = pad_token_id
        self.prefixes = Prefixes(prefix_bytes)
        self._texts = self._batched(np.arange(len(split)), first=0)

    @torch.inference_mode()
    def outputs(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the outputs `(R, C)` in the split's order after each depth, from one pass over the split.

        The outputs after d layers are those of `mask.truncated(d)`, exactly.
        """
        subnet = self.supernet.subnet(mask, self.dtype)
        found = self._run(subnet, self._prefix(mask), self._texts, depths)
        return {depth: in_order(self.split, values, self._texts.rows) for depth, values in found.items()}

    def errors(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, float]:
        """Return `1 - score` after each depth; NaN where the outputs are not numbers."""
        return {depth: self._error(outputs) for depth, outputs in self.outputs(mask, depths).items()}

    @torch.inference_mode()
    def race(self, mask: SubnetMask, limits: Mapping[int, float]) -> dict[int, Outcome]:
        """Return the error after each depth, or an estimate where it is certain to be no lower than the limit.

        The rule is in `racing`. Each depth races by itself: the pass goes on for those that are left, and no deeper
        than they need. Errors of all rows can differ from :meth:`errors` by rounding, as batches are other ones.

        Args:
            mask: the subnetwork.
            limits: what the error after each depth must be below to be worth knowing; infinity if it is anyway.

        Raises:
            InputError: a metric that racing has no bound for.
        """
        course = self._course
        subnet, prefix = self.supernet.subnet(mask, self.dtype), self._prefix(mask)
        answers = {depth: course.right.copy() for depth in limits}
        found: dict[int, Outcome] = {}
        rows = 0
        for texts in course.stages:
            left = [depth for depth in limits if depth not in found]
            if not left:
                break
            rows += len(texts.rows)
            for depth, values in self._run(subnet, prefix, texts, left).items():
                answers[depth][texts.rows] = values
                bound = self._error(answers[depth])
                if rows == len(self.split) or np.isnan(bound):
                    found[depth] = Outcome(bound)
                elif bound >= limits[depth]:
                    found[depth] = Outcome(self._estimate(answers[depth], rows), rows)
        return found

    @cached_property
    def _course(self) -> _Course:
        """The split as races run it: found out by the passes of `probes`, the same in every process."""
        depths = range(1, self.supernet.shape.num_layers + 1)
        seen = [outputs for mask in probes(self.supernet.shape) for outputs in self.outputs(mask, depths).values()]
        classes = seen[0].shape[1]
        check_racing(self.metric, classes)
        labels = np.asarray(self.split.labels, np.int64)
        parts, first = [], len(self._texts.batches)
        for rows in stages(np.mean([hardness(outputs, labels) for outputs in seen], axis=0)):
            parts.append(self._batched(rows, first))
            first += len(parts[-1].batches)
        usable = [outputs for outputs in seen if np.isfinite(outputs).all()]
        return _Course(parts, np.eye(classes, dtype=np.float32)[labels], usable)

    def _estimate(self, answers: np.ndarray, rows: int) -> float:
        """Return the error of outputs `(n, C)` whose first rows are a subnetwork's and the others answered right.

        The others are taken from the probe that was nearest to it on the rows seen.
        """
        course, bound = self._course, self._error(answers)
        seen = np.concatenate([texts.rows for texts in course.stages])[:rows]

        def distance(probe: np.ndarray) -> float:
            others_right = course.right.copy()
            others_right[seen] = probe[seen]
            return abs(self._error(others_right) - bound)

        completed = min(course.probes, key=distance, default=answers).copy()
        completed[seen] = answers[seen]
        return self._error(completed)

    def _batched(self, rows: NDArray[np.int64], first: int) -> _Texts:
        tokens = _TOKENS_ON_CPU[self.dtype] if self.supernet.device.type == "cpu" else _TOKENS
        batches = sorted_batches(self.split.take(rows), tokens=tokens, pad_token_id=self.pad_token_id)
        batches = [replace(batch, index=rows[batch.index]).to(self.supernet.device) for batch in batches]
        return _Texts(self.supernet, self.dtype, batches, first)

    def _prefix(self, mask: SubnetMask) -> Prefix | None:
        return self.prefixes.of(mask) if self.prefixes.most_bytes else None

    def _run(
        self, subnet: Subnet, prefix: Prefix | None, texts: _Texts, depths: Sequence[int]
    ) -> dict[int, np.ndarray]:
        """Return the outputs `(R, C)` after each depth, in the order of `texts.rows`."""
        batches = (
            (embedded, batch.attention_mask, None if prefix is None else prefix.batch(number))
            for number, batch, embedded in texts
        )
        found = subnet.readouts(batches, tuple(depths))
        return {depth: values.float().cpu().numpy() for depth, values in found.items()}

    def _error(self, outputs: np.ndarray) -> float:
        return error_of(outputs, self.split, self.metric)


class _Texts:
    """Some rows of a split in batches, with their embeddings where those can be kept.

    Attributes:
        rows: positions in the split, in the order of the batches.
    """

    def __init__(self, supernet: Supernet, dtype: torch.dtype, batches: list[Batch], first: int) -> None:
        self.supernet = supernet
        self.dtype = dtype
        self.batches = batches
        self.first = first
        self.rows: NDArray[np.int64] = np.concatenate([batch.index for batch in batches])
        self._embedded: list[Tensor] | None = None

    def __iter__(self) -> Iterator[tuple[int, Batch, Tensor]]:
        """Return each batch with a number, unique in its split, and the sum of its embeddings `(B, T, E)`."""
        if self._embedded is None:
            elements = sum(b.input_ids.numel() for b in self.batches) * self.supernet.shape.hidden_size
            if elements > _CACHED_ELEMENTS:
                return ((i, batch, self._embed(batch)) for i, batch in enumerate(self.batches, self.first))
            self._embedded = [self._embed(batch) for batch in self.batches]
        numbers = range(self.first, self.first + len(self.batches))
        return zip(numbers, self.batches, self._embedded, strict=True)

    def _embed(self, batch: Batch) -> Tensor:
        supernet = self.supernet
        total = embed(supernet.architecture, supernet.parameters, batch.input_ids, batch.token_type_ids)
        return total.to(self.dtype)


@dataclass(frozen=True)
class _Course:
    """What a race needs to know of a split.

    Attributes:
        stages: its rows, hardest first.
        right: `(n, C)` outputs that answer all rows right.
        probes: outputs `(n, C)` of the subnetworks that told which rows are hard.
    """

    stages: list[_Texts]
    right: np.ndarray
    probes: list[np.ndarray]
