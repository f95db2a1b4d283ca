"""The models of a front in one folder, from which any of them is cut out when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from ...errors import InputError
from ...evaluation.choice import candidates
from ...evaluation.evaluation import Evaluation
from ...evaluation.model import Model
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...evaluation.objectives.disk import MB
from ...evaluation.weights import ONE_PER_MASK, Weights
from ...supernet import Supernet
from ...supernet.stored.nested import Nested, NestedModel, check_nestable, write_nested
from ...supernet.stored.storage import load_tokenizer
from ..choice.columns import Column, amount
from ..choice.front import open_archive
from ..folder import RunFolder
from ..latency import searched_latency_table
from ..model import evaluations_of, open_subnet, origin_of
from ..project import open_encoder, open_task
from ..recipes import can_refit
from ..settings.ship import NestSettings
from .refit import refitted
from .thresholds import as_served, needs_thresholds

# What models may be slices of, and what it is called; of several the first.
_WHOLE = {Weights.SUPERNET: "the supernet", Weights.SOLVED: "the fine-tuned model, its units in order"}


@dataclass(frozen=True)
class NestedFront:
    """A nested checkpoint that was written.

    Attributes:
        nested: what it holds.
        whole: what its models are slices of, as far as they are slices.
        apart: bytes of the weights of all its models, each as a checkpoint of its own.
    """

    nested: Nested
    whole: str
    apart: int

    @property
    def columns(self) -> list[Column]:
        """The models as a table, the most accurate first."""
        models = self.nested.models
        kinds = [str(model.weights) for model in models]
        return [
            Column("key", [model.key for model in models], left=True),
            *([Column("weights", kinds, left=True)] if len({*kinds}) > 1 else []),
            Column("error, selection", [f"{model.values[ERROR]:.4f}" for model in models]),
            Column("encoder", [amount(model.values["encoder_parameters"]) for model in models]),
            Column("parameters", [amount(model.values["parameters"]) for model in models]),
            Column("ms", [amount(model.values["latency_ms"]) for model in models]),
            Column("MB of its own", [f"{model.own_bytes / MB:.1f}" for model in models]),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return all of it, JSON-ready."""
        listed = [
            {"key": model.key, "weights": str(model.weights), **model.values, "own_bytes": model.own_bytes}
            for model in self.nested.models
        ]
        sizes = {"bytes": self.nested.size, "bytes_apart": self.apart}
        known = {"folder": str(self.nested.folder), "whole": self.whole, **sizes}
        return {**known, "conditions": self.nested.conditions, "models": listed}


def check_nest(settings: NestSettings) -> None:
    """Refuse what would fail in the end, before anything is computed.

    Raises:
        InputError: a place that holds something else, or weights of which a run has several models for one key.
    """
    check_nestable(settings.to)
    if settings.weights is not None and not settings.weights.one_per_mask:
        raise InputError(
            f"`weights` of a nested checkpoint are {', '.join(ONE_PER_MASK)}, got {settings.weights}; `secateur "
            "extract` writes pruned models"
        )


def nest(folder: RunFolder, front: Sequence[Model], settings: NestSettings) -> NestedFront:
    """Write models of a run into one folder: as they were evaluated, or refitted where that is asked for and better.

    What they are cut out of is the supernet if one of them is a slice of it, else what solved weights are cut from,
    else the fine-tuned model. Of a model with other weights that is stored in full which differs.

    It has one tokenizer: where some of the models read fewer tokens, it is the front of those that read all which is
    written, and that is said.

    Args:
        folder: the run.
        front: the models, each the only one with its key and weights.
        settings: where to, whose front that is, and whether they are refitted.

    Raises:
        InputError: weights that are gone or damaged, or a place that cannot be written.
    """
    fewer = sum(model.tokens is not None for model in front)
    with open_archive(folder) as archive:
        if fewer:
            rows = archive.front((ERROR, settings.against), weights=settings.weights or ONE_PER_MASK, all_tokens=True)
            folder.tell.say(
                f"nest: {fewer} of the {len(front)} models of the front read fewer tokens, but a nested checkpoint has "
                f"one tokenizer: it gets the {len(rows)} of the front of those that read all of them"
            )
        else:
            rows = [evaluations_of(archive, model.key, model.weights)[0] for model in front]
    supernet, kinds = open_encoder(folder), {one.weights for one in rows}
    origin = next((kind for kind in _WHOLE if kind in kinds), Weights.FINETUNED)
    whole = origin_of(folder, supernet, origin).model
    tokenizer, conditions = load_tokenizer(folder.finetuned), str(searched_latency_table(folder).target)
    models = _models(folder, supernet, rows, refit=settings.refit)
    nested, apart = write_nested(settings.to, whole, tokenizer, models, conditions)
    return NestedFront(nested, _WHOLE.get(origin, "the fine-tuned model"), apart)


def _models(
    folder: RunFolder, supernet: Supernet, rows: Sequence[Evaluation], *, refit: bool
) -> Iterator[tuple[NestedModel, PreTrainedModel]]:
    """Return what is known of each model, and the model, one after another."""
    table = searched_latency_table(folder)
    makers = {name: make(supernet, table) for name, make in OBJECTIVES.items()}
    task = open_task(folder) if refit or needs_thresholds(supernet.model.config) else None
    with folder.tell.progress("nest") as tick:
        for done, one in enumerate(rows):
            (candidate,) = candidates([one], list(OBJECTIVES), makers)
            model, values = open_subnet(folder, supernet, one), dict(candidate.values)
            if task is not None and refit and can_refit(one):
                found = refitted(folder, task, supernet, model.float(), one)
                model, values[ERROR] = found.model, found.after if found.kept else values[ERROR]
            if task is not None:
                as_served(model, task)
            yield NestedModel(one.mask, str(one.weights), values), model
            tick(done + 1, len(rows))
