"""`secateur vocabulary`: a checkpoint with the tokens that texts need."""

from __future__ import annotations

from dataclasses import asdict

from ..run.choice.columns import Column, amount
from ..run.settings.parsing import parse_vocabulary
from ..supernet.shipping.vocabulary import cut_checkpoint
from ..tasks.corpus import read_texts
from .console import print_json
from .settings import VocabularyCommand
from .tables import show


def vocabulary(settings: VocabularyCommand) -> None:
    """Write a checkpoint that has only the tokens that texts need, with a tokenizer that knows no others."""
    most = parse_vocabulary(settings.keep, "keep")
    texts = read_texts(settings.data, settings.text_column, settings.text_pair_column)
    done = cut_checkpoint(settings.checkpoint, texts, settings.to, most)
    if settings.as_json:
        print_json({**asdict(done), "folder": str(done.folder)})
        return
    columns = [
        Column("", ["before", "now"], left=True),
        Column("tokens", [f"{done.tokens_before:,}", f"{done.tokens:,}"]),
        Column("parameters", [amount(done.parameters_before), amount(done.parameters)]),
    ]
    show(f"{done.folder}: {done.outside:.1%} of the tokens of these texts are spelled with others", columns)
