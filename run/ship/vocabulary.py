"""The tokens that a run's texts need, and its task in these alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from ...supernet.shipping.vocabulary import kept_line
from ...supernet.stored.storage import load_config, load_tokenizer
from ...supernet.vocabulary.cutting import cut_tokenizer
from ...supernet.vocabulary.keeping import KeptTokens, kept_tokens, token_counts
from ...tasks import Task
from ..folder import RunFolder
from ..project import respelled_task


@dataclass(frozen=True)
class CutVocabulary:
    """What is left of the tokens of a run's model.

    Attributes:
        kept: the tokens.
        tokenizer: the one that knows these alone.
        task: the run's, spelled with them.
        outside: share of the report split's tokens, special ones aside, that are not kept.
    """

    kept: KeptTokens
    tokenizer: PreTrainedTokenizerBase
    task: Task
    outside: float

    def to_json(self) -> dict[str, Any]:
        """Return what there is to say of it, JSON-ready."""
        return {"tokens": len(self.kept.ids), "tokens_before": self.kept.before, "outside": self.outside}

    @property
    def line(self) -> str:
        """Says in two sentences what was kept and what is missed."""
        return f"{kept_line(self.kept)} Of the report split's tokens {self.outside:.1%} are such others."


def cut_vocabulary(folder: RunFolder, task: Task, most: int | None) -> CutVocabulary:
    """Choose the tokens that a run's training texts need, and spell its task with them.

    Args:
        folder: the run.
        task: its task.
        most: how many tokens are kept in all; those of the texts if None.

    Raises:
        InputError: a tokenizer that cannot be cut, too few tokens, or a task without texts.
    """
    tokenizer = load_tokenizer(folder.finetuned)
    counts = token_counts(tokenizer, task.train.input_ids)
    kept = kept_tokens(tokenizer, load_config(folder.finetuned), counts, most)
    cut = cut_tokenizer(tokenizer, kept)
    report = token_counts(tokenizer, (row for split in task.report.values() for row in split.input_ids))
    return CutVocabulary(kept, cut, respelled_task(folder, cut), kept.outside(report))
