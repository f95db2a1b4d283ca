"""The answers that a model gives: the likeliest span of each question's context."""

from __future__ import annotations

import numpy as np

from ..split import Split

MOST_TOKENS = 30  # of an answer


def answers(outputs: np.ndarray, split: Split) -> list[str]:
    """Return the answer to each question, `m` texts.

    A span is as likely as the sum of its first token's logit of beginning and its last one's of ending. The likeliest
    of all spans of at most 30 tokens in one window is the answer; it is looked for among all, not among the ends of the
    20 highest logits, which hold it nearly always. Where a question may have no answer, it has none, an empty text, if
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
    found = []
    stops = np.append(starts, len(best))[1:]
    for question, window in enumerate(chosen):
        if not np.isfinite(top[window]) or (passages.unanswerable and none[question] > top[window]):
            found.append("")
            continue
        token = starts[window] + best[starts[window] : stops[window]].argmax()
        begin, end = passages.places[token, 0], passages.places[token + length[token], 1]
        found.append(passages.contexts[question][begin:end])
    return found
