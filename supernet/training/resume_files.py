"""What resume points are made of: tensors in safetensors, all else in JSON; neither can run code when it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ...digests import read_json, write_json
from ...files import replace_file

_TENSORS, _VALUES = ".safetensors", ".json"


def save_state(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and JSON-ready values as two files whose names begin with `path`."""
    safetensors.torch.save_file(_apart(tensors), f"{path}{_TENSORS}")
    write_json(Path(f"{path}{_VALUES}"), values)


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what :func:`save_state` wrote, on the CPU."""
    tensors = safetensors.torch.load_file(f"{path}{_TENSORS}")
    return tensors, read_json(Path(f"{path}{_VALUES}"), "delete its folder")


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as a file of their own, with their digest in it; it is whole or as it was."""
    plain = _apart(tensors)
    with replace_file(path) as part:
        safetensors.torch.save_file(plain, part, metadata={"digest": _digest(plain)})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return what :func:`save_tensors` wrote, on the CPU.

    Raises:
        ValueError: it has changed since.
    """
    with safetensors.safe_open(path, framework="pt") as stored:
        known = (stored.metadata() or {}).get("digest")
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no dict)
    if known != _digest(tensors):
        raise ValueError(f"{path} is not the file that was written (its digest differs)")
    return tensors


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, each with memory of its own: safetensors takes no others."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    owned: set[int] = set()
    for name, tensor in plain.items():
        if tensor.numel() and tensor.untyped_storage().data_ptr() in owned:
            plain[name] = tensor.clone()
        owned.add(plain[name].untyped_storage().data_ptr())
    return plain


def _digest(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


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
