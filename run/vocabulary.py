"""The tokens that a run's texts need, and its task in these alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from ..evaluation.model_error import few_inputs
from ..search_space import SubnetMask, TokenSet
from ..supernet import Supernet
from ..supernet.extraction import check_extracted
from ..supernet.shipping.vocabulary import kept_line
from ..supernet.stored.storage import load_config, load_tokenizer
from ..supernet.vocabulary.cutting import check_numbers, cut_embeddings, cut_tokenizer
from ..supernet.vocabulary.keeping import Counts, KeptTokens, kept_tokens, token_counts
from ..tasks import Task
from ..tasks.split import Split
from .folder import RunFolder
from .project import open_task, respelled_task, source_of


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

    @cached_property
    def uncut_task(self) -> Task:
        """The task, spelled with these tokens, in the numbers that they have in the model's whole table.

        A model that is cut afterwards gives on `task` what it gives on this one before.
        """

        def numbered(split: Split) -> Split:
            ids = self.kept.ids.astype("int32")
            return replace(split, input_ids=[ids[row] for row in split.input_ids])

        task = self.task
        return replace(
            task,
            train=numbered(task.train),
            selection=numbered(task.selection),
            report={name: numbered(split) for name, split in task.report.items()},
            pad_token_id=int(self.kept.ids[task.pad_token_id]),
        )


class Vocabularies:
    """A run's task as its models read it, which may have different tokens; each is spelled once, when it is asked for.

    Args:
        folder: the run.
        task: its task in all tokens, if it is there already.
    """

    def __init__(self, folder: RunFolder, task: Task | None = None) -> None:
        self._folder, self._task = folder, task
        self._chosen: dict[TokenSet, KeptTokens] = {}
        self._cut: dict[TokenSet, CutVocabulary] = {}

    @cached_property
    def task(self) -> Task:
        """The run's task in all tokens."""
        return open_task(self._folder) if self._task is None else self._task

    def offered(self, most: Sequence[int | None]) -> list[TokenSet]:
        """Choose tokens for a search: for each number so many, for None those of the training texts.

        Returns:
            Each set once, the smallest first, without one that has all tokens.

        Raises:
            InputError: a task or a tokenizer that cannot be spelled with fewer, too few tokens or too many.
        """
        if not most:
            return []
        if self.task.train.per_token:
            raise InputError(
                f"`vocabulary` is no axis of a search for {self.task.kind.name}, whose answers are tokens: others have "
                "other labels; search without it, and export a model with `vocabulary`"
            )
        found = [self._kept(one) for one in most]
        whole = found[0].before
        if (more := max((one or 0 for one in most), default=0)) > whole:
            raise InputError(f"the tokenizer has {whole:,} tokens, so {more:,} cannot be kept; give fewer, or `corpus`")
        smaller = {one.token_set: one for one in found if len(one.ids) < whole}
        if not smaller:
            raise InputError(
                f"nothing of `vocabulary` is fewer than the tokenizer's {whole:,} tokens; give a smaller number"
            )
        for one in smaller.values():
            check_numbers(self._config, one)
        self._chosen |= smaller
        return sorted(smaller, key=lambda one: one.count)

    def of(self, tokens: TokenSet) -> CutVocabulary:
        """Return what is left of the vocabulary.

        Raises:
            InputError: so many tokens are other ones now than those that the models of the run were searched with.
        """
        if tokens not in self._cut:
            kept = self._chosen.get(tokens) or self._kept(tokens.count)
            if kept.token_set != tokens:
                raise InputError(
                    f"the {tokens.count:,} tokens that a model of {self._folder.path} reads cannot be found again: now "
                    "they would be others; use the version of Secateur that searched it, or search again"
                )
            self._cut[tokens] = self._spelled(kept)
        return self._cut[tokens]

    def chosen(self, most: int | None) -> CutVocabulary:
        """Choose so many tokens, or those of the training texts if None, and spell the task with them.

        Raises:
            InputError: a tokenizer that cannot be cut, too few tokens, or a task without texts.
        """
        return self._spelled(self._kept(most))

    def uncut_task(self, tokens: TokenSet | None) -> Task:
        """Return the task as models with such tokens read it, for those whose table of words is still whole."""
        return self.task if tokens is None else self.of(tokens).uncut_task

    def own_task(self, tokens: TokenSet | None) -> Task:
        """Return the task as models with such tokens read it once they are cut."""
        return self.task if tokens is None else self.of(tokens).task

    def tokenizer(self, tokens: TokenSet | None) -> PreTrainedTokenizerBase | None:
        """Return the tokenizer of models with such tokens; None for the run's."""
        return None if tokens is None else self.of(tokens).tokenizer

    def cut(self, model: PreTrainedModel, mask: SubnetMask) -> PreTrainedModel:
        """Return a subnetwork with the tokens that its mask has, as it is shipped.

        Args:
            model: extracted, its table of words whole; left as it is.
            mask: its.
        """
        if mask.tokens is None:
            return model
        made = cut_embeddings(model, self.of(mask.tokens).kept)
        made.config.secateur_key = mask.key
        return made

    def check(self, model: PreTrainedModel, supernet: Supernet, mask: SubnetMask) -> None:
        """Check that a model that was cut computes what its slices in the supernet do.

        Raises:
            RuntimeError: it does not: it must not be used.
        """
        inputs, own = (few_inputs(supernet, one(mask.tokens)) for one in (self.uncut_task, self.own_task))
        check_extracted(model, supernet, mask, inputs, own)

    def _kept(self, most: int | None) -> KeptTokens:
        return kept_tokens(self._tokenizer, self._config, self._counts, most)

    def _spelled(self, kept: KeptTokens) -> CutVocabulary:
        cut = cut_tokenizer(self._tokenizer, kept)
        report = token_counts(self._tokenizer, (row for split in self.task.report.values() for row in split.input_ids))
        return CutVocabulary(kept, cut, respelled_task(self._folder, cut), kept.outside(report))

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(source_of(self._folder))

    @cached_property
    def _config(self) -> PreTrainedConfig:
        return load_config(source_of(self._folder))

    @cached_property
    def _counts(self) -> Counts:
        return token_counts(self._tokenizer, self.task.train.input_ids)
