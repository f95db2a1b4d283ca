"""Whether a checkpoint has a task's head, for the task's labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, PreTrainedConfig
from transformers.utils.hub import cached_file

from ...errors import InputError
from ...tasks.kinds import Head
from ...tasks.task import Task
from ..heads import stored_head
from .storage import find_source, known_family, one_line_errors, quiet


def class_names(config: PreTrainedConfig) -> tuple[str, ...]:
    """Return the names of a model's classes, in the order of its outputs."""
    return tuple(str(name) for _, name in sorted((config.id2label or {}).items()))


def check_labels(config: PreTrainedConfig, task: Task) -> None:
    """Check that a model's outputs are the task's labels, in the task's order, as far as their names tell.

    Raises:
        InputError: another number of labels, or the same names in another order.
    """
    if task.kind.head == "embedding":  # vectors have no names
        return
    names = [name.casefold() for name in class_names(config)]
    expected = [name.casefold() for name in task.label_names]
    if len(names) != len(expected):
        raise InputError(
            f"the model has a head for {len(names)} labels, but the task {task.name!r} has {len(expected)} "
            f"({', '.join(task.label_names)}); give a model fine-tuned on this task, or a pre-trained one"
        )
    if names != expected and sorted(names) == sorted(expected):
        raise InputError(
            f"the model's labels are {', '.join(names)}, in this order, but those of the task {task.name!r} are "
            f"{', '.join(expected)}; give a model fine-tuned on this task, or a pre-trained one"
        )


def head_labels(path_or_id: str | Path, head: Head = "sequence-classification") -> int | None:
    """Return for how many labels a checkpoint has a head; None if it has not, being only pre-trained for such a task.

    Reads the names and sizes of the weights, not the weights.

    Args:
        path_or_id: a folder, or a model's name on the Hugging Face hub.
        head: which one; a checkpoint with another one has not this one.

    Raises:
        InputError: no such model, a damaged one, or another family.
    """
    source = find_source(path_or_id)
    with quiet(progress=not source.local):
        with one_line_errors(source):
            config = AutoConfig.from_pretrained(source.name, local_files_only=source.offline, trust_remote_code=False)
        own = stored_head(config)
        if head == "embedding" and own not in (None, head):
            raise InputError(
                f"{source.name} has a head for {own}, but vectors are made by a model without a task's head; give the "
                "encoder alone, or a sentence-transformers model"
            )
        if head == "embedding":
            return 1  # a vector, which every encoder makes
        if config.architectures and stored_head(config) != head:
            return None
        paths = known_family(config).heads[head].linears

        def find(name: str) -> str | None:
            return cached_file(
                source.name, name, local_files_only=source.offline, _raise_exceptions_for_missing_entries=False
            )

        with one_line_errors(source):
            sizes = _head_sizes(find, [f"{path}.weight" for path in paths])
    return sizes[-1][0] if len(sizes) == len(paths) else None


def _head_sizes(find: Callable[[str], str | None], names: list[str]) -> list[tuple[int, ...]]:
    """Return the sizes of those weights that the checkpoint has: in one file or in several with an index."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        if file := find(whole):
            files: dict[str, str | None] = dict.fromkeys(names, file)
            break
        if index := find(f"{whole}.index.json"):
            places = json.loads(Path(index).read_bytes())["weight_map"]
            files = {name: find(places[name]) for name in names if name in places}
            break
    else:
        raise FileNotFoundError("no model.safetensors")
    if missing := [name for name, file in files.items() if file is None]:
        raise FileNotFoundError(f"no file with {missing[0]}")
    sizes = {file: _sizes(file) for file in {*files.values()} if file is not None}
    return [sizes[file][name] for name, file in files.items() if file is not None and name in sizes[file]]


def _sizes(file: str) -> dict[str, tuple[int, ...]]:
    """Return the sizes of all weights in a file, which is read without what they hold."""
    if file.endswith(".bin"):
        return {
            name: tuple(one.shape) for name, one in torch.load(file, map_location="meta", weights_only=True).items()
        }
    with safe_open(file, framework="pt") as stored:
        return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118 (no dict)
