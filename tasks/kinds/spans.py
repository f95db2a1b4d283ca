"""The answers that a model gives: the likeliest span of each question's context."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..passages import Passages
from ..split import Split

MOST_TOKENS = 30  # of an answer


def answers(outputs: np.ndarray, split: Split) -> list[str]:
    """Return the answer to each question, `m` texts, empty where there is none; see :func:`answer_places`."""
    places = answer_places(outputs, split)
    assert split.passages is not None
    pairs = zip(split.passages.contexts, places, strict=True)
    return ["" if begin < 0 else context[begin:end] for context, (begin, end) in pairs]


def answer_places(outputs: np.ndarray, split: Split) -> NDArray[np.int64]:
    """Return the characters of the context where the answer to each question begins and before which it ends, `(m, 2)`.

    A span is as likely as the sum of its first token's logit of beginning and its last one's of ending. The likeliest
    of all spans of at most 30 tokens in one window is the answer; it is looked for among all, not among the ends of the
    20 highest logits, which hold it nearly always. Where a question may have no answer, it has none, -1 and -1, if
    the first token, in the window where that is least likely, is likelier than the span.

    Source: Devlin et al., 2019, sections 4.2 and 4.3, with a threshold of 0.

    Args:
        outputs: `(R, 2)`, logits of each token of all windows.
        split: with `passages`.
    """
    passages = split.passages
    if passages is None:
        raise ValueError("the split has no passages to find answers in")
    begins, ends = outputs[:, 0], outputs[:, 1]
    following, starts = passages.following, passages.starts
    best = np.where(following >= 0, begins + ends, -np.inf)  # of the spans that begin at a token
    length = np.zeros(len(best), np.int64)
    for more in range(1, min(MOST_TOKENS, len(best))):
        longer = np.where(following[:-more] >= more, begins[:-more] + ends[more:], -np.inf)
        better = longer > best[:-more]
        best[:-more][better] = longer[better]
        length[:-more][better] = more

    top = np.maximum.reduceat(best, starts)  # of each window
    rows = np.lexsort((-top, passages.questions))
    _, first = np.unique(passages.questions[rows], return_index=True)
    chosen = rows[first]  # the best window of each question
    none = np.full(len(chosen), np.inf)
    np.minimum.at(none, passages.questions, (begins + ends)[starts])
    found = np.full((len(chosen), 2), -1, np.int64)
    stops = np.append(starts, len(best))[1:]
    for question, window in enumerate(chosen):
        if not np.isfinite(top[window]) or (passages.unanswerable and none[question] > top[window]):
            continue
        token = starts[window] + best[starts[window] : stops[window]].argmax()
        found[question] = passages.places[token, 0], passages.places[token + length[token], 1]
    return found


def tokens_at(places: NDArray[np.int64], passages: Passages) -> NDArray[np.int64]:
    """Return the first and the last token of each question's answer in each of its windows, `(n, 2)`.

    The first token of all, twice, in a window that does not hold the whole answer, and where there is none.

    Args:
        places: characters, as :func:`answer_places` returns them.
        passages: of the windows.
    """
    found = np.zeros((len(passages), 2), np.int64)
    for row, (question, spans) in enumerate(zip(passages.questions, passages.spans, strict=True)):
        begin, end = places[question]
        first, last = np.flatnonzero(spans[:, 0] == begin), np.flatnonzero(spans[:, 1] == end)
        if begin >= 0 and len(first) and len(last):
            found[row] = first[0], last[-1]
    return found
