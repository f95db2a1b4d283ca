"""What pages say of a run's data and of the size of its model, kept in run.json: neither is read again for them."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ..errors import InputError
from ..evaluation.report.yardstick import Yardstick
from ..search_space import EncoderShape
from .folder import RunFolder

if TYPE_CHECKING:
    from ..tasks import Task


@dataclass(frozen=True)
class DataFacts:
    """Facts of a task, tokenised for a run's model, and of that model.

    Attributes:
        train, selection: texts of these splits, those of long contexts counted each.
        train_examples, selection_examples: what a metric counts of them.
        report_examples: likewise, by the name of the report split.
        report_origin: where the report splits come from, in words.
        yardstick: what errors are held against; of several report splits their mean counts.
        shape: of the whole encoder.
    """

    train: int
    selection: int
    train_examples: int
    selection_examples: int
    report_examples: dict[str, int]
    report_origin: str
    yardstick: Yardstick
    shape: EncoderShape


def collect(task: Task, shape: EncoderShape) -> dict[str, Any]:
    """Return the facts of a task and of a model's encoder, JSON-ready."""
    from ..evaluation.model_error import constant_error  # here: what is collected is read without torch

    splits = list(task.report.values())
    yardstick = Yardstick(
        constant=constant_error(task.selection, task.metric),
        constant_report=statistics.fmean(constant_error(split, task.metric) for split in splits),
        rows=splits[0].examples if task.metric.is_mean and len(splits) == 1 else 0,
    )
    facts = DataFacts(
        train=len(task.train),
        selection=len(task.selection),
        train_examples=task.train.examples,
        selection_examples=task.selection.examples,
        report_examples={name: split.examples for name, split in task.report.items()},
        report_origin=task.report_origin,
        yardstick=yardstick,
        shape=shape,
    )
    return asdict(facts)


def data_facts(folder: RunFolder) -> DataFacts:
    """Return what a run folder knows of its data.

    Raises:
        InputError: it does not, or its run.json is damaged.
    """
    try:
        return TypeAdapter(DataFacts).validate_python(folder.record.get("data"))
    except ValidationError as error:
        raise InputError(
            f"{folder.path / 'run.json'} does not say what the run's data are; begin the run once more, with the same "
            "`model`, `task` and `out`, and it will"
        ) from error
