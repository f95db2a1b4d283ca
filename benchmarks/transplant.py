"""Encoders of other layouts that know what a BERT knows: its layers in the places of another family's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from ..supernet import Supernet
from ..supernet.stored.storage import load_model, load_tokenizer

_MPNET_PAD = 1  # whatever the configuration says
_USUAL = 32  # tokens of a text whose positions are averaged for families that have no table of them
_AT = 3.0  # where the activation of a neuron that stands for a bias is read
_SILU = 1.702  # silu(1.702 x) / 1.702 is nearly gelu(x)
_TYPES = {"type_vocab_size": 2}


@dataclass(frozen=True)
class Layout:
    """How a family's small model is made.

    Attributes:
        classes: how the names of transformers' classes begin.
        settings: of its configuration, where they are not BERT's or the class's own.
    """

    classes: str
    settings: Mapping[str, Any]


LAYOUTS = {
    "xlm-roberta": Layout("XLMRoberta", _TYPES),
    "mpnet": Layout("MPNet", {"pad_token_id": _MPNET_PAD}),
    "nomic_bert": Layout("NomicBert", {**_TYPES, "hidden_dropout_prob": 0.1}),
    "gte": Layout("Gte", _TYPES),
    "jina_embeddings_v3": Layout("JinaEmbeddingsV3", {**_TYPES, "layer_norm_eps": 1e-12}),
    "modernbert": Layout(
        "ModernBert",
        {
            **dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0),
            **dict.fromkeys(("embedding_dropout", "mlp_dropout", "classifier_dropout"), 0.1),
            "classifier_pooling": "mean",
        },
    ),
    "deberta-v2": Layout(
        "DebertaV2",
        {
            "relative_attention": True,
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 64,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
        },
    ),
}


def write_transplanted(family: str, bert: Path, to: Path, layers: int | None = None) -> None:
    """Write a checkpoint of a family, with its tokenizer, that has the layers of a BERT's.

    Args:
        family: of `LAYOUTS`.
        bert: a folder with a BERT and its tokenizer.
        to: a folder, made.
        layers: so many of them, the first one and others at equal distances; all if None.
    """
    source, tokenizer = load_model(bert, label_names=("0", "1")).float(), load_tokenizer(bert)
    to.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(to)
    if family == "mpnet":
        _swap_tokens(to, 0, _MPNET_PAD)
    first: Any = tokenizer.cls_token_id
    encoder: Any = transplanted(family, source, layers, first).base_model
    encoder.save_pretrained(to)


def _swap_tokens(folder: Path, one: int, other: int) -> None:
    """Exchange two tokens' ids in a stored tokenizer."""
    path, swapped = folder / "tokenizer.json", {one: other, other: one}
    described = json.loads(path.read_text())
    vocabulary = described["model"]["vocab"]
    described["model"]["vocab"] = {token: swapped.get(place, place) for token, place in vocabulary.items()}
    for token in described["added_tokens"]:
        token["id"] = swapped.get(token["id"], token["id"])
    path.write_text(json.dumps(described))


