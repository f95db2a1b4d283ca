"""The front of a run: the models that nothing beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, overload

import numpy as np

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.choice import Candidate, choose
from ...evaluation.evaluation import REPORT, SELECTION, Evaluation
from ...evaluation.model import Home, Model, model_of
from ...evaluation.objectives import ERROR
from ...evaluation.weights import ONE_PER_MASK, Weights
from ..archives import archive_of, check_archive
from ..folder import RunFolder
from ..model import on_report
from ..telling import call_of
from .columns import Column, front_columns
from .html import html_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Front(Sequence[Model]):
    """Models of a run, the most accurate first.

    Attributes:
        models: all of them.
        title: what they are of.
        against: the cost beside the error.
        notes: what must be known of them: that nothing was learnt, that some are no better than a constant answer.
        shares: what they are the best within, of a front of shares.
    """

    models: Sequence[Model]
    title: str
    against: str
    notes: Sequence[str] = ()
    shares: Sequence[str] = ()

    @overload
    def __getitem__(self, index: int) -> Model: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Model]: ...

    def __getitem__(self, index: int | slice) -> Model | Sequence[Model]:
        return self.models[index]

    def __len__(self) -> int:
        return len(self.models)

    @property
    def columns(self) -> list[Column]:
        """The models as a table."""
        return front_columns(self, self.against, self.shares)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row for each model, a column for each fact."""
        import pandas as pd  # here and below: who prints a table needs neither

        return pd.DataFrame([model.facts() for model in self])

    def _repr_html_(self) -> str:
        return html_table(self.columns, f"{self.title}: error over {self.against}", self.notes)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the error of both splits over the cost; returns matplotlib's axes."""
        import matplotlib.pyplot as plt

        axes = plt.gca() if axes is None else axes
        for split, marker in (("selection", "o"), ("report", "x")):
            drawn = [(cost, getattr(m, f"error_{split}")) for m in self if (cost := m.cost(self.against)) is not None]
            drawn = [(cost, error) for cost, error in drawn if error is not None]
            axes.plot([cost for cost, _ in drawn], [error for _, error in drawn], marker, label=f"{split} split")
        axes.set_xlabel(self.against.replace("_ms", " (ms)").replace("_", " "))
        axes.set_ylabel("error")
        axes.set_title(self.title)
        axes.legend()
        return axes


@dataclass(frozen=True)
class Cloud:
    """Points that are drawn alike.

    Attributes:
        title: in the legend; not there if empty.
        points: `(n, 2)` costs and errors, finite.
        faint: dots, rather than a shape of their own.
    """

    title: str
    points: Sequence[tuple[float, float]]
    faint: bool = False


def front_clouds(evaluations: Sequence[Evaluation], models: Iterable[Model], cost: str) -> list[Cloud]:
    """Return what a drawing of a front shows: the front by whose weights its models have, over all else evaluated.

    Args:
        evaluations: everything, on the selection split.
        models: the front's.
        cost: the value that the error is drawn against; an evaluation without it is left out.
    """

    def points(rows: Iterable[Evaluation]) -> list[tuple[float, float]]:
        places = [(one.values.get(cost, np.nan), one.values[ERROR]) for one in rows]
        return [place for place in places if np.isfinite(place).all()]

    shown = {(model.key, model.weights) for model in models}
    front = [one for one in evaluations if (one.key, one.weights) in shown]
    kinds = dict.fromkeys(one.weights for one in front)
    clouds = [Cloud("evaluated", points(one for one in evaluations if one.weights in kinds), faint=True)]
    for kind in kinds:
        title = "front" if len(kinds) == 1 else f"front, {kind} weights"
        clouds.append(Cloud(title, points(one for one in front if one.weights == kind)))
    return clouds


def open_archive(folder: RunFolder) -> Archive:
    """Open the archive of a searched run.

    Raises:
        InputError: nothing has been searched yet, or what was found is gone.
    """
    check_archive(folder)
    return archive_of(folder)


def front_models(
    archive: Archive, against: str, weights: Weights | None = None, home: Home | None = None
) -> list[Model]:
    """Return the front of error against a cost on the selection split, the lowest error first.

    Args:
        archive: where from.
        against: the cost.
        weights: only models with these; of both kinds that are searched for if None.
        home: the run.

    Raises:
        InputError: the search has not come to scoring its front on the report split.
    """
    reported = {one.model: one for one in archive.evaluations(split=REPORT)}
    chosen = archive.front((ERROR, against), weights=weights or ONE_PER_MASK)
    if not chosen and weights is not None and len(archive):
        if archive.evaluations(split=SELECTION, weights=weights):
            known = {name for one in archive.evaluations(split=SELECTION, weights=weights) for name in one.values}
            raise InputError(
                f"no model with {weights} weights in {archive.path} has {against}; add `against` "
                f"{'nonzero' if 'nonzero' in known else 'encoder_parameters'}"
            )
        maker = call_of(archive.path.parent, weights.verb, **weights.options)
        raise InputError(f"{archive.path} has no model with {weights} weights; run {maker} for them")
    if not chosen:
        raise InputError(f"{archive.path} is empty; run {call_of(archive.path.parent, 'search')} first")
    missing = [one.key for one in chosen if one.model not in reported]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(chosen)} models of the front have no report score yet; run `secateur search` "
            "again, it goes on where it stopped"
        )
    return [model_of(one, reported[one.model], home) for one in chosen]


def whole_model(archive: Archive, weights: Weights | None = None, home: Home | None = None) -> Model:
    """Return the whole network, which every search evaluates and scores on both splits; the supernet's, if it may be.

    Raises:
        InputError: the search has not come to it.
    """
    kinds = ONE_PER_MASK if weights is None else (weights,)
    rows = [one for kind in kinds for one in archive.evaluations(split=SELECTION, weights=kind)]
    selection = next((one for one in rows if one.mask.is_full), None)
    report = None if selection is None else on_report(archive, selection)
    if selection is None or report is None:
        raise InputError(f"{archive.path} has no score of the whole network yet; run `secateur search` again")
    return model_of(selection, report, home)


def within_shares(
    archive: Archive, whole: Model, against: str, shares: Sequence[Fraction], weights: Weights | None = None
) -> list[Model]:
    """Return, for each share of the whole network's cost, the best model within it that was scored on both splits.

    Raises:
        InputError: nothing is so small.
    """
    reported = {one.model: one for one in archive.evaluations(split=REPORT)}
    rows = [
        one for one in archive.evaluations(split=SELECTION, weights=weights or ONE_PER_MASK) if one.model in reported
    ]
    # The latency is what was measured, and only on the report split; all else is known on both.
    costs = {one.model: (reported[one.model] if against == "latency_ms" else one).values[against] for one in rows}
    known = [Candidate(one, {ERROR: one.values[ERROR], against: costs[one.model]}) for one in rows]
    found, all_of_it = [], whole.cost(against) or 0.0
    for share in shares:
        chosen = choose(known, {against: float(share * Fraction(all_of_it))})
        if chosen is None:
            least = min(costs.values()) / all_of_it
            raise InputError(f"nothing on the front has at most {share} of the {against}; the least is {least:.3g}")
        found.append(model_of(chosen.evaluation, reported[chosen.evaluation.model], whole.home))
    return found
