"""The front of a run."""

from __future__ import annotations

from fractions import Fraction

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import NATIVE, RECOVERED, REPORT, SEARCHED, SELECTION, STANDARD, SUPERNET_PRUNED
from ...evaluation.objectives import ERROR
from ...search_space import SubnetMask
from ...supernet.families import family_of
from ...supernet.stored.storage import load_config
from ..folder import RunFolder
from ..model import FrontPoint, front_point, on_report, whole_evaluation


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
