"""A table of measured parts that predicts any subnetwork's latency.

A subnetwork's time is the time of embeddings and head plus, per layer, the time of an attention block with its number
of heads and of a feed-forward block with its number of neurons. The parts are differences between whole extracted
models that were run end to end, so what they cost inside a network, caches and framework included, is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from transformers import PreTrainedModel

from ...errors import InputError
from ...search_space import EncoderShape, Medium, SubnetMask
from ...supernet import Supernet
from ...supernet.extraction import extract
from .measure import measure_pair
from .target import LatencyTarget


class Part(BaseModel):
    """Milliseconds of one block by what it keeps; between the measured sizes it is interpolated."""

    model_config = ConfigDict(frozen=True)

    sizes: tuple[int, ...]
    milliseconds: tuple[float, ...]

    def at(self, size: int) -> float:
        """Return the time of a block that keeps `size`; 0 for a dropped one."""
        return float(np.interp(size, self.sizes, self.milliseconds)) if size else 0.0


class LatencyTable(BaseModel):
    """Predicts latency on one target; made by :func:`calibrate`, kept as JSON.

    Attributes:
        target: what the times belong to.
        hidden_sizes: residual widths measured, rising.
        base: milliseconds of embeddings and head at each width.
        attention, ffn: parts of a layer at each width.
        scale: correction of the sum of parts, fitted on whole networks.
        reference: milliseconds, while the table was made, of the network that all others were timed in turn with, the
            one with half of all heads and neurons; NaN if unknown. What it takes later tells how the machine's speed
            has changed.
        error: median relative error on networks it was not fitted on.
    """

    model_config = ConfigDict(frozen=True)

    target: LatencyTarget
    hidden_sizes: tuple[int, ...]
    base: tuple[float, ...]
    attention: tuple[Part, ...]
    ffn: tuple[Part, ...]
    scale: float = 1.0
    reference: float = float("nan")
    error: float = float("nan")

    def predict(self, mask: SubnetMask) -> float:
        """Return milliseconds."""
        sums = [self._sum(mask, i) for i in range(len(self.hidden_sizes))]
        return float(np.interp(mask.hidden_size, self.hidden_sizes, sums))

    def _sum(self, mask: SubnetMask, width: int) -> float:
        blocks = sum(self.attention[width].at(heads) for heads in mask.heads_per_layer)
        blocks += sum(self.ffn[width].at(neurons) for neurons in mask.neurons_per_layer)
        return self.base[width] + self.scale * blocks

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(self.model_dump_json(indent=1))
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Read a table.

        Raises:
            InputError: a damaged file.
        """
        try:
            return cls.model_validate_json(path.read_text())
        except (ValidationError, UnicodeDecodeError) as error:
            raise InputError(f"the latency table {path} is damaged; delete it and it is measured again") from error


