"""A nested checkpoint: one model, and beside it what lets others be cut out of it when they are loaded.

The folder is that of an ordinary model with its tokenizer, of the whole one. `nested.json` lists the others: what each
keeps, what it is chosen by, and which of its tensors are no slices. Those lie in `own/`, a file for each model that has
some: whole, or as steps from a slice or from another model's tensor; what two models have in common is there once.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...digests import DIGESTS, file_digest, read_json, seal, write_json
from ...errors import InputError
from ...search_space import SubnetMask
from ..extraction import NOT_INHERITED, extract
from .replacing import replacing
from .steps import add_steps, named, steps_between
from .storage import load_model, write_model

NESTED = "nested.json"
_OWN = "own"
_AGAIN = "put back a copy of it, or write the folder anew with `secateur nest`"


@dataclass(frozen=True)
class OwnTensor:
    """Where a tensor is that is no slice.

    Attributes:
        file: path of its file in the folder.
        name: that it has there.
        steps: what is there are steps, see :mod:`.steps`: from the slice, or from `reference`.
        reference: file and name of another tensor, whole.
    """

    file: str
    name: str
    steps: bool = False
    reference: tuple[str, str] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All files that it is read from."""
        return (self.file,) if self.reference is None else (self.file, self.reference[0])


@dataclass(frozen=True)
class NestedModel:
    """A model of a nested checkpoint.

    Attributes:
        mask: what it keeps of the whole one.
        weights: what its weights come from, as archives name it.
        values: what it is chosen by: the error and costs, by objective.
        dtype: its precision, as torch names it.
        config: settings that it has otherwise than what is cut out of the whole one.
        tensors: those that are no slices, by name.
        own_bytes: of the tensors in its own file.
    """

    mask: SubnetMask
    weights: str
    values: dict[str, float]
    dtype: str = "float32"
    config: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, OwnTensor] = field(default_factory=dict)
    own_bytes: int = 0

    @property
    def key(self) -> str:
        """The mask's `key`."""
        return self.mask.key

    @property
    def files(self) -> tuple[str, ...]:
        """All files of `own/` that it is read from."""
        return tuple(sorted({file for tensor in self.tensors.values() for file in tensor.files}))

    def to_json(self) -> dict[str, Any]:
        """Return all of it, JSON-ready."""
        return {"key": self.key, **asdict(self), "mask": self.mask.to_json()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> NestedModel:
        """Rebuild it from :meth:`to_json`'s description."""
        tensors = {name: _own_tensor(**stored) for name, stored in found["tensors"].items()}
        known = {name: found[name] for name in ("weights", "values", "dtype", "config", "own_bytes")}
        return cls(mask=SubnetMask.from_json(found["mask"]), tensors=tensors, **known)


@dataclass(frozen=True)
class Nested:
    """A nested checkpoint.

    Attributes:
        folder: where it is.
        models: that it holds, in the order in which they were given.
        conditions: which machine latencies are predicted for, and how models are served there.
        files: digests by paths in the folder: of the files in `own/`, and of the one that has all other digests.
    """

    folder: Path
    models: tuple[NestedModel, ...]
    conditions: str
    files: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def load(self, model: NestedModel) -> PreTrainedModel:
        """Return one of its models, independent of all others, on the CPU in evaluation mode.

        Raises:
            InputError: a file that it needs has changed since it was written, or is gone.
        """
        for file in (DIGESTS, *model.files):
            self._check(file)
        cut = extract(load_model(self.folder), model.mask).to(getattr(torch, model.dtype))
        parameters = cut.state_dict(keep_vars=True)
        with ExitStack() as opened:
            files = {file: opened.enter_context(_open(self.folder / file)) for file in model.files}
            for name, stored in model.tensors.items():
                target = parameters[name]
                if not stored.steps or stored.reference is not None:
                    file, there = stored.reference or (stored.file, stored.name)
                    target.data = files[file].get_tensor(there).clone()
                if stored.steps:
                    steps = {part: files[stored.file].get_tensor(there) for part, there in named(stored.name).items()}
                    add_steps(target.data, steps)
        for name, value in model.config.items():
            setattr(cut.config, name, value)
        return cut

    def _check(self, file: str) -> None:
        path = self.folder / file
        if not path.is_file():
            raise InputError(f"{path} is gone; {_AGAIN}")
        if file_digest(path) != self.files[file]:
            raise InputError(f"{path} is damaged: it is not the file that was written (its digest differs); {_AGAIN}")


def read_nested(folder: str | Path) -> Nested:
    """Read what a nested checkpoint holds; its weights are read and checked when a model is loaded.

    Raises:
        InputError: it is none, or `nested.json` is damaged.
    """
    path = Path(folder).expanduser()
    if not (path / NESTED).is_file():
        raise InputError(f"{folder} is no nested checkpoint: it has no {NESTED}; `secateur nest` writes one")
    found = read_json(path / NESTED, _AGAIN)
    try:
        models = tuple(map(NestedModel.from_json, found["models"]))
        needed = {DIGESTS, *(file for model in models for file in model.files)}
        files = {file: str(found["files"][file]) for file in needed}
        return Nested(path, models, str(found["conditions"]), files)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path / NESTED} is damaged ({type(error).__name__}); {_AGAIN}") from error