@torch.no_grad()
def transplanted(
    family: str, bert: PreTrainedModel, layers: int | None = None, first: int | None = None
) -> PreTrainedModel:
    """Return a model of a family with a new head, and the embeddings and layers of a BERT.

    Where norms are behind the blocks it computes what the BERT does for a text of one token that is at no position:
    what a LayerNorm gives is in a hyperplane, on which some linear map is 1, so that maps without a bias have it as
    part of their weights, and neurons are multiplied by 1 where they are gated. Tables of biases begin as zeros.
    Where norms are before the blocks, layers are new.

    Args:
        family: of `LAYOUTS`.
        bert: for classification.
        layers: so many of its layers, the first one and others at equal distances; all if None.
        first: the token that texts begin with, whose position is known where there is no table of positions.
    """
    torch.manual_seed(0)
    given, layout = bert.config, LAYOUTS[family]
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    sizes = {name: getattr(given, name) for name in names}
    wanted = sizes["num_hidden_layers"] if layers is None else layers
    taken = [layer * sizes["num_hidden_layers"] // wanted for layer in range(wanted)]
    sizes["num_hidden_layers"] = wanted
    sizes |= {"max_position_embeddings": given.max_position_embeddings + 2, "pad_token_id": given.pad_token_id}
    if family == "modernbert":
        sizes["intermediate_size"] = sizes["intermediate_size"] * 2 // 3  # a gated neuron has three maps
    config = getattr(transformers, f"{layout.classes}Config")(**{**sizes, **layout.settings})
    model = getattr(transformers, f"{layout.classes}ForSequenceClassification")(config).eval()
    old, new = Supernet(bert), Supernet(model)
    _put_embeddings(old, new, first)
    if not new.family.pre_norm:
        into = old.embeddings.norm
        for layer, place in enumerate(taken):
            _put_layer(old, new, place, layer, into)
            into = old.family.layer_path(place, "ffn_norm")
    return model


def _put_embeddings(old: Supernet, new: Supernet, first: int | None) -> None:
    """Copy the tables and their norm; what the new model has no table of becomes part of its words."""
    before, after, tables = old.embeddings, new.embeddings, old.parameters
    assert before.position is not None
    assert before.token_type is not None
    words, positions = tables[f"{before.word}.weight"].clone(), tables[f"{before.position}.weight"]
    types = tables[f"{before.token_type}.weight"]
    if after.position is None:
        usual = positions[1:_USUAL].mean(0)
        words += usual
        if first is not None:
            words[first] += positions[0] - usual
    else:
        begin = new.model.config.pad_token_id + 1 if new.family.positions_from_padding else 0
        new.parameters[f"{after.position}.weight"][begin : begin + len(positions)] = positions
    if after.token_type is None:
        words += types[0]
    else:
        new.parameters[f"{after.token_type}.weight"].copy_(types)
    if (pad := new.model.config.pad_token_id) != (was := old.model.config.pad_token_id):
        words[[pad, was]] = words[[was, pad]]
    new.parameters[f"{after.word}.weight"].copy_(words)
    _put(new.parameters, (after.norm,), *_map(old.parameters, (before.norm,)), None)
    if new.family.relative_bias is not None:
        new.parameters[f"{new.family.relative_bias}.weight"].zero_()
    if new.family.distances_norm is not None:  # what is normalised is far from small, however small it was
        new.parameters[f"{new.family.distances_norm}.weight"].fill_(0.1)


def _put_layer(old: Supernet, new: Supernet, place: int, layer: int, into: str) -> None:
    """Copy a layer, at `place` before and `layer` now, whose norms are behind its blocks; `into` is that before it."""
    before, after = old.parameters, new.parameters
    paths = {part: (old.family.layer_paths(place, part), new.family.layer_paths(layer, part)) for part in _PARTS}
    maps = {part: _map(before, old_paths) for part, (old_paths, _) in paths.items()}
    ones = _one(*_map(before, (into,))), _one(*maps["attention_norm"])
    for part in ("attention_norm", "ffn_norm"):
        _put(after, paths[part][1], *maps[part], None)

    weight, bias = (tensor.clone() for tensor in maps["qkv"])
    width = len(weight) // 3
    known = new.architecture.attention[layer].disentangled
    if known is not None:  # a score is over the root of its terms, and has the query's bias twice
        weight[:width] *= known.terms**0.5
        bias[:width] *= known.terms**0.5 / (1 + known.to_content)
    outgoing, shift = maps["attention_output"]
    if f"{paths['attention_output'][1][0]}.bias" not in after:  # shares of attention add up to 1
        bias[2 * width :] += torch.linalg.lstsq(outgoing.double(), shift.double()[:, None]).solution[:, 0].float()
    _put(after, paths["qkv"][1], weight, bias, ones[0])
    _put(after, paths["attention_output"][1], outgoing, shift, None)

    (weight, bias), (outgoing, shift) = ((one.clone() for one in maps[part]) for part in ("ffn_in", "ffn_out"))
    if new.model.config.to_dict().get(new.family.activation) == "silu":
        weight, bias, outgoing = weight * _SILU, bias * _SILU, outgoing / _SILU
    if f"{paths['ffn_out'][1][0]}.bias" not in after:  # the least of the neurons gives it
        least = int((weight.norm(dim=1) * outgoing.norm(dim=0)).argmin())
        weight[least], bias[least] = 0.0, _AT
        outgoing[:, least] = shift / new.architecture.activation(torch.tensor(_AT))
    if new.family.gated:
        weight = torch.cat([weight, torch.zeros_like(weight)])
        bias = torch.cat([bias, torch.ones_like(bias)])
    _put(after, paths["ffn_in"][1], weight, bias, ones[1])
    _put(after, paths["ffn_out"][1], outgoing, shift, None)


_PARTS = ("qkv", "attention_output", "attention_norm", "ffn_in", "ffn_out", "ffn_norm")


def _map(parameters: Mapping[str, Tensor], paths: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return weight and bias of maps, one below the other."""
    weight, bias = (torch.cat([parameters[f"{path}.{part}"] for path in paths]) for part in ("weight", "bias"))
    return weight.detach(), bias.detach()


def _put(
    parameters: Mapping[str, Tensor], paths: Sequence[str], weight: Tensor, bias: Tensor, one: Tensor | None
) -> None:
    """Write maps that are one below the other.

    Args:
        parameters: are written to.
        paths: of the maps, which are equally high.
        weight: of all.
        bias: of all.
        one: `(D,)`, a vector whose product with each input is 1, for maps without a bias; if None, their bias is lost.
    """
    for path, rows, shift in zip(paths, weight.chunk(len(paths)), bias.chunk(len(paths)), strict=True):
        own = parameters.get(f"{path}.bias")
        if own is not None:
            own.copy_(shift)
        elif one is not None:
            rows = rows + torch.outer(shift, one)
        parameters[f"{path}.weight"].copy_(rows)


def _one(weight: Tensor, bias: Tensor) -> Tensor:
    """Return the vector whose product with what a LayerNorm gives is 1: `(D,)`.

    The mean of what is scaled is 0, so that `sum((x - bias) / weight)` is.
    """
    found = 1 / weight.double()
    return (found / (found * bias.double()).sum()).float()