class Bench:
    """Times subnetworks as extracted models, each against the same reference in turn.

    The embedding tables, most of a small model, are shared by all of them; weights do not matter for time.

    Args:
        supernet: where subnetworks are cut from.
        target: what to measure on.
        repeats: timed passes of each.
    """

    def __init__(self, supernet: Supernet, target: LatencyTarget, *, repeats: int = 15) -> None:
        self.supernet = supernet
        self.target = target
        self.repeats = repeats
        shape = supernet.shape
        middle = SubnetMask.from_counts(
            shape,
            [max(1, shape.num_heads // 2)] * shape.num_layers,
            [max(1, shape.intermediate_size // 2)] * shape.num_layers,
        )
        self._reference: PreTrainedModel = extract(supernet.model, middle)
        self._references: list[float] = []
        self._ratios: list[float] = []

    def add(self, mask: SubnetMask) -> int:
        """Measure one subnetwork; returns its place in :meth:`milliseconds`."""
        model = extract(self.supernet.model, mask)
        timed, reference = measure_pair(model, self._reference, self.target, repeats=self.repeats)
        self._ratios.append(timed.median / reference.median)
        self._references.append(reference.median)
        return len(self._ratios) - 1

    @property
    def reference(self) -> float:
        """Milliseconds of the reference, the median over the session."""
        return float(np.median(self._references))

    def milliseconds(self) -> np.ndarray:
        """Return `(n,)` times of all that was added: ratios to the reference times its median over the session."""
        return np.array(self._ratios) * self.reference


def calibrate(
    supernet: Supernet,
    target: LatencyTarget,
    *,
    elastic_hidden: bool = False,
    repeats: int = 15,
    report: Callable[[int, int], None] | None = None,
) -> LatencyTable:
    """Measure the parts on this machine.

    Args:
        supernet: gives the sizes; its weights do not matter.
        target: device, threads, batch size, length, precision.
        elastic_hidden: measure at several residual widths.
        repeats: timed passes of each network.
        report: called with (networks done, networks in all).
    """
    shape = supernet.shape
    widths = [shape.hidden_size]
    if elastic_hidden:
        widths = sorted({max(1, shape.hidden_size * i // 4) for i in (1, 2, 4)})
    heads, neurons = _head_sizes(shape), _neuron_sizes(shape)
    networks: list[SubnetMask] = []
    for width in widths:
        networks.append(_uniform(shape, 0, 0, width))
        networks += [_uniform(shape, size, 0, width) for size in heads]
        networks += [_uniform(shape, 0, size, width) for size in neurons]
    mixed = _mixed(shape)
    bench = Bench(supernet, target, repeats=repeats)
    for done, mask in enumerate([*networks, *mixed]):
        bench.add(mask)
        if report:
            report(done + 1, len(networks) + len(mixed))
    times = bench.milliseconds()
    per_width = times[: len(networks)].reshape(len(widths), -1)
    base = per_width[:, 0]
    attention = (per_width[:, 1 : 1 + len(heads)] - base[:, None]) / shape.num_layers
    ffn = (per_width[:, 1 + len(heads) :] - base[:, None]) / shape.num_layers
    table = LatencyTable(
        target=target,
        hidden_sizes=tuple(widths),
        base=tuple(base),
        attention=tuple(Part(sizes=heads, milliseconds=_rising(row)) for row in attention),
        ffn=tuple(Part(sizes=neurons, milliseconds=_rising(row)) for row in ffn),
        reference=bench.reference,
    )
    return _corrected(table, mixed, times[len(networks) :])


def _corrected(table: LatencyTable, masks: list[SubnetMask], times: np.ndarray) -> LatencyTable:
    """Fit the scale of the blocks on one half of the whole networks and take the error on the other, then swap."""
    at = table.hidden_sizes.index(masks[0].hidden_size)
    blocks = np.array([table.predict(mask) for mask in masks]) - table.base[at]
    beyond = times - table.base[at]
    halves = np.arange(len(masks)) % 2 == 0
    errors = []
    for half in (halves, ~halves):
        scale = float(np.median(beyond[half] / blocks[half]))
        predicted = table.base[at] + scale * blocks[~half]
        errors += list(np.abs(predicted / times[~half] - 1))
    return table.model_copy(update={"scale": float(np.median(beyond / blocks)), "error": float(np.median(errors))})


def _rising(times: np.ndarray) -> tuple[float, ...]:
    # More heads never take less time; what noise says otherwise is smoothed away.
    return tuple(float(t) for t in np.maximum.accumulate(np.maximum(times, 0.0)))


def _head_sizes(shape: EncoderShape) -> tuple[int, ...]:
    wanted = np.unique(np.linspace(1, shape.num_heads, min(shape.num_heads, 8)).round().astype(int))
    return tuple(int(n) for n in wanted)


def _neuron_sizes(shape: EncoderShape) -> tuple[int, ...]:
    wanted = np.unique(np.linspace(shape.intermediate_size / 8, shape.intermediate_size, 8).round().astype(int))
    return tuple(int(n) for n in {1, *wanted} if n) if len(wanted) < 2 else (1, *(int(n) for n in wanted))


def _uniform(shape: EncoderShape, heads: int, neurons: int, hidden: int) -> SubnetMask:
    return SubnetMask.from_counts(shape, [heads] * shape.num_layers, [neurons] * shape.num_layers, hidden)


def _mixed(shape: EncoderShape) -> list[SubnetMask]:
    space = Medium(shape)
    return [space.mask(x) for x in space.sample_by_size(10, np.random.default_rng(0))] + [SubnetMask.full(shape)]
