"""The front of a run: the models that nothing beats."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, overload

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.choice import Candidate, choose
from ...evaluation.evaluation import NATIVE, RECOVERED, REPORT, SEARCHED, SELECTION, STANDARD, SUPERNET_PRUNED
from ...evaluation.objectives import ERROR
from ..folder import RunFolder
from ..model import Home, Model, model_of, on_report
from ..telling import call_of
from .html import html_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class Front(Sequence[Model]):
    """Models of a run, the most accurate first.

    Attributes:
        title: what they are of.
        against: the cost beside the error.
        notes: what must be known of them: that nothing was learnt, that some are no better than a constant answer.
    """

    def __init__(self, models: Sequence[Model], title: str, against: str, notes: Sequence[str] = ()) -> None:
        self._models = tuple(models)
        self.title, self.against, self.notes = title, against, tuple(notes)

    @overload
    def __getitem__(self, index: int) -> Model: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Model]: ...

    def __getitem__(self, index: int | slice) -> Model | Sequence[Model]:
        return self._models[index]

    def __len__(self) -> int:
        return len(self._models)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row for each model, a column for each fact."""
        import pandas as pd  # here and below: who prints a table needs neither

        return pd.DataFrame([model.facts() for model in self])

    def _repr_html_(self) -> str:
        return html_table([("", model) for model in self], f"{self.title}: error over {self.against}")

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


def open_archive(folder: RunFolder) -> Archive:
    """Open the archive of a searched run.

    Raises:
        InputError: nothing has been searched yet.
    """
    if not folder.archive.exists():
        raise InputError(f"{folder.path} has no archive yet; run {call_of(folder.path, 'search')} first")
    return Archive(folder.archive)


def front_models(archive: Archive, against: str, weights: str | None = None, home: Home | None = None) -> list[Model]:
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
    chosen = archive.front((ERROR, against), weights=weights or SEARCHED)
    if not chosen and weights is not None and len(archive):
        if archive.evaluations(split=SELECTION, weights=weights):
            known = {name for one in archive.evaluations(split=SELECTION, weights=weights) for name in one.values}
            raise InputError(
                f"no model with {weights} weights in {archive.path} has {against}; add `against` "
                f"{'nonzero' if 'nonzero' in known else 'encoder_parameters'}"
            )
        raise InputError(f"{archive.path} has no model with {weights} weights; run {_maker(weights, archive)} for them")
    if not chosen:
        raise InputError(f"{archive.path} is empty; run {call_of(archive.path.parent, 'search')} first")
    missing = [one.key for one in chosen if one.model not in reported]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(chosen)} models of the front have no report score yet; run `secateur search` "
            "again, it goes on where it stopped"
        )
    return [model_of(one, reported[one.model], home) for one in chosen]


def _maker(weights: str, archive: Archive) -> str:
    """Return the call that makes models with these weights."""
    run = archive.path.parent
    if weights in SEARCHED:
        return call_of(run, "search", **({"searcher": "moasha"} if weights == STANDARD else {}))
    if weights == RECOVERED:
        return call_of(run, "compare", recover_epochs=1)
    method = "deepcuts_cam" if weights == NATIVE else "mask_tuning"
    origin = {"origin": "supernet"} if weights == SUPERNET_PRUNED else {}
    return call_of(run, "prune", method=method, density="0.8,0.6,0.4", **origin)


def whole_model(archive: Archive, weights: str | None = None, home: Home | None = None) -> Model:
    """Return the whole network, which every search evaluates and scores on both splits; the supernet's, if it may be.

    Raises:
        InputError: the search has not come to it.
    """
    kinds = SEARCHED if weights is None else (weights,)
    rows = [one for kind in kinds for one in archive.evaluations(split=SELECTION, weights=kind)]
    selection = next((one for one in rows if one.mask.is_full), None)
    report = None if selection is None else on_report(archive, selection)
    if selection is None or report is None:
        raise InputError(f"{archive.path} has no score of the whole network yet; run `secateur search` again")
    return model_of(selection, report, home)


def within_shares(
    archive: Archive, whole: Model, against: str, shares: Sequence[Fraction], weights: str | None = None
) -> list[Model]:
    """Return, for each share of the whole network's cost, the best model within it that was scored on both splits.

    Raises:
        InputError: nothing is so small.
    """
    reported = {one.model: one for one in archive.evaluations(split=REPORT)}
    rows = [one for one in archive.evaluations(split=SELECTION, weights=weights or SEARCHED) if one.model in reported]
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
