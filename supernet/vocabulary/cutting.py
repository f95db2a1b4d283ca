"""A tokenizer and a model with fewer tokens."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ...errors import InputError
from ..stored.storage import known_family, quiet
from . import pieces_of
from .keeping import KeptTokens, special_ids
from .pieces import Numbers

_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"


def cut_tokenizer(tokenizer: PreTrainedTokenizerBase, kept: KeptTokens) -> PreTrainedTokenizerBase:
    """Return a tokenizer with the tokens that are kept, numbered anew in their order; texts are split as before.

    It is written, and read again, as it will be when it is used.

    Args:
        tokenizer: a fast one; left as it is.
        kept: of :func:`.keeping.kept_tokens`.

    Raises:
        InputError: a tokenizer whose tokens cannot be numbered anew.
    """
    numbers = kept.numbers
    with tempfile.TemporaryDirectory() as temporary, quiet(progress=False):
        folder = Path(temporary)
        tokenizer.save_pretrained(folder)
        described = json.loads((folder / _FILE).read_bytes())
        (folder / _FILE).write_text(json.dumps(_rewritten(tokenizer, described, numbers), ensure_ascii=False), "utf-8")
        config = json.loads((folder / _CONFIG).read_bytes())
        if "added_tokens_decoder" in config:
            old = config["added_tokens_decoder"]
            config["added_tokens_decoder"] = {str(numbers[int(number)]): token for number, token in old.items()}
            (folder / _CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False), "utf-8")
        cut = type(tokenizer).from_pretrained(folder, local_files_only=True)
    cut.name_or_path = tokenizer.name_or_path
    expected = {token: numbers[old] for token, old in tokenizer.get_vocab().items() if old in numbers}
    if cut.get_vocab() != expected:
        raise InputError(
            f"the tokens of this {type(tokenizer).__name__} cannot be numbered anew: those that were added lie between "
            "others; keep its vocabulary as it is"
        )
    return cut


def _rewritten(tokenizer: PreTrainedTokenizerBase, described: dict[str, Any], numbers: Numbers) -> dict[str, Any]:
    """Return a tokenizer's JSON with other tokens."""
    backend: Any = tokenizer.backend_tokenizer
    made = {**described, "model": pieces_of(backend, described["model"]).cut(numbers)}
    made["added_tokens"] = [{**token, "id": numbers[token["id"]]} for token in described["added_tokens"]]
    made["post_processor"] = _processor(described["post_processor"], numbers)
    if described["padding"] is not None:
        made["padding"] = {**described["padding"], "pad_id": numbers[described["padding"]["pad_id"]]}
    return made


def _processor(described: Mapping[str, Any] | None, numbers: Numbers) -> dict[str, Any] | None:
    """Return what a tokenizer puts around a text, with its new ids."""
    if described is None:
        return None
    made = dict(described)
    if "processors" in made:
        made["processors"] = [_processor(each, numbers) for each in made["processors"]]
    for name in ("sep", "cls"):
        if name in made:
            made[name] = [made[name][0], numbers[made[name][1]]]
    if isinstance(special := made.get("special_tokens"), dict):
        renumbered = {name: [numbers[number] for number in each["ids"]] for name, each in special.items()}
        made["special_tokens"] = {name: {**each, "ids": renumbered[name]} for name, each in special.items()}
    return made


def check_numbers(config: PreTrainedConfig, kept: KeptTokens) -> None:
    """Check that a model can read tokens that are numbered anew.

    Raises:
        InputError: positions are counted from the padding's id, and that has another number then.
    """
    family, pad = known_family(config), config.pad_token_id
    if family.positions_from_padding and kept.numbers.get(pad) != pad:
        raise InputError(
            f"a model of the family {family.model_type} counts positions from the padding token's id, {pad}, which "
            "would be another one: the tokenizer lacks a token before it; keep its vocabulary as it is"
        )


@torch.no_grad()
def cut_embeddings(model: PreTrainedModel, kept: KeptTokens) -> PreTrainedModel:
    """Return a copy of a model that reads the tokens that are kept, and gives what it gave before for them.

    Of its table of word embeddings `(tokens, width)` the rows of these tokens stay, and of an output layer that has a
    row for each token, tied to it or not. The ids in its configuration are those of the new numbers.

    Args:
        model: of a supported family, extracted or not; left as it is.
        kept: of :func:`.keeping.kept_tokens`.

    Raises:
        InputError: as :func:`check_numbers`.
    """
    check_numbers(model.config, kept)
    numbers, family = kept.numbers, known_family(model.config)
    made = copy.deepcopy(model)
    table, output = made.get_submodule(family.embeddings.word), made.get_output_embeddings()
    assert isinstance(table, nn.Embedding)
    rows = torch.from_numpy(kept.ids).to(table.weight.device)
    old = [table.weight, *(output.parameters(recurse=False) if isinstance(output, nn.Linear) else ())]
    cut = {id(one): nn.Parameter(one[rows].clone(), requires_grad=one.requires_grad) for one in old}
    for module in made.modules():  # wherever they are tied to
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(parameter) in cut:
                setattr(module, name, cut[id(parameter)])
    table.num_embeddings = len(rows)
    table.padding_idx = None if table.padding_idx is None else numbers.get(table.padding_idx)
    if isinstance(output, nn.Linear):
        output.out_features = len(rows)
    for name, number in special_ids(model.config).items():
        setattr(made.config, name, numbers.get(number))  # None where the tokenizer has no such token
    made.config.vocab_size = len(rows)
    return made
