"""A data set before tokenisation: what every loader returns, and the checks of its labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown_name
from .kinds import KindName

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .split import Split
    from .windows import Windows

PUBLISHED = "the published validation split"


@dataclass(frozen=True)
class Unlabelled:
    """What a model that answers in the place of labels says of its answers.

    Attributes:
        kind: which they are.
        label_names: by output.
    """

    kind: KindName
    label_names: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """What the columns of a local file mean. Tasks with a published layout take the metric from it.

    Attributes:
        text: the text, or the words of a sentence; None takes "text" or "tokens".
        pair: the second text of a pair; None for single texts.
        label: the label, or the tags of a sentence's words; None takes "label" or "ner_tags".
        group: what rows belong together by (a user, a document), of which none is on two sides of a split; None for
            rows that belong to none.
        kind: "classification" or "regression"; None reads it off the labels: fractions are a regression.
        metric: a name of METRICS, or the import path of a function; None takes the one that is usual for the task.
        positive: the class whose F1 is told; None takes, of two, the one that train has fewer rows of, for F1 is asked
            for where that is what is looked for: of the other class, the model that never finds it has nearly 1.
        unlabelled: labels are not looked at, whether there are any or not, for this answers in their place.
        precision: that a recall is asked for at; None takes 0.9.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    group: str | None = None
    kind: KindName | None = None
    metric: str | None = None
    positive: str | None = None
    unlabelled: Unlabelled | None = None
    precision: float | None = None


class Rows(Protocol):
    """A split before tokenisation: `n` texts, questions or sentences with what is right about them."""

    def __len__(self) -> int: ...

    def take(self, index: NDArray[np.int64]) -> Self:
        """Return the rows at ``index``, in that order."""
        ...

    @property
    def is_pair(self) -> bool:
        """Each row is a pair of texts."""
        ...

    @property
    def strata(self) -> np.ndarray:
        """`(n,)`, what keeps its shares when rows are drawn."""
        ...

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """`(n,)`, the number of each row's group, from 0; None for rows that are of none."""
        ...

    @property
    def wordings(self) -> Sequence[tuple[str, ...]]:
        """`n`, the texts of each row whose near-duplicates must not come into two splits."""
        ...

    def hashed(self, name: str) -> Iterator[bytes]:
        """Return all that a split of this name holds, for a fingerprint."""
        ...

    def tokenised(self, tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows) -> tuple[Split, int]:
        """Return the tokenised split, and how many texts were cut.

        Args:
            tokenizer: the model's.
            max_length: most tokens of a text, special ones included.
            windows: how contexts of questions are cut into several texts; other texts have none.
        """
        ...


@dataclass(frozen=True)
class TaskTexts:
    """A data set before tokenisation: the rows of `train` and of every report split by name.

    `report_origin` says where the latter come from, in words; `positive` is the class whose F1 is told, None for the
    mean over labels.
    """

    kind: KindName
    label_names: tuple[str, ...]
    metric: str
    train: Rows
    report: dict[str, Rows]
    report_origin: str = PUBLISHED
    positive: int | None = 1


def class_labels(values: list[Any], names: tuple[str, ...], where: object) -> NDArray[np.int64]:
    """Return published class numbers `(n,)` after a check.

    Raises:
        InputError: a label that is not the number of one of ``names``.
    """
    labels = np.asarray(values)
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
        odd = next(v for v in values if not isinstance(v, int) or not 0 <= v < len(names))
        raise InputError(
            f"{where} holds the label {odd!r}, but its labels are 0 to {len(names) - 1} ({', '.join(names)}); "
            "take a split with published labels"
        )
    return labels.astype(np.int64)


def with_names(values: list[Any], names: tuple[str, ...], where: object) -> list[Any]:
    """Return class numbers as the names that a file keeps of them; what is no number, or has no names, as it is.

    Raises:
        InputError: a number without a name.
    """
    if not names or not all(isinstance(value, int) for value in values):
        return values
    for row, value in enumerate(values, 1):
        if not 0 <= value < len(names):
            raise InputError(
                f"row {row} of {where} holds the label {value}, but the file names those from 0 to {len(names) - 1} "
                f"({', '.join(names[:10])}); drop this row or label it"
            )
    return [names[value] for value in values]


def class_number(asked: str, names: tuple[str, ...]) -> int:
    """Return the number of a class that is asked for by its name, but for case if no other is spelt so.

    Raises:
        InputError: none of ``names``.
    """
    spelt = {name.casefold(): name for name in names}
    name = asked if asked in names else spelt.get(asked.casefold())
    if name is None:
        raise unknown_name("class", asked, names)
    return names.index(name)


def check_two_classes(labels: np.ndarray, where: object) -> None:
    """Raise InputError if all labels `(n,)` are equal: there is nothing to learn."""
    if labels.min() == labels.max():
        raise InputError(f"all {len(labels)} labels of {where} are the same; a task needs at least two different ones")
