"""The files of a sentence-transformers folder: what makes a vector of a text, beside the encoder's own files.

`modules.json` lists the steps: the encoder, pooling, perhaps a dense layer and a normalisation. The layout is that of
sentence-transformers 2 and later, and needs that package neither to be read nor to be written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from ...errors import InputError
from ..families.family import POOLINGS, SENTENCE
from ..sentence_head import SentenceHead, is_identity

MODULES = "modules.json"
_STEPS = ("Transformer", "Pooling", "Dense", "Normalize")
_KEPT = ("config_sentence_transformers.json", "sentence_bert_config.json")  # prompts; the longest text
_TYPES = "sentence_transformers.models"  # as all versions read them
_MODES = {  # of pooling, as older versions write each
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ACTIVATIONS = {  # modules of torch, and what transformers calls their functions
    "Identity": None,
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Sigmoid": "sigmoid",
}
_PATHS = {
    None: "torch.nn.modules.linear.Identity",
    **{name: f"torch.nn.modules.activation.{kind}" for kind, name in _ACTIVATIONS.items() if name is not None},
}


class Source(Protocol):
    """Where a model comes from, see `storage.Source`."""

    @property
    def name(self) -> str:
        """The folder's path, or the name on the hub."""
        ...

    @property
    def local(self) -> bool:
        """It is a folder."""
        ...

    @property
    def offline(self) -> bool:
        """The hub is out of reach."""
        ...


def has_modules(source: Source) -> bool:
    """Tell whether a model is a sentence-transformers one."""
    return _file(source, MODULES) is not None


def read_modules(source: Source, config: PreTrainedConfig) -> tuple[SentenceHead, Mapping[str, Tensor] | None]:
    """Return what makes vectors of an encoder's states, and the weights of its linear map, None if it has none.

    An encoder without such files gives the mean of its tokens' states, as sentence-transformers has it.

    Raises:
        InputError: damaged files, or steps that are not supported.
    """
    width = int(config.hidden_size)
    files = {name: _json(source, name, dict) for name in _KEPT if _file(source, name) is not None}
    if files.get("sentence_bert_config.json", {}).get("do_lower_case"):
        raise _refused(source, "sentence_bert_config.json", "has do_lower_case; use a tokenizer that does it")
    if not has_modules(source):
        return SentenceHead(width, files=files), None
    values: dict[str, Any] = {"width": width}
    linear, steps = None, [_step(source, one) for one in _json(source, MODULES, list)]
    left = list(_STEPS)
    for kind, path in steps:
        if kind not in left:
            names = ", ".join(kind for kind, _ in steps)
            raise _refused(source, MODULES, f"has the steps {names}; supported are {', '.join(_STEPS)}, in this order")
        del left[: left.index(kind) + 1]  # each is there once at most, in this order
        if kind == "Pooling":
            values["pooling"] = _pooling(source, f"{path}/config.json")
        elif kind == "Dense":
            settings, linear = _dense(source, path, width)
            values |= settings
        elif kind == "Normalize":
            values["normalize"] = True
    if [kind for kind, _ in steps[:2]] != ["Transformer", "Pooling"] or steps[0][1]:
        raise _refused(source, MODULES, "does not begin with a Transformer in the folder itself and a Pooling")
    return SentenceHead(**values, files=files), linear


def write_modules(model: PreTrainedModel, folder: str | os.PathLike) -> None:
    """Write what makes vectors of an encoder's states beside its files, which are there."""
    place, head, projection = Path(folder), SentenceHead.of(model.config), model.get_submodule("projection")
    _clean(place / "config.json")
    width = int(model.config.hidden_size)
    steps = [("Transformer", ""), ("Pooling", "1_Pooling")]
    write_pooling(head, width, place)
    if head.activation is not None or not is_identity(projection):  # pyright: ignore[reportArgumentType]
        steps.append(("Dense", f"{len(steps)}_Dense"))
        dense = place / steps[-1][1]
        activation = _PATHS[head.activation]
        sizes = {"in_features": width, "out_features": head.width, "bias": head.bias}
        _write(dense / "config.json", {**sizes, "activation_function": activation})
        state = {f"linear.{name}": tensor.detach().cpu().contiguous() for name, tensor in projection.named_parameters()}
        save_file(state, dense / "model.safetensors", metadata={"format": "pt"})
    if head.normalize:
        steps.append(("Normalize", f"{len(steps)}_Normalize"))
        (place / steps[-1][1]).mkdir(exist_ok=True)
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"{_TYPES}.{kind}"} for at, (kind, path) in enumerate(steps)
    ]
    _write(place / MODULES, listed)


def write_pooling(head: SentenceHead, width: int, folder: Path) -> None:
    """Write what is read of a text, `width` numbers of each token; and prompts and the like."""
    modes = {name: mode == head.pooling for name, mode in _MODES.items()}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes, "include_prompt": True})
    for name, content in head.files.items():
        _write(folder / name, dict(content))


def _clean(path: Path) -> None:
    """Take out of a configuration what the other files say."""
    config = json.loads(path.read_bytes())
    config.pop(SENTENCE, None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _step(source: Source, one: Any) -> tuple[str, str]:
    try:
        return str(one["type"]).rpartition(".")[2], str(one["path"])
    except (TypeError, KeyError):
        raise _refused(source, MODULES, f"has the step {str(one)[:60]!r}, without a type or a path") from None


def _pooling(source: Source, name: str) -> str:
    config = _json(source, name, dict)
    modes = config.get("pooling_mode") or [mode for name, mode in _MODES.items() if config.get(name)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise _refused(source, name, f"pools by {', '.join(map(str, modes))}; supported are {', '.join(POOLINGS)}")
    if config.get("include_prompt") is False:
        raise _refused(source, name, "leaves a prompt's tokens out (include_prompt), which is not supported")
    return modes[0]


def _dense(source: Source, path: str, width: int) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    name = f"{path}/config.json"
    config = _json(source, name, dict)
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    if activation not in _ACTIVATIONS or config.get("use_residual"):
        came = "a residual connection" if config.get("use_residual") else f"the activation {activation}"
        raise _refused(source, name, f"has {came}; supported are {', '.join(_ACTIVATIONS)}, without one")
    weights = _file(source, f"{path}/model.safetensors")
    if weights is None:
        raise _refused(source, f"{path}/model.safetensors", "is not there; save the model with safetensors")
    try:
        found = {key.removeprefix("linear."): tensor for key, tensor in load_file(weights).items()}
        size = tuple(found["weight"].shape)
    except Exception as error:  # safetensors' own errors have no parent of their own
        raise _refused(source, f"{path}/model.safetensors", f"is damaged ({type(error).__name__})") from error
    if size != (config.get("out_features"), width):
        expected = (config.get("out_features"), width)
        raise _refused(source, f"{path}/model.safetensors", f"has a weight of {size} where {expected} is expected")
    return {"width": size[0], "activation": _ACTIVATIONS[activation], "bias": "bias" in found}, found


def _file(source: Source, name: str) -> str | None:
    if source.local:
        path = Path(source.name) / name
        return str(path) if path.is_file() else None
    return cached_file(source.name, name, local_files_only=source.offline, _raise_exceptions_for_missing_entries=False)


def _json(source: Source, name: str, kind: type) -> Any:
    path = _file(source, name)
    if path is None:
        raise _refused(source, name, "is not there; get the model again")
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, kind):
        raise _refused(source, name, "is damaged; get the model again")
    return found


def _refused(source: Source, name: str, why: str) -> InputError:
    return InputError(f"{name} of {source.name} {why}")
