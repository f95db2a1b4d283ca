"""A model of a run: what it keeps, whose weights it has, what it got on both splits, and where it is kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InputError
from ..evaluation.archive import Archive
from ..evaluation.evaluation import (
    ERROR_INT8,
    FINETUNED,
    NONZERO,
    REPORT,
    SCALED,
    SEARCHED,
    SELECTION,
    STANDARD,
    SUPERNET,
    SUPERNET_PRUNED,
    Evaluation,
    other_scores,
)
from ..evaluation.objectives import ERROR, OBJECTIVES
from .folder import RunFolder
from .telling import call_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..supernet import Supernet

_DIGITS = 6  # of numbers in JSON: the error of a timing lies in the third, that of an error in the fourth

_PREDICTED = {"latency_ms": "latency_predicted_ms", "memory_mb": "memory_predicted_mb"}


class Home(Protocol):
    """The run that a model belongs to, which can make a checkpoint of it."""

    def export(self, to: str | Path, **settings: Any) -> Any:
        """Write a model of the run, chosen by its key, weights, method and density."""
        ...

    def extract(self, to: str | Path | None = None, **settings: Any) -> Any:
        """Likewise, without measuring or converting it."""
        ...


@dataclass(frozen=True)
class Model:
    """One model of a run; what is not known is None.

    Its key and its weights together tell it from all others; a pruned model's key needs its method and density too.
    Errors are 1 - the task's metric: `error_selection` is what all choices are made on, `error_report` was looked at
    once, with its 95 % interval where the model was picked; `error_int8` is the report split's after quantisation.
    `latency_ms` and what goes with it was measured end to end on the extracted model as it is served,
    `latency_predicted_ms` comes from the table of parts; `memory_mb` was measured, `memory_predicted_mb` was not.
    `difference_low` and `difference_high` bound its error less the chosen model's (95 %, the same rows of the report
    split); it is `tied` with that if 0 lies between them. `nonzero` is the share of weights that are left, of a model
    with zeros instead of fewer units. `values` are of objectives that have no field here, `scores` of the task's other
    metrics on the report split. It is `constant` if it is no better than a constant answer on one of the splits.
    """

    key: str
    weights: str
    method: str
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    hidden: int
    error_selection: float
    error_report: float | None = None
    error_low: float | None = None
    error_high: float | None = None
    parameters: int | None = None
    encoder_parameters: int | None = None
    macs: int | None = None
    latency_ms: float | None = None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_predicted_ms: float | None = None
    memory_mb: float | None = None
    memory_predicted_mb: float | None = None
    disk_mb: float | None = None
    density: float | None = None
    nonzero: float | None = None
    error_int8: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    tied: bool | None = None
    constant: bool = False
    values: dict[str, float] = field(default_factory=dict, hash=False)
    scores: dict[str, float] = field(default_factory=dict, hash=False)
    home: Home | None = field(default=None, repr=False, compare=False)

    @property
    def layers(self) -> int:
        """How many layers keep anything."""
        return sum(1 for heads, neurons in zip(self.heads, self.neurons, strict=True) if heads or neurons)

    def cost(self, name: str) -> float | None:
        """Return a cost; latency and memory as measured, else as predicted."""
        value = getattr(self, name) if name in _FIELDS else self.values.get(name)
        return getattr(self, _PREDICTED[name]) if value is None and name in _PREDICTED else value

    def is_predicted(self, name: str) -> bool:
        """Tell whether a cost was not measured, but could be."""
        return name in _PREDICTED and getattr(self, name) is None and self.cost(name) is not None

    def facts(self) -> dict[str, Any]:
        """Return all that is known, JSON-ready, numbers with six digits."""
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("home", "values")}
        return {"layers": self.layers} | rounded(known | self.values)

    def export(self, to: str | Path, **settings: Any) -> Any:
        """Write it as a checkpoint to serve; for the settings see :meth:`Run.export`.

        Raises:
            InputError: it does not know its run.
        """
        return self._at_home().export(to, **self._identity(), **settings)

    def extract(self, to: str | Path | None = None, **settings: Any) -> Any:
        """Write it as a checkpoint and no more; for the settings see :meth:`Run.extract`."""
        return self._at_home().extract(to, **self._identity(), **settings)

    def _at_home(self) -> Home:
        if self.home is None:
            raise InputError(f"the model {self.key} does not know its run; take it from `Run.front` or `Run.pick`")
        return self.home

    def _identity(self) -> dict[str, Any]:
        pruned = self.weights not in SEARCHED
        return {
            "key": self.key,
            "weights": self.weights,
            **({"method": self.method, "density": self.density} if pruned else {}),
        }


_FIELDS = {one.name for one in fields(Model)}


def rounded(value: Any) -> Any:
    """Return a value JSON-ready: numbers with six digits, None for what is none."""
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value


def model_of(selection: Evaluation, report: Evaluation | None, home: Home | None = None) -> Model:
    """Put together what the archive has of a model on both splits.

    Args:
        selection: its row on the selection split.
        report: on the report split, if it was scored there.
        home: its run.
    """
    values, reported = selection.values, {} if report is None else report.values
    timed = "latency_low_ms" in reported  # otherwise what is there is the table's prediction
    return Model(
        key=selection.key,
        weights=selection.weights,
        method=selection.method,
        heads=selection.mask.heads_per_layer,
        neurons=selection.mask.neurons_per_layer,
        hidden=selection.mask.hidden_size,
        error_selection=values[ERROR],
        error_report=reported.get(ERROR),
        parameters=_count(values.get("parameters")),
        encoder_parameters=_count(values.get("encoder_parameters")),
        macs=_count(values.get("macs")),
        latency_ms=reported["latency_ms"] if timed else None,
        latency_low_ms=reported.get("latency_low_ms"),
        latency_high_ms=reported.get("latency_high_ms"),
        latency_p95_ms=reported.get("latency_p95_ms"),
        latency_predicted_ms=values.get("latency_ms"),
        memory_predicted_mb=values.get("memory_mb"),
        disk_mb=values.get("disk_mb"),
        density=selection.recipe.get("density"),
        nonzero=values.get(NONZERO),
        error_int8=reported.get(ERROR_INT8),
        values={name: values[name] for name in OBJECTIVES if name in values and name not in _FIELDS},
        scores={} if report is None else other_scores(report),
        home=home,
    )


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def evaluations_of(
    archive: Archive, key: str, weights: str | None, *, method: str | None = None, density: float | None = None
) -> tuple[Evaluation, Evaluation | None]:
    """Return a model's evaluations on the selection and, if it was scored there, the report split.

    Args:
        archive: where from.
        key: the mask's.
        weights: which; the supernet's if None and the key was evaluated with several.
        method: of a pruned model; any if None, and of several models the one of the lowest selection error.
        density: the one that was asked for, likewise.

    Raises:
        InputError: no such key, or not with these weights or by this method.
    """
    found = [one for one in archive.evaluations(split=SELECTION) if one.key == key]
    if not found:
        raise InputError(f"the archive has no subnetwork {key!r}; `secateur front` lists the keys")
    kinds = list(dict.fromkeys(one.weights for one in found))
    kind = weights or (SUPERNET if SUPERNET in kinds else kinds[0])
    if kind not in kinds:
        raise InputError(f"{key} was not evaluated with {kind} weights, only with {', '.join(kinds)}; drop `weights`")
    found = [one for one in found if one.weights == kind]
    if kind not in SEARCHED:
        known = ", ".join(dict.fromkeys(_maker(one) for one in found))
        found = [one for one in found if method in (None, one.method)]
        found = [one for one in found if density in (None, one.recipe.get("density"))]
        if not found:
            raise InputError(f"{key} with {kind} weights was made by {known}; give `method` and `density` of those")
    chosen = min(found, key=lambda one: one.values[ERROR])
    return chosen, on_report(archive, chosen)


def _maker(one: Evaluation) -> str:
    return f"{one.method} at {one.recipe['density']:g}" if "density" in one.recipe else one.method


def on_report(archive: Archive, selection: Evaluation) -> Evaluation | None:
    """Return what the model of an evaluation got on the report split, None if it was not scored there."""
    found = archive.evaluations(split=REPORT, weights=selection.weights)
    return next((one for one in found if one.model == selection.model), None)


def whole_evaluation(archive: Archive, key: str, split: str, weights: str | None = None) -> Evaluation | None:
    """Return the whole network's evaluation: the supernet's where several kinds of weights were evaluated."""
    kinds = SEARCHED if weights is None else (weights,)
    found = [archive.lookup(key, split, weights=kind) for kind in kinds]
    return next((one for one in found if one is not None), None)


def own_weights(folder: RunFolder) -> Path:
    """Return the folder of the models that standard NAS has trained, by key."""
    return folder.path / "standard"


def model_name(evaluation: Evaluation) -> str:
    """Return a folder's name for an evaluated model; no other one's is the same."""
    if evaluation.weights in SEARCHED:
        return evaluation.key if evaluation.weights == SUPERNET else f"{evaluation.key}-{STANDARD}"
    digest = hashlib.sha256("\n".join(evaluation.model).encode()).hexdigest()[:8]
    density = f"-{evaluation.recipe['density']:g}" if "density" in evaluation.recipe else ""
    return f"{evaluation.method}{density}-{evaluation.weights}-{digest}"


def weights_folder(folder: RunFolder, evaluation: Evaluation) -> Path | None:
    """Return where a model's weights are kept, if they are; None for slices of another model, which need no keeping."""
    sliced = evaluation.weights in (FINETUNED, SUPERNET_PRUNED) and not evaluation.values.get(SCALED)
    if sliced or evaluation.weights == SUPERNET:
        return None
    if evaluation.weights == STANDARD:
        return own_weights(folder) / evaluation.key
    return folder.pruned / model_name(evaluation)


def open_subnet(folder: RunFolder, supernet: Supernet, evaluation: Evaluation) -> PreTrainedModel:
    """Return an evaluated subnetwork as a model of its own, with the weights it was evaluated with.

    Raises:
        InputError: it has weights of its own and they are gone: only those of the front's models are kept.
    """
    from ..supernet.extraction import extract  # here: who reads numbers only needs no torch
    from ..supernet.stored.storage import load_model

    path = weights_folder(folder, evaluation)
    if path is None:
        source = load_model(folder.finetuned) if evaluation.weights == FINETUNED else supernet.model
        return extract(source, evaluation.mask).to(supernet.device)  # pyright: ignore[reportArgumentType]
    if not path.is_dir():
        who = "standard NAS keeps" if evaluation.weights == STANDARD else "kept are"
        raise InputError(
            f"the weights of {evaluation.key} are not in {path}; {who} those of the models on a front, "
            f"which {call_of(folder.path, 'front', weights=evaluation.weights)} lists"
        )
    return load_model(path).to(supernet.device)  # pyright: ignore[reportArgumentType]
