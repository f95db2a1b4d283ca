"""A subnetwork as a smaller Hugging Face model of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..search_space import SubnetMask
from .elastic import Piece, Pieces, cut, hidden_index, pieces
from .families import EmbeddingPaths, ModelFamily, family_of
from .families.configuration import PASSING
from .heads import head_of, read_outputs
from .modeling_secateur import ATTENTION, FFN, ExtractedConfig
from .stored.extracted import config_class, model_class
from .supernet import LAYER_ORDER, Supernet

# What a configuration must not inherit from the model it was made from.
NOT_INHERITED = (
    "model_type",
    "transformers_version",
    "architectures",
    "auto_map",
    "_name_or_path",
    "dtype",
    *PASSING,
    LAYER_ORDER,
)


def extract(model: PreTrainedModel, mask: SubnetMask) -> PreTrainedModel:
    """Return an independent smaller model with the outputs of a subnetwork.

    Args:
        model: of one of `families.FAMILIES`, for sequence classification, question answering, token classification or
            embedding; left as it is.
        mask: what the subnetwork keeps.

    Returns:
        A model in evaluation mode that shares no memory with `model`, of its precision, on its device, with its labels.

    Raises:
        InputError: another family, or another head.
        ValueError: a mask of another encoder.
    """
    family, head = family_of(model.config), head_of(model)
    parameters = dict(model.named_parameters())
    embeddings = family.embeddings.present(parameters)
    used = pieces(family, family.heads[head], family.shape(model.config), mask, names=parameters, device=model.device)

    config = extracted_config(model, mask)
    config._attn_implementation = model.config._attn_implementation
    with torch.device("meta"):
        extracted = model_class(family, head)(config)
    state = _cut_layers(family, parameters, used, mask) | _cut_tables(family, embeddings, parameters, mask)
    extracted.load_state_dict(state, assign=True)
    copy_buffers(model, extracted)
    return extracted.eval()


@torch.no_grad()
def extract_subnet(supernet: Supernet, mask: SubnetMask) -> PreTrainedModel:
    """Return :func:`extract`'s model with those weights, too, that are no slices of the supernet's parameters."""
    model = extract(supernet.model, mask)
    mine, names = dict(model.named_parameters()), extracted_names(supernet, mask)
    for key, values in supernet.solved(mask).items():
        (name,) = names[key]
        mine[name].copy_(values)
    return model


def copy_buffers(model: PreTrainedModel, made: PreTrainedModel) -> None:
    """Copy positions and the like, which are not saved and hence not in the state, to a model that lacks them."""
    for name in dict(made.named_buffers()):
        owner, _, attribute = name.rpartition(".")
        setattr(made.get_submodule(owner), attribute, model.get_buffer(name).detach().clone())


def extracted_config(model: PreTrainedModel, mask: SubnetMask) -> ExtractedConfig:
    """Return the configuration of a subnetwork extracted from `model`.

    Args:
        model: the supernet.
        mask: the subnetwork.
    """
    family = family_of(model.config)
    shape, layers = family.shape(model.config), kept_layers(mask)
    values: dict[str, Any] = {key: value for key, value in model.config.to_dict().items() if key not in NOT_INHERITED}
    own_name = model.config.attribute_map.get
    values[own_name("hidden_size", "hidden_size")] = mask.hidden_size
    values[own_name("num_hidden_layers", "num_hidden_layers")] = len(layers)
    values["head_dim"], values["classifier_size"] = shape.head_size, shape.hidden_size
    values["secateur_key"] = mask.key
    values |= family.settings_of_part(model.config, mask, layers)
    heads_name = own_name("num_attention_heads", "num_attention_heads")
    values["per_layer_config"] = _per_layer_config(mask, heads_name, family)
    return config_class(family)(**values)


def kept_layers(mask: SubnetMask) -> list[int]:
    """Return the numbers of the layers that keep a block; an extracted model has no others."""
    both = zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True)
    return [layer for layer, (heads, neurons) in enumerate(both) if heads or neurons]


def _per_layer_config(mask: SubnetMask, heads_name: str, family: ModelFamily) -> dict[int | str, dict[str, Any]]:
    """Describe each kept layer in transformers' format, whose setter removes what equals the global values."""
    described: dict[int | str, dict[str, Any]] = {}
    for position, layer in enumerate(kept_layers(mask)):
        heads, neurons = mask.heads_per_layer[layer], mask.neurons_per_layer[layer]
        entry: dict[str, Any] = {heads_name: heads} if heads else {"skip": [ATTENTION]}
        entry |= {family.intermediate_size: neurons} if neurons else {"skip": [FFN]}
        described[position] = entry
    return described


def _cut_layers(
    family: ModelFamily, parameters: Mapping[str, Tensor], used: Pieces, mask: SubnetMask
) -> dict[str, Tensor]:
    """Copy the pieces of layers and head under the names they have once dropped layers are gone."""
    renamed = _renamed(family, mask)
    state = {}
    for piece in used.values():
        for name in piece.names:
            own = Piece((name,)) if piece.shared else replace(piece, names=(name,))
            state[renamed(name)] = _copy(own.take(parameters))
    return state


