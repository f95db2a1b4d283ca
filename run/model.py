"""A model of a run: its rows of the archive, and where its weights are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from transformers import PreTrainedModel

from ..errors import InputError
from ..evaluation.archive import Archive
from ..evaluation.evaluation import (
    ERROR_INT8,
    FINETUNED,
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
from ..evaluation.objectives import ERROR
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.stored.storage import load_model
from .folder import RunFolder


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
        raise InputError(f"{key} was not evaluated with {kind} weights, only with {', '.join(kinds)}; drop --weights")
    found = [one for one in found if one.weights == kind]
    if kind not in SEARCHED:
        known = ", ".join(dict.fromkeys(_maker(one) for one in found))
        found = [one for one in found if method in (None, one.method)]
        found = [one for one in found if density in (None, one.recipe.get("density"))]
        if not found:
            raise InputError(f"{key} with {kind} weights was made by {known}; give --method and --density of those")
    chosen = min(found, key=lambda one: one.values[ERROR])
    return chosen, on_report(archive, chosen)


def _maker(one: Evaluation) -> str:
    return f"{one.method} at {one.recipe['density']:g}" if "density" in one.recipe else one.method


def own_weights(folder: RunFolder) -> Path:
    """Return the folder of the models that standard NAS has trained, by key."""
    return folder.path / "standard"


def model_name(evaluation: Evaluation) -> str:
    """Return a folder's name for an evaluated model; no other one's is the same."""
    if evaluation.weights in (SUPERNET, STANDARD):
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
    path = weights_folder(folder, evaluation)
    if path is None:
        source = load_model(folder.finetuned) if evaluation.weights == FINETUNED else supernet.model
        return extract(source, evaluation.mask).to(supernet.device)  # pyright: ignore[reportArgumentType]
    if not path.is_dir():
        who = "standard NAS keeps" if evaluation.weights == STANDARD else "kept are"
        raise InputError(
            f"the weights of {evaluation.key} are not in {path}; {who} those of the models on a front, "
            f"which `secateur front {folder.path} --weights {evaluation.weights}` lists"
        )
    return load_model(path).to(supernet.device)  # pyright: ignore[reportArgumentType]


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


def whole_evaluation(archive: Archive, key: str, split: str, weights: str | None = None) -> Evaluation | None:
    """Return the whole network's evaluation: the supernet's where several kinds of weights were evaluated."""
    kinds = SEARCHED if weights is None else (weights,)
    found = [archive.lookup(key, split, weights=kind) for kind in kinds]
    return next((one for one in found if one is not None), None)


def on_report(archive: Archive, selection: Evaluation) -> Evaluation | None:
    """Return what the model of an evaluation got on the report split, None if it was not scored there."""
    found = archive.evaluations(split=REPORT, weights=selection.weights)
    return next((one for one in found if one.model == selection.model), None)


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
