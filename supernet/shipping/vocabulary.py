"""A checkpoint with fewer tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..stored.record import PICTURE, read_record
from ..stored.replacing import check_replaceable
from ..stored.storage import load_model, load_tokenizer, save_model
from ..vocabulary.cutting import cut_embeddings, cut_tokenizer
from ..vocabulary.keeping import KeptTokens, kept_tokens, text_counts
from .checkpoint import card_of, write_checkpoint
from .files import IN_INT8
from .model_card import SERVED, CardFacts

VOCABULARY = "Vocabulary"  # title of the card's section


@dataclass(frozen=True)
class CutCheckpoint:
    """What became of a checkpoint.

    Attributes:
        folder: where it is.
        tokens, tokens_before: that its tokenizer has and had.
        parameters, parameters_before: of the whole model.
        outside: share of the tokens of the texts, special ones aside, that are not kept.
    """

    folder: Path
    tokens: int
    tokens_before: int
    parameters: int
    parameters_before: int
    outside: float


def cut_checkpoint(checkpoint: Path | str, texts: Iterable[str], to: Path, most: int | None = None) -> CutCheckpoint:
    """Write a checkpoint that has only the tokens that texts need, with a tokenizer that knows no others.

    One that Secateur wrote keeps its form and its card, which no longer has scores: they are of the model before.

    Args:
        checkpoint: a folder, or a name on the hub.
        texts: what it is going to read.
        to: the folder to write; either complete or untouched.
        most: how many tokens are kept in all, see :func:`~secateur.supernet.vocabulary.keeping.kept_tokens`; those of
            the texts if None.

    Raises:
        InputError: no such model, no texts, a tokenizer that cannot be cut, too few tokens, or a place that holds
            something else.
    """
    check_replaceable(to)
    model, tokenizer = load_model(checkpoint), load_tokenizer(checkpoint)
    counts = text_counts(tokenizer, texts)
    kept = kept_tokens(tokenizer, model.config, counts, most)
    made = cut_embeddings(model, kept)
    sizes = [sum(parameter.numel() for parameter in one.parameters()) for one in (made, model)]
    _write(Path(checkpoint), to, made, cut_tokenizer(tokenizer, kept), kept)
    return CutCheckpoint(to, len(kept.ids), kept.before, sizes[0], sizes[1], kept.outside(counts))


def _write(
    source: Path, to: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, kept: KeptTokens
) -> None:
    record = read_record(source)
    if record is None:
        save_model(model, tokenizer, to)
        return
    facts = card_of(source)
    others = {title: text for title, text in facts.sections.items() if title not in (SERVED, VOCABULARY, IN_INT8)}
    card = replace(
        facts,
        name=to.name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        selection=None,
        report={},
        latency_ms=None,
        latency_conditions="",
        sections={**others, VOCABULARY: f"{kept_line(kept)}{_before(facts)}"},
    )
    form = "auto" if record.form == "packed" else record.form
    picture = source / PICTURE
    write_checkpoint(model, tokenizer, to, card, form=form, picture=picture if picture.is_file() else None)


def kept_line(kept: KeptTokens) -> str:
    """Say in a sentence how many tokens a model keeps."""
    return f"It keeps {len(kept.ids):,} of its tokenizer's {kept.before:,} tokens, and spells others with them."


def _before(facts: CardFacts) -> str:
    """Say in a sentence what the model scored when it had all tokens, if that is known."""
    scores = ", ".join(f"{value:.4f} on the {split} split" for split, value in facts.report.items())
    return f" With all of them its {facts.metric} was {scores}; it was not measured since." if scores else ""
