"""What int8 does to a model's answers, and which of its maps stay in float32 so that it does little."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ..errors import InputError
from ..evaluation.answers import Answers
from ..evaluation.flips import flip_rate
from ..evaluation.model_error import file_outputs, model_outputs
from ..supernet.shipping.engines import Engine
from ..supernet.shipping.session import FileModel
from ..tasks import Task
from ..tasks.agreement import agreement
from ..tasks.batches import Batch

_FEW = 128
"""Texts on which each map's part is looked at."""
_SCALES = 64
"""Texts for the scales of such a look."""


class Gap(NamedTuple):
    """How far an int8 file is from its model on the selection split.

    Attributes:
        flips: share of what is answered otherwise.
        rise: of the error; 0 where it fell.
    """

    flips: float
    rise: float

    def within(self, gate: float) -> bool:
        """Neither is more than that."""
        return max(self) <= gate

    def __str__(self) -> str:
        return f"answers {self.flips:.1%} of the selection split otherwise, its error rises by {self.rise:.4f}"


class Int8Judge:
    """Holds files in int8 against the answers of their model.

    Args:
        model: in float32, in evaluation mode.
        task: whose selection split is answered.
    """

    def __init__(self, model: PreTrainedModel, task: Task) -> None:
        self._task, self._split = task, task.selection
        self._outputs = model_outputs(model, self._split, pad_token_id=task.pad_token_id)
        self._error = task.metric.error(self._outputs, self._split)
        self._answered = task.kind.answered(self._outputs, self._split)
        self._metric = agreement(task.kind)

    def gap(self, found: FileModel) -> Gap:
        """Run a file over the split."""
        outputs = file_outputs(found, self._split, pad_token_id=self._task.pad_token_id)
        if not np.isfinite(outputs).all():
            return Gap(1.0, float("inf"))
        flips = flip_rate(Answers.of(self._metric, [outputs], [self._answered])).rate
        return Gap(flips, max(0.0, self._task.metric.error(outputs, self._split) - self._error))

    def distance(self, found: FileModel) -> float:
        """Return the root mean square by which a file's outputs are off on the first texts."""
        rows = np.arange(min(_FEW, len(self._split)))
        few = self._split.take(rows)
        outputs = file_outputs(found, few, pad_token_id=self._task.pad_token_id)
        expected = self._outputs[self._split.outputs_at(rows)]
        return float(np.sqrt(np.square(outputs - expected).mean())) if np.isfinite(outputs).all() else float("inf")


@dataclass(frozen=True)
class Mended:
    """An int8 file that keeps its gate.

    Attributes:
        gap: of the file as it is.
        before: of one all of whose maps are in int8.
        in_float: names of the operations that stay in float32.
        maps: of how many.
    """

    gap: Gap
    before: Gap
    in_float: tuple[str, ...]
    maps: int

    @property
    def line(self) -> str:
        """Says in a sentence or two what it is worth."""
        if not self.in_float:
            return f"In int8 it {self.gap}."
        kept = f"{len(self.in_float)} of {self.maps} maps stay in float32"
        return f"In int8 it {self.gap}; {kept}, without which it {self.before}."


def quantise_within(
    engine: Engine,
    path: Path,
    to: Path,
    texts: Sequence[Batch],
    judge: Int8Judge,
    gate: float,
    tick: Callable[[int, int], object] = lambda done, of: None,
) -> Mended:
    """Write a file in int8 that is within a gate, with as few maps in float32 as that takes.

    If all in int8 is too far off, each group of maps that read the same is quantised alone. They stay in float32 from
    the one that is furthest off down; how many, bisection finds.

    Args:
        engine: whose files they are.
        path: the float32 file.
        to: the file to write.
        texts: what fixed scales are for.
        judge: of the model.
        gate: the most of :class:`Gap`.
        tick: is told of each look, and of how many there may be.

    Raises:
        InputError: with all of them in float32 it is not within the gate either, or errors of the engine.
    """
    feed = engine.open(path).feed
    feeds = [feed(batch) for batch in texts]
    engine.quantise(path, to, feeds)
    before = judge.gap(engine.open(to))
    groups = engine.maps(path)
    count = sum(map(len, groups))
    if before.within(gate):
        return Mended(before, before, (), count)
    looks = len(groups) + len(groups).bit_length()
    with tempfile.TemporaryDirectory() as folder:
        trial, off = Path(folder) / to.name, []
        for done, alone in enumerate(groups):
            tick(done, looks)
            others = [name for group in groups if group is not alone for name in group]
            engine.quantise(path, trial, feeds[:_SCALES], in_float=others)
            off.append(judge.distance(engine.open(trial)))
    worst = np.argsort(-np.array(off), kind="stable")

    def tried(count: int) -> Gap:
        tick(looks - (high - low).bit_length(), looks)
        engine.quantise(path, to, feeds, in_float=_names(groups, worst[:count]))
        return judge.gap(engine.open(to))

    low, high = 0, len(groups)  # so many groups in float32 are too few, and enough
    gap, written = tried(high), high
    if not gap.within(gate):
        raise InputError(
            f"{engine.title}'s int8 {gap} even with all maps in float32, where {gate:g} is allowed; serve it in "
            "float32, or allow more with `gate`"
        )
    while high - low > 1:
        written = middle = (low + high) // 2
        found = tried(middle)
        if found.within(gate):
            high, gap = middle, found
        else:
            low = middle
    names = _names(groups, worst[:high])
    if written != high:
        engine.quantise(path, to, feeds, in_float=names)
    tick(looks, looks)
    return Mended(gap, before, names, count)


def _names(groups: Sequence[tuple[str, ...]], places: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(name for place in places for name in groups[place])
