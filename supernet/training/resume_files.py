"""What resume points are made of: tensors in safetensors, all else in JSON; neither can run code when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ...digests import read_json, write_json

_TENSORS, _VALUES = ".safetensors", ".json"


def save_state(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and JSON-ready values as two files whose names begin with `path`."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    owned: set[int] = set()
    for name, tensor in plain.items():  # safetensors takes no two tensors of one memory
        if tensor.numel() and tensor.untyped_storage().data_ptr() in owned:
            plain[name] = tensor.clone()
        owned.add(plain[name].untyped_storage().data_ptr())
    safetensors.torch.save_file(plain, f"{path}{_TENSORS}")
    write_json(Path(f"{path}{_VALUES}"), values)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what :func:`save_state` wrote, on the CPU."""
    tensors = safetensors.torch.load_file(f"{path}{_TENSORS}")
    return tensors, read_json(Path(f"{path}{_VALUES}"), "delete its folder")


def save_optimizer(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Write an optimiser's state; options of its groups must be JSON-ready, as those of AdamW are."""
    state = optimizer.state_dict()
    tensors, others = {}, {}
    for parameter, values in state["state"].items():
        for name, value in values.items():
            (tensors if isinstance(value, Tensor) else others)[f"{parameter}.{name}"] = value
    save_state(path, tensors, {"groups": state["param_groups"], "others": others})


def load_optimizer(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Restore what :func:`save_optimizer` wrote.

    Raises:
        ValueError: the state of another optimiser.
    """
    tensors, values = load_state(path)
    state: dict[int, dict[str, Any]] = {}
    for key, value in (tensors | values["others"]).items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    groups = [
        {name: tuple(value) if name == "betas" else value for name, value in group.items()}
        for group in values["groups"]
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
