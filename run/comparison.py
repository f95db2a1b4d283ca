"""All methods of a run at equal budgets, as `compare` prints them and the report draws them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..evaluation.archive import Archive
from ..evaluation.evaluation import REPORT, SELECTION, WHOLE, Evaluation
from ..evaluation.model import model_of
from ..evaluation.objectives import ERROR
from ..evaluation.report.comparison import ENCODER, NONZERO, ComparedPoint, Comparison
from ..evaluation.weights import SEARCHED, UNSEARCHED, Layer, Weights
from ..pruners import PRUNERS
from ..supernet.training.settings import RecoverySettings
from .basis import Basis
from .data_facts import DataFacts, data_facts
from .folder import RunFolder
from .recipes import is_own, label

_DENSITIES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # if nothing was pruned
_TOLD = ("learning_rate", "batch_size", "warmup", "weight_decay")  # of a recovery


def budgets_of(archive: Archive, asked: tuple[float, ...] | None = None) -> Budgets:
    """Return the densities that were asked for, or those that models of both kinds were made at."""
    if asked is not None:
        wanted = tuple(sorted(asked, reverse=True))
        return Budgets(wanted, wanted)
    recipes = [
        one.recipe for one in archive.evaluations(split=SELECTION, weights=UNSEARCHED) if "density" in one.recipe
    ]
    kept = {recipe["density"] for recipe in recipes if recipe["cost"] != NONZERO}
    nonzero = {recipe["density"] for recipe in recipes if recipe["cost"] == NONZERO}
    return Budgets(tuple(sorted(kept or _DENSITIES, reverse=True)), tuple(sorted(nonzero, reverse=True)))


def comparison(folder: RunFolder, archive: Archive, budgets: Budgets, epochs: float | None) -> Comparison | None:
    """Collect what is compared.

    Args:
        folder: the run.
        archive: its archive.
        budgets: at which methods are compared.
        epochs: of the recovery to show; the longest that was made if None.

    Returns:
        None if no method has a model at these budgets.
    """
    lengths = [one.recipe["epochs"] for one in archive.evaluations(split=SELECTION, weights=Weights.RECOVERED)]
    epochs = max(lengths, default=None) if epochs is None else epochs
    compared = Compared(folder, archive, budgets)
    points = tuple(compared.points(epochs))
    if not points:
        return None
    return Comparison(
        title=f"{folder.project.task}: {folder.path.name}",
        task=folder.project.task,
        metric=folder.record["facts"]["metric"],
        model=folder.project.model,
        points=points,
        wholes=compared.wholes(epochs),
        budgets=budgets.kept,
        yardstick=data_facts(folder).yardstick,
        epochs=epochs,
        facts=_facts(folder, data_facts(folder), epochs),
    )


def _facts(folder: RunFolder, data: DataFacts, epochs: float | None) -> dict[str, str]:
    report = ", ".join(f"{name} {count:,}" for name, count in data.report_examples.items())
    basis = Basis.of(folder)
    assert basis is not None
    found = {
        "Evaluator": f"one for all: whole passes of each model over each split, {basis.dtype} precision",
        "Splits": f"training {data.train_examples:,} texts; selection {data.selection_examples:,}, held out of it, "
        f"which all choices are made on; report: {report} ({data.report_origin}), looked at once per model",
    }
    if epochs is not None:
        found["Equal recovery"] = (
            f"{epochs:g} epoch{'' if epochs == 1 else 's'} from the fine-tuned model's outputs and the labels, the "
            "same steps for each model: "
            + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in RecoverySettings().model_dump().items() if k in _TOLD)
        )
    return found


_TOLERANCE = 1 + 1e-9  # of a budget


@dataclass(frozen=True)
class Shown:
    """A model as the archive has it.

    Attributes:
        selection, report: its rows.
    """

    selection: Evaluation
    report: Evaluation


@dataclass(frozen=True)
class Budgets:
    """Shares at which methods are compared, the largest first.

    Attributes:
        kept: of the encoder's parameters.
        nonzero: of the weights that are not zero, for models that are as large as before.
    """

    kept: tuple[float, ...]
    nonzero: tuple[float, ...]


class Compared:
    """Reads the methods' models out of an archive.

    Args:
        folder: the run, for what its stages took and how large its splits are.
        archive: the run's.
        budgets: pruned models at other densities are left out.
    """

    def __init__(self, folder: RunFolder, archive: Archive, budgets: Budgets) -> None:
        self._folder, self._data = folder, data_facts(folder)
        self._budgets, self._zeros = budgets.kept, budgets.nonzero
        report = {one.model: one for one in archive.evaluations(split=REPORT)}
        self._models = [
            Shown(one, report[one.model])
            for one in archive.evaluations(split=SELECTION)
            if one.model in report and not math.isnan(one.values[ERROR])
        ]

    def searched(self, weights: Weights = Weights.SUPERNET) -> dict[float, list[Shown]]:
        """Return, by budget, each searcher's best model within it with weights of that kind."""
        return self._best_within(self._of(weights))

    def pruned(self) -> list[Shown]:
        """Return the models that pruners made at the budgets without training."""
        return [one for one in self._of(Weights.FINETUNED, Weights.SUPERNET_PRUNED) if self._is_asked(one)]

    def whole(self) -> Shown | None:
        """Return the fine-tuned model itself."""
        return next((one for one in self._of(Weights.FINETUNED) if one.selection.method == WHOLE), None)

    def points(self, epochs: float | None) -> Iterator[ComparedPoint]:
        """Yield all methods' points: searches first, then pruners as they are listed.

        Args:
            epochs: of the recovery that is shown; None for none.
        """
        recovered = [one for one in self._recovered(epochs) if one.selection.method != WHOLE]
        searched = [one for one in recovered if "density" not in one.selection.recipe]
        for best in (*map(self.searched, SEARCHED), self._best_within(searched)):
            for budget, models in best.items():
                yield from (self._point(one, budget) for one in models)
        made = [one for one in (*recovered, *self._of(Weights.NATIVE)) if self._is_asked(one)]
        order = list(PRUNERS)
        for one in sorted([*self.pruned(), *made], key=lambda one: order.index(one.selection.method)):
            yield self._point(one, one.selection.recipe["density"])

    def wholes(self, epochs: float | None) -> dict[Layer, ComparedPoint]:
        """Return the whole model of each layer that has one; of the native ones it is the untrained one's."""
        found = {}
        if (whole := self.whole()) is not None:
            found[Layer.NONE] = found[Layer.NATIVE] = self._point(whole, 1.0)
        for one in self._recovered(epochs):
            if one.selection.method == WHOLE:
                found[Layer.RECOVERED] = self._point(one, 1.0)
        return found

    def _of(self, *weights: Weights) -> list[Shown]:
        return [one for one in self._models if one.selection.weights in weights]

    def _recovered(self, epochs: float | None) -> list[Shown]:
        return [one for one in self._of(Weights.RECOVERED) if one.selection.recipe["epochs"] == epochs]

    def _is_asked(self, one: Shown) -> bool:
        recipe = one.selection.recipe
        return recipe.get("density") in (self._zeros if recipe.get("cost") == NONZERO else self._budgets)

    def _best_within(self, models: Sequence[Shown]) -> dict[float, list[Shown]]:
        """Return, by budget, each method's model of the lowest selection error within it."""
        found: dict[float, list[Shown]] = {}
        for budget in self._budgets:
            limit = budget * self._data.shape.encoder_parameters * _TOLERANCE
            within = [one for one in models if one.selection.values[ENCODER] <= limit]
            found[budget] = [
                min(
                    (one for one in within if one.selection.method == method),
                    key=lambda one: (one.selection.values[ERROR], one.selection.values[ENCODER]),
                )
                for method in dict.fromkeys(one.selection.method for one in within)
            ]
        return found

    def _point(self, one: Shown, density: float) -> ComparedPoint:
        row, (shared, texts, labels) = one.selection, self._shared(one.selection)
        return ComparedPoint(
            model=model_of(row, one.report),
            method=label(row),
            density=density,
            share=row.share(self._data.shape),
            seed=row.seed,
            seconds=shared + (row.seconds if is_own(row) else 0.0),
            shared_seconds=shared,
            texts=texts,
            labels=labels,
            epochs=row.values.get("epochs", 0.0),
        )

    def _shared(self, row: Evaluation) -> tuple[float, int, int]:
        """Return the seconds that serve all models of a row's method, and the texts and labels it looked at."""
        train = self._data.train
        if row.weights is Weights.RECOVERED:
            trained = min(train, round(row.recipe["epochs"] * train))
            texts, labels = (max(trained, int(row.values.get(name, 0))) for name in ("texts", "labels"))
        else:
            texts, labels = (int(row.values.get(name, 0)) for name in ("texts", "labels"))
        seconds = self._folder.seconds
        if row.method not in PRUNERS and row.method != WHOLE:  # trains on the training split, searches on the selection
            everything = train + self._data.selection
            return sum(seconds(stage) for stage in row.weights.stages), everything, everything
        if row.recipe.get("from") == "supernet":
            return seconds("supernet"), train, train
        return 0.0, texts, labels
