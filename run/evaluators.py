"""Evaluators of a run's supernet."""

from __future__ import annotations

from collections.abc import Mapping

from ..evaluation.error import SplitError
from ..evaluation.evaluator import Evaluator
from ..evaluation.latency import LatencyTable
from ..evaluation.objectives import OBJECTIVES
from ..evaluation.racing import check_racing
from ..evaluation.served_error import ServedError
from ..evaluation.spelled_errors import SpelledErrors
from ..search_space import TokenSet
from ..supernet import Supernet
from ..tasks import Task
from ..tasks.split import Split
from .precision import split_error
from .settings.search import SearchSettings


def make_evaluator(
    supernet: Supernet,
    task: Task,
    splits: dict[str, Split],
    table: LatencyTable,
    settings: SearchSettings,
    known: dict[str, dict[str, float]],
    *,
    racing: bool = False,
    spelled: Mapping[TokenSet, Mapping[str, Split]] | None = None,
) -> Evaluator:
    """Build an evaluator of the error on some splits and all other objectives.

    Only a search may be `racing`, on one split: what cannot reach a front is stopped. `spelled` are the splits as
    masks with fewer tokens read them, in the numbers of the whole table.

    Raises:
        InputError: racing with a metric that it has no bound for.
    """
    if racing:
        check_racing(task.metric, task.num_labels)
    errors: Mapping[str, SplitError | ServedError | SpelledErrors] = split_errors(supernet, task, splits, settings)
    if spelled:
        settings = settings.model_copy(update={"prefix_mb": settings.prefix_mb // (1 + len(spelled))})
        each: dict[TokenSet | None, Mapping[str, Split]] = {None: splits, **spelled}
        made = {tokens: split_errors(supernet, task, dict(own), settings) for tokens, own in each.items()}
        errors = {name: SpelledErrors({tokens: own[name] for tokens, own in made.items()}) for name in splits}
    return Evaluator(errors, [make(supernet, table) for make in OBJECTIVES.values()], known=known, racing=racing)


def split_errors(
    supernet: Supernet, task: Task, splits: dict[str, Split], settings: SearchSettings
) -> dict[str, SplitError | ServedError]:
    """Make splits ready for passes of a supernet's subnetworks, in a precision that is resolved."""
    prefix, runtime = settings.prefix_mb * 2**20 // len(splits), settings.latency.runtime
    return {
        name: split_error(settings.precision, supernet, split, task, runtime, prefix_bytes=prefix)
        for name, split in splits.items()
    }
