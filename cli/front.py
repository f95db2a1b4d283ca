"""`secateur front`: the subnetworks that nothing beats."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from fractions import Fraction

from rich.table import Table
from rich.text import Text

from ..errors import InputError
from ..evaluation.archive import Archive
from ..evaluation.evaluation import NATIVE, RECOVERED, SEARCHED, STANDARD, SUPERNET_PRUNED, Evaluation
from ..evaluation.objectives import ERROR
from ..search_space import SubnetMask
from ..supernet.families import family_of
from ..supernet.storage import load_config
from .console import out
from .rescore import ERROR_INT8, REPORT, SELECTION, other_scores
from .run_folder import RunFolder
from .settings import FrontCommand
from .terminal import draw, front_clouds


@dataclass(frozen=True)
class FrontPoint:
    """One model of the front, as `front --json` prints it; its key and its weights together tell it from all others.

    A pruned model's key needs its method and its density too. What a model with zeros instead of fewer units does not
    save is null; `nonzero` is its share of weights that are left. `scores` has what the task's other metrics say of the
    report split.

    Errors are 1 - the task's metric; `error_selection` is what the search chose on, `error_report` was looked at once.
    `error_int8` is the report split's after quantisation, null where models are not served in int8. `latency_ms` was
    measured end to end on the extracted model as it is served, `latency_predicted_ms` comes from the table of parts.
    """

    key: str
    weights: str
    method: str
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    hidden: int
    error_selection: float
    error_report: float
    parameters: int | None
    encoder_parameters: int | None
    macs: int | None
    latency_ms: float | None
    latency_low_ms: float | None
    latency_high_ms: float | None
    latency_predicted_ms: float | None
    density: float | None = None
    nonzero: float | None = None
    error_int8: float | None = None
    scores: dict[str, float] = field(default_factory=dict, hash=False)


def front(settings: FrontCommand) -> None:
    """Print the front of a run, the most accurate first."""
    folder = RunFolder.open(settings.run)
    shares = None if settings.shares is None else parse_shares(settings.shares)
    with open_archive(folder) as archive:
        points = front_points(archive, settings.against, settings.weights)
        if shares is not None:
            whole = whole_point(folder, archive, settings.weights)
            points = within_shares(whole, points, settings.against, shares)
        lines = [] if settings.as_json else _drawing(archive, points, settings)
    if settings.as_json:
        out.print_json(json.dumps([asdict(point) for point in points]))
        return
    for line in lines:
        out.print(line)
    out.print(front_table(folder, points))


def _drawing(archive: Archive, points: list[FrontPoint], settings: FrontCommand) -> list[Text]:
    """Draw the front in a terminal."""
    evaluated = archive.evaluations(split=SELECTION, weights=settings.weights or SEARCHED)
    chosen = {(p.key, p.weights) for p in points}
    front = [one for one in evaluated if (one.key, one.weights) in chosen]
    clouds = front_clouds(evaluated, front, settings.against)
    cost = "latency, predicted (ms)" if settings.against == "latency_ms" else settings.against.replace("_", " ")
    return draw(clouds, cost, "error, selection split", out)


def open_archive(folder: RunFolder) -> Archive:
    """Open the archive of a searched run.

    Raises:
        InputError: nothing has been searched yet.
    """
    if not folder.archive.exists():
        raise InputError(f"{folder.path} has no archive yet; run `secateur search {folder.path}` first")
    return Archive(folder.archive)


def front_points(archive: Archive, against: str, weights: str | None = None) -> list[FrontPoint]:
    """Return the front of error against a cost on the selection split, the lowest error first.

    Args:
        archive: where from.
        against: the cost.
        weights: only models with these; of both kinds that are searched for if None.

    Raises:
        InputError: the search has not come to scoring its front on the report split.
    """
    reported = {one.model: one for one in archive.evaluations(split=REPORT)}
    chosen = archive.front((ERROR, against), weights=weights or SEARCHED)
    if not chosen and weights is not None and len(archive):
        if archive.evaluations(split=SELECTION, weights=weights):
            known = {name for one in archive.evaluations(split=SELECTION, weights=weights) for name in one.values}
            raise InputError(
                f"no model with {weights} weights in {archive.path} has {against}; add --against "
                f"{'nonzero' if 'nonzero' in known else 'encoder_parameters'}"
            )
        raise InputError(
            f"{archive.path} has no model with {weights} weights; run `secateur {_maker(weights, archive)}` for them"
        )
    if not chosen:
        raise InputError(f"{archive.path} is empty; run `secateur search {archive.path.parent}` first")
    missing = [one.key for one in chosen if one.model not in reported]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(chosen)} models of the front have no report score yet; run `secateur search` "
            "again, it goes on where it stopped"
        )
    return [front_point(one, reported[one.model]) for one in chosen]


def _maker(weights: str, archive: Archive) -> str:
    """Return the command that makes models with these weights."""
    run = archive.path.parent
    if weights in SEARCHED:
        return f"search {run}{' --search-searcher moasha' if weights == STANDARD else ''}"
    if weights == RECOVERED:
        return f"compare {run} --recover 1"
    method = "deepcuts_cam" if weights == NATIVE else "mask_tuning"
    origin = " --from supernet" if weights == SUPERNET_PRUNED else ""
    return f"prune {run} --method {method} --density 0.8,0.6,0.4{origin}"


def whole_point(folder: RunFolder, archive: Archive, weights: str | None = None) -> FrontPoint:
    """Return the whole network, which every search evaluates and scores on both splits; the supernet's, if it may be.

    Raises:
        InputError: the search has not come to it.
    """
    config = load_config(folder.supernet if folder.supernet.is_dir() else folder.finetuned)
    key = SubnetMask.full(family_of(config).shape(config)).key
    selection = whole_evaluation(archive, key, SELECTION, weights)
    report = None if selection is None else on_report(archive, selection)
    if selection is None or report is None:
        raise InputError(f"{archive.path} has no score of the whole network yet; run `secateur search` again")
    return front_point(selection, report)


def whole_evaluation(archive: Archive, key: str, split: str, weights: str | None = None) -> Evaluation | None:
    """Return the whole network's evaluation: the supernet's where several kinds of weights were evaluated."""
    kinds = SEARCHED if weights is None else (weights,)
    found = [archive.lookup(key, split, weights=kind) for kind in kinds]
    return next((one for one in found if one is not None), None)


def on_report(archive: Archive, selection: Evaluation) -> Evaluation | None:
    """Return what the model of an evaluation got on the report split, None if it was not scored there."""
    found = archive.evaluations(split=REPORT, weights=selection.weights)
    return next((one for one in found if one.model == selection.model), None)


def within_shares(
    whole: FrontPoint, points: list[FrontPoint], against: str, shares: tuple[Fraction, ...]
) -> list[FrontPoint]:
    """Return the whole network and, for each share of its cost, the model of the lowest selection error within it.

    Raises:
        InputError: nothing on the front is so small.
    """
    chosen = [whole]
    for share in shares:
        within = [p for p in points if getattr(p, against) <= share * Fraction(getattr(whole, against))]
        if not within:
            least = min(getattr(p, against) for p in points) / getattr(whole, against)
            raise InputError(f"nothing on the front has at most {share} of the {against}; the least is {least:.3g}")
        chosen.append(min(within, key=lambda p: (p.error_selection, getattr(p, against))))
    return chosen


def parse_shares(text: str) -> tuple[Fraction, ...]:
    """Read shares such as `3/4,1/2,0.1`.

    Raises:
        InputError: something that is not a number above 0 and at most 1.
    """
    shares = []
    for part in text.split(","):
        try:
            share = Fraction(part.strip())
        except (ValueError, ZeroDivisionError):
            share = Fraction(0)
        if not 0 < share <= 1:
            raise InputError(f"--shares needs numbers above 0 and at most 1, such as 3/4,1/2,0.1; got {part.strip()!r}")
        shares.append(share)
    return tuple(shares)


def front_point(selection: Evaluation, report: Evaluation) -> FrontPoint:
    """Put together what both splits say of one model."""
    return FrontPoint(
        key=selection.key,
        weights=selection.weights,
        method=selection.method,
        heads=selection.mask.heads_per_layer,
        neurons=selection.mask.neurons_per_layer,
        hidden=selection.mask.hidden_size,
        error_selection=selection.values[ERROR],
        error_report=report.values[ERROR],
        parameters=_count(selection, "parameters"),
        encoder_parameters=_count(selection, "encoder_parameters"),
        macs=_count(selection, "macs"),
        latency_ms=report.values.get("latency_ms"),
        latency_low_ms=report.values.get("latency_low_ms"),
        latency_high_ms=report.values.get("latency_high_ms"),
        latency_predicted_ms=selection.values.get("latency_ms"),
        density=selection.recipe.get("density"),
        nonzero=selection.values.get("nonzero"),
        error_int8=report.values.get(ERROR_INT8),
        scores=other_scores(report),
    )


def _count(one: Evaluation, name: str) -> int | None:
    return int(one.values[name]) if name in one.values else None


def front_table(folder: RunFolder, points: list[FrontPoint]) -> Table:
    """Draw the front as a table."""
    table = Table(title=f"{folder.path}: {folder.project.task}, error = 1 - metric", title_justify="left")
    table.add_column("key", no_wrap=True)
    both = len({p.weights for p in points}) > 1
    pruned = any(p.density is not None for p in points)
    if both:
        table.add_column("weights", no_wrap=True)
    if pruned:
        table.add_column("method", no_wrap=True)
        table.add_column("density", justify="right")
    for name in ("layers", "heads", "neurons"):
        table.add_column(name, justify="right")
    int8 = any(p.error_int8 is not None for p in points)
    latency = "int8: error, ms (quartiles)" if int8 else "latency ms (quartiles)"
    for name in ("error, selection", "error, report", "parameters", "encoder", "MACs", latency):
        table.add_column(name, justify="right", no_wrap=out.width >= 120)
    for p in points:
        table.add_row(
            p.key,
            *((p.weights,) if both else ()),
            *((p.method, "-" if p.density is None else f"{p.density:g}") if pruned else ()),
            str(sum(1 for h, n in zip(p.heads, p.neurons, strict=True) if h or n)),
            kept(p.heads),
            kept(p.neurons),
            f"{p.error_selection:.4f}",
            f"{p.error_report:.4f}",
            _millions(p.parameters, 2),
            _millions(p.encoder_parameters, 2) if p.nonzero is None else f"{p.nonzero:.1%} non-zero",
            _millions(p.macs, 0),
            _served(p),
        )
    return table


def _served(p: FrontPoint) -> str:
    """Write the latency, in int8 with the error that goes with it."""
    error = "" if p.error_int8 is None else f"{p.error_int8:.4f}, "
    return (
        "-" if p.latency_ms is None else f"{error}{p.latency_ms:.2f} ({p.latency_low_ms:.2f}-{p.latency_high_ms:.2f})"
    )


def _millions(count: int | None, digits: int) -> str:
    return "-" if count is None else f"{count / 1e6:.{digits}f} M"


def kept(counts: tuple[int, ...]) -> str:
    """Write what the layers keep: one number if all that keep anything agree, else one per layer."""
    used = {count for count in counts if count}
    return str(used.pop()) if len(used) == 1 else "-" if not used else "/".join(map(str, counts))
