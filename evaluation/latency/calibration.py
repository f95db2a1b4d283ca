"""Making a latency table: which networks are timed, and how their times become the times of parts.

The parts are differences between whole extracted models that were run end to end, so what they cost inside a network,
caches and framework included, is in them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.stats import kendalltau

from ...search_space import EncoderShape, Medium, SearchSpace, Small, SubnetMask
from ...supernet import Supernet
from ...supernet.extraction import extract
from .measure import Bench
from .runtime import RUNTIMES
from .table import Accuracy, LatencyParts, LatencyTable, Part
from .target import LatencyTarget

# From fine to coarse: sizes of attention and of feed-forward blocks, the share of layers that networks of equal layers
# have, networks that the sum of parts is scaled to, networks that only tell the error.
_LADDER = ((8, 9, 1.0, 6, 15), (6, 6, 1.0, 5, 12), (4, 5, 0.5, 4, 10), (3, 4, 0.3, 3, 8))
_GROUP = 3  # networks that share a turn of the reference
_DRAWN = 5  # networks of which one is taken
_FEWEST_PASSES = 3  # of each network: a warm-up and two timed ones


@dataclass(frozen=True)
class Plan:
    """The networks that a calibration times.

    Attributes:
        widths: residual widths, rising.
        heads, neurons: sizes of blocks, rising.
        depth: layers of the networks in `parts`.
        parts: for each width the network without layers, those with attention of each size, and those with
            feed-forward blocks of each size, all layers equal.
        scaling: whole networks, to fit the scale of the sum of parts on.
        held_out: others, the whole network last, to tell the error.
    """

    widths: tuple[int, ...]
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    depth: int
    parts: tuple[SubnetMask, ...]
    scaling: tuple[SubnetMask, ...]
    held_out: tuple[SubnetMask, ...]

    @property
    def networks(self) -> tuple[SubnetMask, ...]:
        """All of them."""
        return (*self.parts, *self.scaling, *self.held_out)

    def least_seconds(self, shape: EncoderShape, whole: float) -> float:
        """Estimate how long it takes to time each network twice, from the seconds of the whole network's pass."""
        turns = len(self.networks) / _GROUP + 1
        passes = sum(share(shape, mask) for mask in self.networks) + turns * share(shape, reference_mask(shape))
        return _FEWEST_PASSES * passes * whole


def share(shape: EncoderShape, mask: SubnetMask) -> float:
    """Estimate a subnetwork's share of the whole network's time."""
    return 0.05 + 0.95 * mask.encoder_parameters(shape) / shape.encoder_parameters