def _renamed(family: ModelFamily, mask: SubnetMask) -> Callable[[str], str]:
    """Return what turns a parameter's name into the one it has once dropped layers are gone."""
    renamed = {f"{family.layers}.{old}.": f"{family.layers}.{new}." for new, old in enumerate(kept_layers(mask))}
    prefix_parts = family.layers.count(".") + 2

    def rename(name: str) -> str:
        prefix = ".".join(name.split(".")[:prefix_parts]) + "."
        return renamed[prefix] + name.removeprefix(prefix) if name.startswith(f"{family.layers}.") else name

    return rename


def extracted_names(supernet: Supernet, mask: SubnetMask) -> dict[str, tuple[str, ...]]:
    """Return by what names an extracted model has a subnetwork's weights, keyed as `elastic.pieces` does.

    Args:
        supernet: it was extracted from.
        mask: what it keeps.

    Raises:
        ValueError: a mask of another encoder.
    """
    rename = _renamed(supernet.family, mask)
    return {key: tuple(map(rename, piece.names)) for key, piece in supernet.pieces(mask).items()}


@torch.no_grad()
def put_back(model: PreTrainedModel, mask: SubnetMask, whole: Supernet) -> None:
    """Write an extracted model's weights, as they are by now, over the slices that it was cut from.

    `extract(whole.model, mask)` is that model then, and a smaller mask within this one cuts it further.

    Args:
        model: extracted with the mask from a model of this shape.
        mask: what it keeps.
        whole: is written to.

    Raises:
        ValueError: a mask of another encoder.
    """
    mine, names = dict(model.named_parameters()), extracted_names(whole, mask)
    for key, piece in whole.pieces(mask).items():
        part = Piece(piece.names) if piece.shared else piece
        for name, stored in zip(piece.names, names[key], strict=True):
            part.put(whole.parameters, name, mine[stored])
    tables = Piece((), None, whole.embedding_columns(mask))
    for path in whole.embeddings.tables:
        tables.put(whole.parameters, f"{path}.weight", mine[f"{path}.weight"])


def extracted_weights(supernet: Supernet, mask: SubnetMask, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of an extracted model, keyed as `elastic.pieces` does.

    Args:
        supernet: it was extracted from.
        mask: what it keeps.
        parameters: of the extracted model.

    Raises:
        ValueError: a mask of another encoder.
    """
    names, used = extracted_names(supernet, mask), supernet.pieces(mask)
    return {
        key: used[key].take(parameters) if used[key].shared else torch.cat([parameters[name] for name in of])
        for key, of in names.items()
    }


def _cut_tables(
    family: ModelFamily, embeddings: EmbeddingPaths, parameters: Mapping[str, Tensor], mask: SubnetMask
) -> dict[str, Tensor]:
    """Copy the embedding tables: the kept dimensions, or all of them where a projection follows."""
    device = parameters[f"{embeddings.word}.weight"].device
    columns = None if embeddings.projection else hidden_index(mask, device)
    found = {f"{path}.weight": _copy(cut(parameters[f"{path}.weight"], None, columns)) for path in embeddings.tables}
    if family.relative_bias is not None:  # there even where no layer keeps a head
        found[f"{family.relative_bias}.weight"] = _copy(parameters[f"{family.relative_bias}.weight"])
    return found


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def check_agreement(reference: Tensor, other: Tensor, tolerance: float = 1e-4) -> float:
    """Check that a model that was extracted, or saved and loaded again, still computes what it should.

    Args:
        reference: `(R, C)` outputs of the subnetwork.
        other: `(R, C)` outputs to compare.
        tolerance: largest difference allowed, in units of the largest reference output where that exceeds 1.

    Returns:
        The largest absolute difference.

    Raises:
        RuntimeError: the two disagree, or are not numbers.
        ValueError: two shapes.
    """
    if reference.shape != other.shape:
        raise ValueError(
            f"outputs to compare must have one shape, got {tuple(reference.shape)} and {tuple(other.shape)}"
        )
    reference, other = reference.detach().double().cpu(), other.detach().double().cpu()
    difference = float((reference - other).abs().max()) if reference.numel() else 0.0
    scale = max(1.0, float(reference.abs().max())) if reference.numel() else 1.0
    if not difference <= tolerance * scale:  # a NaN must not pass
        raise RuntimeError(
            f"an extracted model disagrees with its subnetwork: outputs differ by up to {difference:.3g}, allowed are "
            f"{tolerance * scale:.3g}; the stored model must not be used"
        )
    return difference


@torch.inference_mode()
def check_extracted(
    model: PreTrainedModel,
    supernet: Supernet,
    mask: SubnetMask,
    inputs: Mapping[str, Tensor],
    own: Mapping[str, Tensor] | None = None,
) -> None:
    """Check that an extracted model computes what its slices in the supernet do; padding is not looked at.

    Args:
        model: what was extracted, on the supernet's device.
        supernet: where it was cut from.
        mask: what it keeps.
        inputs: tokens, attention mask and token types, as a model is called with them.
        own: the same as the extracted model numbers tokens, where that is otherwise.

    Raises:
        RuntimeError: the two disagree, or are not numbers: the model must not be used.
    """
    reference, own = supernet.subnet(mask.with_tokens(None)).outputs(**inputs), inputs if own is None else own
    check_agreement(reference, read_outputs(model(**own), own.get("attention_mask")))
