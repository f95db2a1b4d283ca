"""Models with removed groups of weights on disk: without the zeros, whatever form they run in.

`packed.safetensors` has the kept weights, `packing.json` how matrices are cut and the form that the model was in.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from .packed import FORMS, SlabLinear, in_form, mark_slabs, slab_linears
from .slabs import Slabs

_PACKING, _WEIGHTS = "packing.json", "packed.safetensors"


def compression(model: nn.Module) -> float:
    """Return how many times fewer weights are left: all over those that are not zero, of linear maps without biases.

    Source: the count of Li et al.'s code, which leaves embeddings and biases out.
    """
    total = left = 0
    for module in model.modules():
        if isinstance(module, nn.Linear | SlabLinear):
            weight = module.whole() if isinstance(module, SlabLinear) else module.weight
            total, left = total + weight.numel(), left + int(weight.count_nonzero())
    return total / left


def stored_bytes(model: PreTrainedModel) -> int:
    """Return the bytes of the tensors that :func:`save_packed` writes."""
    return sum(tensor.nbytes for tensor in _stored(model).values())


def save_packed(model: PreTrainedModel, folder: Path) -> None:
    """Write a model without the zeros of its removed groups, and the form that it is in.

    Args:
        model: whose slabs are marked, in any form.
        folder: where to; `secateur.supernet.stored.storage.load_model` reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = slab_linears(model)
    config = copy.deepcopy(model.config)
    config.architectures, config.dtype = [type(model).__name__], str(model.dtype).removeprefix("torch.")
    config.save_pretrained(folder)
    save_file(_stored(model), folder / _WEIGHTS, metadata={"format": "pt"})
    (form,) = {name for name, kind in FORMS.items() for module in found.values() if type(module) is kind}
    matrices = {path: {"scheme": one.slabs.scheme, "widths": one.slabs.widths} for path, one in found.items()}
    (folder / _PACKING).write_text(json.dumps({"form": form, "matrices": matrices}, indent=1))


@contextmanager
def unpacked(folder: str) -> Iterator[str]:
    """Yield a folder with the same model as an ordinary checkpoint: itself, or a temporary one where it is packed."""
    if not (Path(folder) / _PACKING).is_file():
        yield folder
        return
    tensors = load_file(Path(folder) / _WEIGHTS)
    for path, slabs in _packing(folder)[1].items():
        values, kept = tensors.pop(f"{path}.values"), tensors.pop(f"{path}.kept")
        tensors[f"{path}.weight"] = slabs.unpack(values, kept)
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copy(Path(folder) / "config.json", temporary)
        save_file(tensors, Path(temporary) / "model.safetensors", metadata={"format": "pt"})
        yield temporary


def in_stored_form(model: PreTrainedModel, folder: str) -> PreTrainedModel:
    """Return a model that :func:`unpacked` was loaded from in the form that it was saved in; others as they are.

    It stays dense where this build of PyTorch does not run that form.
    """
    if not (Path(folder) / _PACKING).is_file():
        return model
    form, cuts = _packing(folder)
    mark_slabs(model, cuts)
    try:
        return in_form(model, form)
    except RuntimeError:
        return model


def _packing(folder: str) -> tuple[str, dict[str, Slabs]]:
    found = json.loads((Path(folder) / _PACKING).read_bytes())
    return found["form"], {path: Slabs(one["scheme"], tuple(one["widths"])) for path, one in found["matrices"].items()}


def _stored(model: PreTrainedModel) -> dict[str, Tensor]:
    found = slab_linears(model)
    prefixes = tuple(f"{path}." for path in found)
    tensors = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(prefixes)}
    for path, module in found.items():
        values, kept = module.slabs.pack(module.whole().detach())
        tensors |= {f"{path}.values": values, f"{path}.kept": kept}
        if module.bias is not None:
            tensors[f"{path}.bias"] = module.bias.detach()
    return {name: tensor.contiguous() for name, tensor in tensors.items()}