def reference_mask(shape: EncoderShape) -> SubnetMask:
    """Return the network that others are timed in turn with: half of all heads and neurons."""
    return _uniform(shape, max(1, shape.num_heads // 2), max(1, shape.intermediate_size // 2), shape.num_layers)


def make_plan(shape: EncoderShape, whole: float, seconds: float, *, elastic_hidden: bool = False) -> Plan:
    """Choose the finest plan whose networks can be timed twice in `seconds`; the coarsest if none can.

    Args:
        shape: the encoder's sizes.
        whole: seconds of a pass of the whole network, all lengths of the target together.
        seconds: what there is.
        elastic_hidden: measure at several residual widths.
    """
    plan = _plan(shape, *_LADDER[0], elastic_hidden)
    for step in _LADDER[1:]:
        if plan.least_seconds(shape, whole) <= seconds:
            break
        plan = _plan(shape, *step, elastic_hidden)
    return plan


def _plan(
    shape: EncoderShape, heads: int, neurons: int, layers: float, scaling: int, held_out: int, elastic_hidden: bool
) -> Plan:
    quarters = (1, 2, 4) if elastic_hidden else (4,)
    widths = tuple(sorted({max(1, shape.hidden_size * quarter // 4) for quarter in quarters}))
    head_sizes, neuron_sizes = _sizes(shape.num_heads, heads), _sizes(shape.intermediate_size, neurons)
    depth = max(1, round(layers * shape.num_layers))
    parts: list[SubnetMask] = []
    for width in widths:
        parts.append(_uniform(shape, 0, 0, depth, width))
        parts += [_uniform(shape, size, 0, depth, width) for size in head_sizes]
        parts += [_uniform(shape, 0, size, depth, width) for size in neuron_sizes]
    rng, full = np.random.default_rng(0), SubnetMask.full(shape)
    small, medium = Small(shape), Medium(shape)
    fitted = spread_over_sizes(medium, scaling, rng)
    others = spread_over_sizes(medium, held_out - held_out // 2, rng) + spread_over_sizes(small, held_out // 2, rng)
    known = {full, *parts, *fitted}
    return Plan(
        widths,
        head_sizes,
        neuron_sizes,
        depth,
        tuple(parts),
        tuple(fitted),
        (*(m for m in others if m not in known), full),
    )


def spread_over_sizes(space: SearchSpace, count: int, rng: np.random.Generator) -> list[SubnetMask]:
    """Draw subnetworks of all sizes: of more than are needed, uniform in size, every so many-th from small to large."""
    drawn = [space.mask(x) for x in space.sample_by_size(_DRAWN * count, rng)]
    drawn.sort(key=lambda mask: mask.encoder_parameters(space.shape))
    return drawn[_DRAWN // 2 :: _DRAWN]


def _sizes(most: int, count: int) -> tuple[int, ...]:
    """Return about `count` sizes from 1 to `most`."""
    return tuple(int(n) for n in np.unique(np.linspace(0, most, count).round().astype(int).clip(min=1)))


def _uniform(shape: EncoderShape, heads: int, neurons: int, depth: int, hidden: int | None = None) -> SubnetMask:
    kept = np.arange(shape.num_layers) < depth
    return SubnetMask.from_counts(shape, kept * heads, kept * neurons, hidden)


def fitted_parts(target: LatencyTarget, plan: Plan, parts: ArrayLike, scaling: ArrayLike) -> LatencyParts:
    """Turn times of networks into those of parts.

    Args:
        target: what they belong to.
        plan: the networks.
        parts: `(p,)` milliseconds of `plan.parts`.
        scaling: `(s,)` milliseconds of `plan.scaling`.
    """
    times = np.asarray(parts, dtype=float).reshape(len(plan.widths), -1)
    base, heads = times[:, 0], len(plan.heads)
    beyond = (times[:, 1:] - base[:, None]) / plan.depth
    table = LatencyParts(
        target=target,
        hidden_sizes=plan.widths,
        base=tuple(float(b) for b in base),
        attention=tuple(Part(sizes=plan.heads, milliseconds=_rising(row[:heads])) for row in beyond),
        ffn=tuple(Part(sizes=plan.neurons, milliseconds=_rising(row[heads:])) for row in beyond),
    )
    blocks = np.array([table.predict(mask) for mask in plan.scaling]) - base[-1]
    kept = blocks > 0  # a network that keeps nothing tells nothing of blocks
    if not kept.any():
        return table
    return table.model_copy(update={"scale": float(np.median((np.asarray(scaling)[kept] - base[-1]) / blocks[kept]))})


def _rising(times: np.ndarray) -> tuple[float, ...]:
    # More heads never take less time, and no block takes less than none: what noise says otherwise is smoothed away.
    return tuple(float(t) for t in np.maximum(isotonic_regression(times).x, 0.0))


def calibrate(
    supernet: Supernet,
    target: LatencyTarget,
    *,
    elastic_hidden: bool = False,
    seconds: float = 50.0,
    report: Callable[[int, int], None] | None = None,
) -> LatencyTable:
    """Measure the parts on this machine.

    Args:
        supernet: gives the sizes; its weights do not matter.
        target: device, threads, batch size, length, precision and runtime.
        elastic_hidden: measure at several residual widths.
        seconds: what timing may take: fewer sizes and repeats where a pass is slow. Making the networks comes on top:
            next to nothing for PyTorch, for ONNX Runtime in int8 one or two seconds each.
        report: called with (networks done, networks in all).
    """
    begin = time.perf_counter()
    shape = supernet.shape
    with RUNTIMES[target.runtime](extract(supernet.model, SubnetMask.full(shape)), target) as run:
        first, whole = (float(run().sum()) for _ in range(2))
    left = seconds - first - whole
    plan = make_plan(shape, whole, left, elastic_hidden=elastic_hidden)
    bench = Bench(extract(supernet.model, reference_mask(shape)), target)
    _time(supernet, plan, bench, left, report)
    cut = np.cumsum([len(plan.parts), len(plan.scaling)])
    latencies = [bench.latency(place) for place in range(len(plan.networks))]
    parts, scaling, held_out = np.split(np.array([latency.median for latency in latencies]), cut)
    fitted = fitted_parts(target, plan, parts, scaling)
    predicted = np.array([fitted.predict(mask) for mask in plan.held_out])
    errors = np.abs(predicted / held_out - 1)
    accuracy = Accuracy(
        networks=len(held_out),
        worst=float(errors.max()),
        tau=rank_correlation(predicted, held_out),
        whole_p50=latencies[-1].p50,
        whole_p95=latencies[-1].p95,
        spread=bench.spread,
        seconds=time.perf_counter() - begin,
    )
    error = float(np.median(errors))
    return LatencyTable(**dict(fitted), reference=bench.reference, error=error, accuracy=accuracy)


def rank_correlation(predicted: ArrayLike, measured: ArrayLike) -> float:
    """Return Kendall's tau of two rows of times, 1 where they agree which of any two networks is faster."""
    return float(np.asarray(kendalltau(predicted, measured))[0])


def _time(
    supernet: Supernet, plan: Plan, bench: Bench, seconds: float, report: Callable[[int, int], None] | None
) -> None:
    """Time a plan's networks, each group in its share of what is left of the seconds."""
    shape, done = supernet.shape, 0
    left = sum(share(shape, mask) for mask in plan.networks)
    for group in _groups(plan.networks):
        mine = sum(share(shape, mask) for mask in group)
        allowed = (seconds - bench.seconds) * mine / left
        bench.add(*(extract(supernet.model, mask) for mask in group), seconds=allowed)
        left, done = left - mine, done + len(group)
        if report:
            report(done, len(plan.networks))


def _groups(masks: Sequence[SubnetMask]) -> list[Sequence[SubnetMask]]:
    return [masks[start : start + _GROUP] for start in range(0, len(masks), _GROUP)]
