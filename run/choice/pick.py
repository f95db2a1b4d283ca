"""The best model within budgets: as measured here and now, or as the archive has it."""

from __future__ import annotations

from dataclasses import replace

from ...evaluation.archive import Archive
from ...evaluation.choice import choose, nearest
from ...evaluation.evaluation import FLIP_RATE, Evaluation
from ...evaluation.model import Home
from ..constant import judged, notes_of
from ..folder import RunFolder
from ..settings.choice import GATE, Budgets, PickSettings
from .answer import Answer
from .front import open_archive
from .promise import Promise
from .stored import MEASURED, given_budgets, known_budgets, nothing_within, stored_answer, stored_candidates


def pick(folder: RunFolder, settings: PickSettings, home: Home | None = None) -> Answer:
    """Name the best model within budgets, and its neighbours on the front.

    Of all models that a search evaluated: the one of the lowest error on the selection split whose latency's upper
    quartile, measured in turn with others, keeps the budget, and that keeps its 99th percentile under load. With an
    error as the only budget, the one of the smallest encoder; with a flip rate, the cheapest. An answer is kept: as
    long as the archive has no more models, and the one that was named keeps its budgets when it is measured again, it
    is named again.

    Raises:
        InputError: no budget, nothing that keeps them, no latency table of this machine.
    """
    promise = Promise.of(settings)
    budgets = given_budgets(settings) if promise is None else promise.within(known_budgets(settings))
    with open_archive(folder) as archive:
        if settings.as_measured:
            answer = stored_answer(folder, archive, budgets, settings, home)
        else:
            from .measured import measured_answer  # here: what is stored can be read without torch

            answer = measured_answer(folder, archive, budgets, promise, settings, home)
        models = dict(zip(answer.roles, judged(folder, answer.roles.values()), strict=True))
        return replace(answer, **models, notes=notes_of(folder, archive, models.values()))


def chosen_model(
    folder: RunFolder,
    archive: Archive,
    settings: Budgets,
    *,
    runtime: str | None = None,
    weights: str | None = None,
    gate: float = GATE,
) -> Evaluation:
    """Return what :func:`pick` names for the same budgets, as it was evaluated on the selection split.

    What it has named is not measured again; where it was not asked, what must be is measured now.

    Args:
        folder: the run.
        archive: its.
        settings: at least one budget.
        runtime: what will run the model; the search's if None.
        weights: only models with these; with any that are searched for if None.
        gate: how far models that run in int8 may be off.

    Raises:
        InputError: as :func:`pick`.
    """
    budgets = given_budgets(settings)
    if set(budgets) & {*MEASURED, FLIP_RATE}:
        from .measured import measured_choice

        return measured_choice(folder, archive, budgets, runtime, weights, gate)
    known = stored_candidates(folder, archive, budgets, weights)
    chosen = choose(known, budgets)
    if chosen is None:
        raise nothing_within(budgets, nearest(known, budgets))
    return chosen.evaluation
