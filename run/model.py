"""Where a run keeps a model, and how it is found again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..digests import check_sealed
from ..errors import InputError
from ..evaluation.archive import Archive
from ..evaluation.evaluation import REPORT, SCALED, SELECTION, Evaluation
from ..evaluation.objectives import ERROR
from ..evaluation.weights import ONE_PER_MASK, Weights
from .basis import Basis, digest
from .folder import RunFolder
from .telling import call_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..supernet import Supernet


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
    kind = Weights(weights or (Weights.SUPERNET if Weights.SUPERNET in kinds else kinds[0]))
    if kind not in kinds:
        raise InputError(f"{key} was not evaluated with {kind} weights, only with {', '.join(kinds)}; drop `weights`")
    found = [one for one in found if one.weights == kind]
    if not kind.one_per_mask:
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
    kinds = ONE_PER_MASK if weights is None else (weights,)
    found = [archive.lookup(key, split, weights=kind) for kind in kinds]
    return next((one for one in found if one is not None), None)


def model_name(evaluation: Evaluation) -> str:
    """Return a folder's name for an evaluated model; no other one's is the same."""
    weights = evaluation.weights
    if weights.one_per_mask:
        return evaluation.key if weights is Weights.SUPERNET else f"{evaluation.key}-{weights}"
    digest = hashlib.sha256("\n".join(evaluation.model).encode()).hexdigest()[:8]
    density = f"-{evaluation.recipe['density']:g}" if "density" in evaluation.recipe else ""
    return f"{evaluation.method}{density}-{weights}-{digest}"


def weights_folder(folder: RunFolder, evaluation: Evaluation) -> Path | None:
    """Return where a model's weights are kept, if they are; None for slices of another model, which need no keeping."""
    weights = evaluation.weights
    if weights is Weights.LADDER and evaluation.mask.is_full:  # the fine-tuned model, which the ladder stands on
        return None
    if weights.folder is None or (weights.origin is not None and not evaluation.values.get(SCALED)):
        return None
    return folder.path / weights.folder / (evaluation.key if weights.one_per_mask else model_name(evaluation))


def is_kept(folder: RunFolder, evaluation: Evaluation) -> bool:
    """Tell whether there are weights of a model: its own, or another model's that it is a slice of."""
    path = weights_folder(folder, evaluation)
    return path is None or path.is_dir()


def origin_of(folder: RunFolder, supernet: Supernet, weights: Weights) -> Supernet:
    """Return the model that slices are cut from, of weights that have such an origin; it is loaded anew.

    Args:
        folder: the run.
        supernet: the trained one, which is not loaded.
        weights: whose.

    Raises:
        InputError: that model is gone, or is not the one that the archive's numbers are of.
    """
    from ..supernet import Supernet  # here: who reads numbers only needs no torch
    from ..supernet.stored.storage import load_model
    from .project import load_solved

    check_origin(folder, weights)
    if weights.origin == "supernet":
        return supernet
    if weights.origin == "solved":
        return load_solved(folder.solved, supernet.device)
    return Supernet(load_model(folder.finetuned).to(supernet.device))  # pyright: ignore[reportArgumentType]


_STAGES = {"supernet": "supernet", "solved": "solved"}  # of origins; all others are the fine-tuned model


def check_origin(folder: RunFolder, weights: Weights) -> None:
    """Check that what models with such weights are cut from is there, and is what the archive's numbers are of.

    Raises:
        InputError: it is gone: says what, and what to run; or it is another one.
    """
    stage = _STAGES.get(str(weights.origin), "finetune")
    folder.check_complete(stage)
    basis = Basis.of(folder)
    there = {"supernet": folder.supernet, "solved": folder.solved}.get(stage)
    known = None if basis is None else {"supernet": basis.supernet, "solved": basis.solved}.get(stage)
    if there is not None and known is not None and digest(there) != known:
        check_sealed(there)  # which names the file, if one was damaged
        raise InputError(
            f"{there} is not the one that the numbers in {folder.archive} are of; put that back, or move the archive "
            "away and search again"
        )


def open_subnet(folder: RunFolder, supernet: Supernet, evaluation: Evaluation) -> PreTrainedModel:
    """Return an evaluated subnetwork as a model of its own, with the weights it was evaluated with.

    Its table of words is whole, whatever tokens it reads: `Vocabularies.cut` cuts it.

    Raises:
        InputError: it has weights of its own and they are gone: only those of the front's models are kept.
    """
    from ..supernet.extraction import extract_subnet  # here: who reads numbers only needs no torch
    from ..supernet.stored.storage import load_model

    path = weights_folder(folder, evaluation)
    if path is None:
        source = origin_of(folder, supernet, evaluation.weights)
        return extract_subnet(source, evaluation.mask.with_tokens(None)).to(supernet.device)  # pyright: ignore[reportArgumentType]
    if not path.is_dir():
        who = "standard NAS keeps" if evaluation.weights.one_per_mask else "kept are"
        raise InputError(
            f"the weights of {evaluation.key} are not in {path}; {who} those of the models on a front, "
            f"which {call_of(folder.path, 'front', weights=evaluation.weights)} lists; if it is one of them, "
            f"put its folder back, or move {folder.archive} away and run "
            f"{call_of(folder.path, evaluation.weights.verb, **evaluation.weights.options)} again"
        )
    return load_model(path).to(supernet.device)  # pyright: ignore[reportArgumentType]