def write_nested(
    folder: Path,
    whole: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    models: Iterable[tuple[NestedModel, PreTrainedModel]],
    conditions: str,
) -> tuple[Nested, int]:
    """Write a nested checkpoint, either complete or not at all; one that is there is replaced.

    Args:
        folder: where to.
        whole: the model that the others are cut out of, as far as they are slices.
        tokenizer: its own.
        models: what each keeps and is chosen by, and the model itself, which `extract` has made, with the weights that
            it is to be loaded with; taken one after another.
        conditions: as :class:`Nested` has it.

    Returns:
        What was written, and the bytes of all models' weights together, each by itself.

    Raises:
        InputError: a place that holds something else or cannot be written, or a full disk.
    """
    folder = Path(folder).absolute()
    check_nestable(folder)
    apart = 0
    with replacing(folder) as part:
        write_model(whole, tokenizer, part)
        seal(part)
        own = _OwnTensors(part, load_model(part))
        written = []
        for told, model in models:
            written.append(own.add(told, model))
            apart += sum(tensor.nbytes for tensor in model.state_dict().values())
        paths = [part / DIGESTS, *sorted((part / _OWN).glob("*"))]
        files = {path.relative_to(part).as_posix(): file_digest(path) for path in paths}
        version = importlib.metadata.version("secateur")
        listed = [model.to_json() for model in written]
        write_json(part / NESTED, {"secateur": version, "conditions": conditions, "files": files, "models": listed})
    return read_nested(folder), apart


def check_nestable(folder: Path) -> None:
    """Check that a nested checkpoint may be written to `folder`: it is not there, empty, or such a checkpoint.

    Raises:
        InputError: it holds something else.
    """
    if folder.exists() and not (folder / NESTED).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists and is no nested checkpoint; choose another folder, or remove it yourself")


class _OwnTensors:
    """Writes of each model what is no slice of the whole one, each tensor once.

    Args:
        folder: of the checkpoint.
        whole: as it is read from there.
    """

    def __init__(self, folder: Path, whole: PreTrainedModel) -> None:
        self._folder, self._whole = folder, whole
        self._places: dict[str, OwnTensor] = {}  # of tensors that are there whole, by their digests
        self._named: dict[str, OwnTensor] = {}  # the last of these by its name

    def add(self, told: NestedModel, model: PreTrainedModel) -> NestedModel:
        """Write a model's own tensors, and return the description that it is loaded by."""
        cut = extract(self._whole, told.mask).to(model.dtype)  # pyright: ignore[reportArgumentType]
        slices = cut.state_dict()
        file = f"{_OWN}/{told.key}-{told.weights}.safetensors"
        mine: dict[str, Tensor] = {}
        places: dict[str, OwnTensor] = {}
        for name, tensor in model.state_dict().items():
            tensor = tensor.detach().cpu().contiguous()
            if not _same(tensor, slices[name]):
                places[name], stored = self._stored(file, name, tensor, slices[name])
                mine |= stored
        if mine:
            path = self._folder / file
            path.parent.mkdir(exist_ok=True)
            safetensors.torch.save_file(mine, path)
            path.chmod((self._folder / "config.json").stat().st_mode)  # which safetensors lets nobody else read
            self._named |= {name: one for name, one in places.items() if not one.steps}
        return replace(
            told,
            dtype=str(model.dtype).removeprefix("torch."),
            config=_changes(cut.config.to_dict(), model.config.to_dict()),
            tensors=places,
            own_bytes=sum(tensor.nbytes for tensor in mine.values()),
        )

    def _stored(self, file: str, name: str, tensor: Tensor, cut: Tensor) -> tuple[OwnTensor, dict[str, Tensor]]:
        """Return where a tensor is, and what its file must have for that: nothing, steps, or the tensor."""
        digest = _digest(tensor)
        if digest in self._places:
            return self._places[digest], {}
        steps, reference = steps_between(cut, tensor), None
        if steps is None and (other := self._named.get(name)) is not None:
            with _open(self._folder / other.file) as opened:
                steps, reference = steps_between(opened.get_tensor(other.name), tensor), (other.file, other.name)
        if steps is not None:
            return OwnTensor(file, name, True, reference), {there: steps[of] for of, there in named(name).items()}
        self._places[digest] = OwnTensor(file, name)
        return self._places[digest], {name: tensor.clone()}


def _own_tensor(file: str, name: str, steps: bool, reference: Sequence[str] | None) -> OwnTensor:
    return OwnTensor(file, name, steps, None if reference is None else (reference[0], reference[1]))


def _open(path: Path) -> Any:
    return safetensors.safe_open(path, "pt")  # pyright: ignore[reportAttributeAccessIssue]


def _same(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors are the same bit for bit."""
    alike = one.dtype == other.dtype and one.shape == other.shape
    return alike and torch.equal(_bytes(one), _bytes(other))


def _digest(tensor: Tensor) -> str:
    kind = f"{tensor.dtype} {tuple(tensor.shape)}".encode()
    return hashlib.blake2b(kind + _bytes(tensor).numpy().tobytes()).hexdigest()


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a configuration has otherwise, as JSON has them."""
    before, after = (json.loads(json.dumps(one, default=str)) for one in (before, after))
    return {name: value for name, value in after.items() if name not in NOT_INHERITED and before.get(name) != value}
