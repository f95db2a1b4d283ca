"""Checkpoints that other programs load: as plain models where they can be, else with their code beside them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...errors import InputError, unknown_name
from ...files import replace_text
from .. import modeling_secateur
from ..modeling_secateur import ExtractedModel
from ..packed.packed import slab_linears
from ..sentence import ForEmbedding
from ..stored.record import CARD, PICTURE, Form, Record, Written, read_record, record_of, write_record
from ..stored.replacing import check_replaceable, replacing
from ..stored.storage import write_model
from .model_card import CardFacts, model_card, read_facts
from .stock import not_stock, stock_model


def write_checkpoint(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    card: CardFacts,
    *,
    form: Form = "auto",
    picture: Path | None = None,
) -> Written:
    """Write a model, its tokenizer and its card; a checkpoint that Secateur wrote there before is replaced.

    `stock` is a plain model of the family, which needs transformers only: for a model whose layers are
    all alike. `portable` has its code beside it and loads after `import secateur`, or without Secateur by
    `trust_remote_code=True`. `secateur` is the same without that code. `auto` is `stock` if it can be, else `portable`.
    A model with packed matrices is written `packed`, which Secateur alone reads; as `stock`, its zeros are written out.

    Args:
        model: what `extract` returned, or an ordinary model; left as it is.
        tokenizer: its parent's.
        folder: where to; either complete or untouched.
        card: what README.md says.
        form: which.
        picture: a PNG that the card shows, such as the front.

    Returns:
        The form that was written.

    Raises:
        InputError: a form that cannot hold this model, a full disk, a place that cannot be written, or a folder that
            holds something else.
    """
    folder = Path(folder).absolute()
    check_replaceable(folder)
    written = chosen_form(model, form)
    stored = stock_model(model) if written == "stock" else model
    with replacing(folder) as part:
        write_model(stored, tokenizer, part)
        if written == "secateur":
            _drop_code(part)
        _write_card(part, card, written, picture)
        write_record(part, record_of(part, written, card.to_json()))
    return written


def card_of(folder: Path) -> CardFacts:
    """Return what the card of a checkpoint says, to write it anew or for a model that was made from this one.

    Raises:
        InputError: a folder that Secateur did not write, or a damaged one.
    """
    return read_facts(_record(folder).card, folder)


def write_card(folder: Path, card: CardFacts, *, picture: Path | None = None) -> None:
    """Write the card of a checkpoint anew, for example with numbers that were measured on it.

    Args:
        folder: what :func:`write_checkpoint` has written.
        card: what README.md is to say.
        picture: a PNG that the card shows; the one that is there stays if None.

    Raises:
        InputError: a folder that Secateur did not write, or a damaged one.
    """
    record = replace(_record(folder), card=card.to_json())
    _write_card(folder, card, record.form, picture)
    write_record(folder, record)


def _record(folder: Path) -> Record:
    record = read_record(folder)
    if record is None:
        raise InputError(f"{folder} is no checkpoint that Secateur wrote; give one, as `secateur extract` writes it")
    return record


def chosen_form(model: PreTrainedModel, form: Form) -> Written:
    """Return the form that a model is written in.

    Raises:
        InputError: an unknown form, or one that cannot hold this model.
    """
    if form not in get_args(Form):
        raise unknown_name("form", form, get_args(Form))
    packed = bool(slab_linears(model))
    if form == "stock" or (form == "auto" and not packed and not_stock(model) is None):
        return "stock"
    if packed:
        if form == "portable":
            raise InputError("packed matrices are read by Secateur alone; choose the form `secateur`, or `stock`")
        return "packed"
    encoder = model.encoder if isinstance(model, ForEmbedding) else model
    if not isinstance(encoder, ExtractedModel):
        raise InputError(
            f"{type(encoder).__name__} is a stock model and needs no code; choose the form `stock`, or `auto`"
        )
    return "secateur" if form == "secateur" else "portable"


def _drop_code(folder: Path) -> None:
    """Remove the modelling file, which saving a model of most families copies along, and what refers to it."""
    (folder / f"{modeling_secateur.__name__.rpartition('.')[2]}.py").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_bytes())
    config.pop("auto_map", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _write_card(folder: Path, card: CardFacts, form: Written, picture: Path | None) -> None:
    if picture is not None:
        shutil.copyfile(picture, folder / PICTURE)
    replace_text(folder / CARD, model_card(card, form, picture=PICTURE if (folder / PICTURE).is_file() else None))
