"""What budgets chose, and the memory of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.choice import Candidate
from ...evaluation.evaluation import SELECTION
from ...evaluation.latency.runtime import RUNTIMES
from ...evaluation.latency.target import LatencyTarget, busy
from ...evaluation.model import Model, rounded
from ...evaluation.work import UnderLoad
from ...files import replace_text
from ..folder import RunFolder
from .columns import Column, answer_columns
from .html import html_table
from .promise import Promise

_ANSWERS = "answers.json"
_TIED = {None: "", True: "tied", False: "not tied"}

Roles = dict[str, Candidate]  # "chosen", and "cheaper" and "dearer" where there are such


@dataclass(frozen=True)
class Answer:
    """What budgets chose.

    Attributes:
        chosen: the model.
        cheaper, dearer: its neighbours on the front of the first budget's cost; None where that ends.
        budgets: by objective.
        target: how models are served.
        spread: how much the machine's speed varied while it was measured; NaN if nothing was.
        notes: what must be known of them: that nothing was learnt, that some are no better than a constant answer.
        promise: what the chosen model was to keep under load; None if nothing.
        under_load: what it does there.
    """

    chosen: Model
    cheaper: Model | None
    dearer: Model | None
    budgets: dict[str, float]
    target: LatencyTarget
    spread: float
    notes: tuple[str, ...] = ()
    promise: Promise | None = None
    under_load: UnderLoad | None = None

    @property
    def roles(self) -> dict[str, Model]:
        """The models that there are by their role, the cheapest first."""
        found = {"cheaper": self.cheaper, "chosen": self.chosen, "dearer": self.dearer}
        return {role: model for role, model in found.items() if model is not None}

    @property
    def warning(self) -> str | None:
        """What is to be said of a machine that did something else meanwhile; None if it seems not to have."""
        return busy(self.spread)

    @property
    def within(self) -> str:
        """What was asked for, in words."""
        return " and ".join([*([] if self.promise is None else [str(self.promise)]), budgets_text(self.budgets)])

    @property
    def kept(self) -> list[str]:
        """What is to be said of the chosen model under load; nothing if that was not asked for."""
        return [] if self.promise is None or self.under_load is None else [self.promise.kept(self.under_load)]

    @property
    def columns(self) -> list[Column]:
        """The models as a table, the cheapest first."""
        return answer_columns(self.roles, self.budgets)

    @property
    def ties(self) -> list[str]:
        """What is to be said of each neighbour that was compared with the chosen model: whether they are tied."""
        return [
            f"the next {role} one {'is statistically' if model.tied else 'is not'} tied with it: its error less the "
            f"chosen one's lies in {model.difference_low:+.4f} to {model.difference_high:+.4f} (95 %, report split)"
            for role, model in self.roles.items()
            if role != "chosen" and model.difference_low is not None and model.difference_high is not None
        ]

    def _repr_html_(self) -> str:
        limits = ", ".join(f"{name} <= {limit:.4g}" for name, limit in self.budgets.items())
        caption = f"the best within {limits}, with its neighbours on the front; {self.target}"
        tied = {role: "" if role == "chosen" else _TIED[model.tied] for role, model in self.roles.items()}
        verdicts = [Column("against the chosen", list(tied.values()))] if any(tied.values()) else []
        return html_table([*self.columns, *verdicts], caption, (*self.kept, *self.notes))

    def facts(self) -> dict[str, Any]:
        """Return all of it, JSON-ready."""
        roles = {
            role: self.roles[role].facts() if role in self.roles else None for role in ("chosen", "cheaper", "dearer")
        }
        target = self.target.model_dump(mode="json")
        facts = {**roles, "budgets": self.budgets, "target": target, "spread": rounded(self.spread)}
        if self.promise is None or self.under_load is None:
            return facts
        limit = self.promise.p99_ms
        late = {"limit_ms": limit, "most_late": rounded(self.under_load.most_late(limit))}
        return {**facts, "under_load": {**self.under_load.facts(), **late}}


def budgets_text(budgets: Mapping[str, float]) -> str:
    """Write budgets for people."""
    return " and ".join(f"{name} <= {value:g}" for name, value in budgets.items())


class KeptAnswers:
    """What `pick` has named, kept in the run folder: `extract` and `export` take the same model for the same budgets.

    Args:
        folder: the run.
        archive: its; an answer is forgotten when it has more models.
        budgets: what is asked.
        target: how models are served, and where.
        weights: of which models.
        gate: how far those in int8 may be off.
        promise: what they keep under load; nothing if None.
    """

    def __init__(
        self,
        folder: RunFolder,
        archive: Archive,
        budgets: Mapping[str, float],
        target: LatencyTarget,
        weights: str | None,
        gate: float,
        promise: Promise | None = None,
    ) -> None:
        self._path = folder.path / _ANSWERS
        evaluated = len(archive.evaluations(split=SELECTION))
        question = [dict(budgets), target.model_dump(mode="json"), weights, evaluated]
        question += [gate] if RUNTIMES[target.runtime].int8 else []
        question += [str(promise)] if promise is not None else []
        self._question = json.dumps(question, sort_keys=True)

    def find(self, known: list[Candidate]) -> Candidate | None:
        """Return the model that was named, if one was."""
        named = self._read().get(self._question)
        return next((one for one in known if list(one.evaluation.model) == named), None)

    def keep(self, chosen: Candidate) -> None:
        """Write down what is named now; a folder that cannot be written keeps none."""
        answers = self._read() | {self._question: list(chosen.evaluation.model)}
        with suppress(InputError):
            replace_text(self._path, json.dumps(answers, indent=1))

    def _read(self) -> dict[str, list[str]]:
        try:
            return json.loads(self._path.read_text())
        except (OSError, ValueError):  # none yet, or damaged: nothing is lost but the sameness of two answers
            return {}
