"""All methods of a run at equal budgets, as `compare` prints them and the report draws them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..evaluation.archive import Archive
from ..evaluation.evaluation import REPORT, SELECTION, WHOLE, Evaluation
from ..evaluation.model import model_of
from ..evaluation.objectives import ERROR
from ..evaluation.report.comparison import ENCODER, NONZERO, TOLERANCE, ComparedPoint, Comparison
from ..evaluation.weights import ONE_PER_MASK, SEVERAL_PER_MASK, Layer, Weights
from ..pruners import PRUNERS
from ..supernet.training.settings import RecoverySettings
from .basis import Basis
from .data_facts import DataFacts, data_facts
from .folder import RunFolder
from .recipes import REFIT_TEXTS, SHARED, can_refit, is_own, is_pruned, label

_DENSITIES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # if nothing was pruned
_TOLD = ("learning_rate", "batch_size", "warmup", "weight_decay")  # of a recovery


@dataclass(frozen=True)
class Equal:
    """What all models of a comparison got in equal measure, in the layers between none and a method's own recipe.

    Attributes:
        epochs: of the recovery; None for none.
        refit: there is a layer of refitted models.
        after_refit: the recovery began with them.
    """

    epochs: float | None
    refit: bool
    after_refit: bool

    @classmethod
    def of(cls, archive: Archive, epochs: float | None = None, refit: bool | None = None) -> Equal:
        """Return what is asked for; else whether there is a refit, and the longest recovery, best after it."""
        if refit is None:
            refit = bool(archive.evaluations(split=SELECTION, weights=Weights.REFITTED))
        if epochs is not None:
            return cls(epochs, refit, refit)
        rows = [row for row in archive.evaluations(split=SELECTION, weights=Weights.RECOVERED) if can_refit(row)]
        made = [
            (refit and "refit" in row.recipe, row.recipe["epochs"])
            for row in rows
            if refit or "refit" not in row.recipe
        ]
        after_refit, epochs = max(made, default=(refit, None))
        return cls(epochs, refit, after_refit)

    def shows(self, row: Evaluation) -> bool:
        """Tell whether a model belongs to these layers, or to one of the others."""
        if row.weights is Weights.REFITTED:
            return self.refit
        begins = self.after_refit and can_refit(row)
        return row.weights is not Weights.RECOVERED or (
            row.recipe["epochs"] == self.epochs and ("refit" in row.recipe) == begins
        )


def budgets_of(archive: Archive, asked: tuple[float, ...] | None = None) -> Budgets:
    """Return the densities that were asked for, or those that models of both kinds were made at."""
    if asked is not None:
        wanted = tuple(sorted(asked, reverse=True))
        return Budgets(wanted, wanted)
    recipes = [
        one.recipe for one in archive.evaluations(split=SELECTION, weights=SEVERAL_PER_MASK) if "density" in one.recipe
    ]
    kept = {recipe["density"] for recipe in recipes if recipe.get("cost") != NONZERO}
    nonzero = {recipe["density"] for recipe in recipes if recipe.get("cost") == NONZERO}
    return Budgets(tuple(sorted(kept or _DENSITIES, reverse=True)), tuple(sorted(nonzero, reverse=True)))


def comparison(folder: RunFolder, archive: Archive, budgets: Budgets, equal: Equal | None = None) -> Comparison | None:
    """Collect what is compared.

    Args:
        folder: the run.
        archive: its archive.
        budgets: at which methods are compared.
        equal: the refit and the recovery to show; those that there are if None.

    Returns:
        None if no method has a model at these budgets.
    """
    equal = Equal.of(archive) if equal is None else equal
    compared = Compared(folder, archive, budgets, equal)
    points = tuple(compared.points())
    if not points:
        return None
    return Comparison(
        title=f"{folder.project.task}: {folder.path.name}",
        task=folder.project.task,
        metric=folder.record["facts"]["metric"],
        model=folder.project.model,
        points=points,
        wholes=compared.wholes(),
        budgets=budgets.kept,
        yardstick=data_facts(folder).yardstick,
        epochs=equal.epochs,
        after_refit=equal.after_refit,
        facts=_facts(folder, data_facts(folder), equal, compared.fewer),
    )


def _facts(folder: RunFolder, data: DataFacts, equal: Equal, fewer: int) -> dict[str, str]:
    report = ", ".join(f"{name} {count:,}" for name, count in data.report_examples.items())
    basis = Basis.of(folder)
    assert basis is not None
    found = {
        "Evaluator": f"one for all: whole passes of each model over each split, {basis.dtype} precision",
        "Splits": f"training {data.train_examples:,} texts; selection {data.selection_examples:,}, held out of it, "
        f"which all choices are made on; report: {report} ({data.report_origin}), looked at once per model",
    }
    if fewer:
        found["Vocabulary"] = (
            f"whole: {fewer:,} models with fewer tokens are left out, whose encoders are no smaller for it"
        )
    if equal.refit:
        found["Refit"] = (
            "outgoing maps of attention and feed-forward blocks solved for anew by least squares, so that each gives "
            f"what the whole model's gives on {REFIT_TEXTS} training texts, without labels; nothing is trained"
        )
    if (epochs := equal.epochs) is not None:
        labels = "" if folder.project.labels else " and the labels"
        found["Equal recovery"] = (
            f"{epochs:g} epoch{'' if epochs == 1 else 's'} from the fine-tuned model's outputs{labels}, "
            f"{'of refitted models, ' if equal.after_refit else ''}the same steps for each: "
            + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in RecoverySettings().model_dump().items() if k in _TOLD)
        )
    return found


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
        equal: the refit and the recovery that are shown; models after others are left out.

    Attributes:
        fewer: how many models are left out that read fewer tokens.
    """

    def __init__(self, folder: RunFolder, archive: Archive, budgets: Budgets, equal: Equal) -> None:
        self._folder, self._data = folder, data_facts(folder)
        self._budgets, self._zeros = budgets.kept, budgets.nonzero
        report = {one.model: one for one in archive.evaluations(split=REPORT)}
        models = [
            Shown(one, report[one.model])
            for one in archive.evaluations(split=SELECTION)
            if one.model in report and not math.isnan(one.values[ERROR]) and equal.shows(one)
        ]
        self._models = [one for one in models if one.selection.mask.tokens is None]
        self.fewer = len(models) - len(self._models)

    def searched(self, weights: Weights = Weights.SUPERNET) -> dict[float, list[Shown]]:
        """Return, by budget, each searcher's best model within it with weights of that kind."""
        return self._best_within(self._of(weights))

    def pruned(self) -> list[Shown]:
        """Return the models that pruners made at the budgets without training."""
        return [one for one in self._of(Weights.FINETUNED, Weights.SUPERNET_PRUNED) if self._is_asked(one)]

    def whole(self) -> Shown | None:
        """Return the fine-tuned model itself."""
        return next((one for one in self._of(Weights.FINETUNED) if one.selection.method == WHOLE), None)

    def points(self) -> Iterator[ComparedPoint]:
        """Yield all methods' points: searches first, then pruners as they are listed."""
        after = {weights: self._of(weights) for weights in (Weights.REFITTED, Weights.RECOVERED)}
        searched = [[one for one in models if "density" not in one.selection.recipe] for models in after.values()]
        again = {(one.selection.key, label(one.selection)) for one in after[Weights.REFITTED]}
        for best in (*map(self.searched, ONE_PER_MASK), *map(self._best_within, searched)):
            for budget, models in best.items():
                for one in models:
                    row = one.selection  # one with solved weights is shown as its refit leaves it, if it has one
                    solved_again = row.weights is Weights.SOLVED and (row.key, label(row)) in again
                    if row.method != WHOLE and not solved_again:
                        yield self._point(one, budget)
        made = [one for one in self._of(*after, Weights.NATIVE) if self._is_asked(one)]
        order = {name: place for place, name in enumerate(PRUNERS)}  # those of a plug-in that is not here come last
        for one in sorted([*self.pruned(), *made], key=lambda one: order.get(one.selection.method, len(order))):
            yield self._point(one, one.selection.recipe["density"])

    def wholes(self) -> dict[Layer, ComparedPoint]:
        """Return the whole model of each layer that has one; where it is not trained that is the fine-tuned one."""
        found: dict[Layer, ComparedPoint] = {}
        if (whole := self.whole()) is not None:
            found |= dict.fromkeys((Layer.NONE, Layer.REFITTED, Layer.NATIVE), self._point(whole, 1.0))
        for one in self._of(Weights.RECOVERED):
            if one.selection.method == WHOLE:
                found[Layer.RECOVERED] = self._point(one, 1.0)
        return found

    def _of(self, *weights: Weights) -> list[Shown]:
        return [one for one in self._models if one.selection.weights in weights]

    def _is_asked(self, one: Shown) -> bool:
        recipe = one.selection.recipe
        return recipe.get("density") in (self._zeros if recipe.get("cost") == NONZERO else self._budgets)

    def _best_within(self, models: Sequence[Shown]) -> dict[float, list[Shown]]:
        """Return, by budget, each method's model of the lowest selection error within it."""
        found: dict[float, list[Shown]] = {}
        for budget in self._budgets:
            limit = budget * self._data.shape.encoder_parameters * TOLERANCE
            within = [one for one in models if one.selection.values[ENCODER] <= limit]
            found[budget] = [
                min(
                    (one for one in within if label(one.selection) == method),
                    key=lambda one: (one.selection.values[ERROR], one.selection.values[ENCODER]),
                )
                for method in dict.fromkeys(label(one.selection) for one in within)
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
            labels=0 if self._folder.project.labels else labels,  # else they are the model's own answers
            epochs=row.values.get("epochs", 0.0),
        )

    def _shared(self, row: Evaluation) -> tuple[float, int, int]:
        """Return the seconds that serve all models of a row's method, and the texts and labels it looked at."""
        train, seconds, shared = self._data.train, self._folder.seconds, row.values.get(SHARED, 0.0)
        texts, labels = (int(row.values.get(name, 0)) for name in ("texts", "labels"))
        texts = max(texts, min(train, int(row.recipe.get("refit", 0))))
        if row.weights is Weights.RECOVERED:
            trained = min(train, round(row.recipe["epochs"] * train))
            texts, labels = max(trained, texts), max(trained, labels)
        if not is_pruned(row) and row.method != WHOLE:  # trains on the training split, searches on the selection
            everything = train + self._data.selection
            origin = row.weights if row.weights.one_per_mask else row.recipe.get("from")
            stages = Weights(origin).stages if origin in list(Weights) else ()
            return shared + sum(seconds(stage) for stage in stages), everything, everything
        if row.recipe.get("from") == "supernet":
            return shared + seconds("supernet"), train, train
        return shared, texts, labels
