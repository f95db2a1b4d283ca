"""The nine tasks of GLUE, from the Hugging Face hub or from a folder of parquet files.

Source: Wang et al., ICLR 2019, table 1, for the metrics; STS-B by Spearman's, MRPC and QQP by F1 alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .tables import Table, read_labels, read_table, text_column
from .texts import TaskTexts, Texts, check_two_classes, class_labels

HUB_NAME = "nyu-mll/glue"


@dataclass(frozen=True)
class GlueTask:
    """Layout of one GLUE task.

    Attributes:
        columns: one or two columns of texts.
        label_names: by class number; `("score",)` for a regression.
        metric: a name of METRICS.
        report: the published validation splits.
    """

    columns: tuple[str, ...]
    label_names: tuple[str, ...]
    metric: str = "accuracy"
    report: tuple[str, ...] = ("validation",)


_ENTAILMENT = ("entailment", "not_entailment")
GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(("sentence",), ("unacceptable", "acceptable"), "matthews"),
    "sst2": GlueTask(("sentence",), ("negative", "positive")),
    "mrpc": GlueTask(("sentence1", "sentence2"), ("not_equivalent", "equivalent"), "f1"),
    "qqp": GlueTask(("question1", "question2"), ("not_duplicate", "duplicate"), "f1"),
    "stsb": GlueTask(("sentence1", "sentence2"), ("score",), "spearman"),
    "mnli": GlueTask(
        ("premise", "hypothesis"),
        ("entailment", "neutral", "contradiction"),
        report=("validation_matched", "validation_mismatched"),
    ),
    "qnli": GlueTask(("question", "sentence"), _ENTAILMENT),
    "rte": GlueTask(("sentence1", "sentence2"), _ENTAILMENT),
    "wnli": GlueTask(("sentence1", "sentence2"), ("not_entailment", "entailment")),
}


def load_glue(name: str, data: Path | None) -> TaskTexts:
    """Load a GLUE task.

    Args:
        name: a name of GLUE.
        data: a folder that holds `<name>/train.parquet` and its validation files, or holds these files itself; None
            downloads the task from the hub, once.

    Raises:
        InputError: a missing folder, file or column, contents that are not this task, or no network.
    """
    task = GLUE[name]
    splits = ("train", *task.report)
    tables = _from_hub(name, splits) if data is None else _from_folder(name, splits, data)
    texts = {split: _texts(task, *tables[split]) for split in splits}
    check_two_classes(texts["train"].labels, tables["train"][1])
    kind = "regression" if task.label_names == ("score",) else "classification"
    report = {split: texts[split] for split in task.report}
    return TaskTexts(kind, task.label_names, task.metric, texts["train"], report)


def _texts(task: GlueTask, table: Table, where: object) -> Texts:
    columns = [text_column(table, name, where) for name in task.columns]
    values = read_labels(table, "label", where)
    if task.label_names != ("score",):
        labels = class_labels(values, task.label_names, where)
    elif isinstance(values[0], str):
        raise InputError(f"{where} must hold numbers as labels, but holds {values[0]!r}; take STS-B's own files")
    else:
        labels = np.asarray(values, np.float32)
    return Texts(columns[0], columns[1] if len(columns) == 2 else None, labels)


def _from_folder(name: str, splits: tuple[str, ...], data: Path) -> dict[str, tuple[Table, object]]:
    if not data.is_dir():
        raise InputError(
            f"the data folder {data} does not exist; GLUE's {name} is read from {name}/train.parquet in it"
        )
    folder = data / name if (data / name).is_dir() else data
    tables: dict[str, tuple[Table, object]] = {}
    for split in splits:
        path = folder / f"{split}.parquet"
        if not path.is_file():
            held = ", ".join(sorted(item.name for item in folder.iterdir())) or "nothing"
            raise InputError(f"{folder} lacks {path.name}, which GLUE's {name} needs; the folder holds: {held}")
        tables[split] = read_table(path), path
    return tables


def _from_hub(name: str, splits: tuple[str, ...]) -> dict[str, tuple[Table, object]]:
    import datasets  # a second, and only the hub needs it
    import huggingface_hub

    advice = f"give a folder that holds {name}/train.parquet with --data, or go online once"
    # Without this question a missing network is found out after five retries, half a minute later.
    if not isinstance(huggingface_hub.try_to_load_from_cache(HUB_NAME, "README.md", repo_type="dataset"), str):
        try:
            huggingface_hub.HfApi().dataset_info(HUB_NAME, timeout=10)
        except Exception as error:  # httpx's errors share no base with OSError, and which httpx it is changes
            raise InputError(f"cannot reach the hub for GLUE's {name} ({type(error).__name__}); {advice}") from None
    try:
        loaded: Any = datasets.load_dataset(HUB_NAME, name)
    except Exception as error:  # a download that breaks off raises httpx's errors too
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"cannot load GLUE's {name} from the hub ({type(error).__name__}: {reason}); {advice}"
        ) from None
    return {split: (loaded[split].to_dict(), f"{HUB_NAME} {name}/{split}") for split in splits}
