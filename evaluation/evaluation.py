"""What one subnetwork got on one split."""

from __future__ import annotations

from .archive import FINETUNED, NATIVE, RECOVERED, SUPERNET_PRUNED, Evaluation
from .objectives import OBJECTIVES

SELECTION, REPORT = "selection", "report"  # as the archive names the splits
SCORE = "score_"  # begins the names of what other metrics say on the report split
ERROR_INT8 = "error_int8"  # on the report split, after quantisation
METHOD = "front"  # of evaluations on the report split: they choose nothing
COSTS = tuple(OBJECTIVES)


def other_scores(report: Evaluation) -> dict[str, float]:
    """Return what metrics other than the error's say of a model on the report split, by name."""
    return {name.removeprefix(SCORE): value for name, value in report.values.items() if name.startswith(SCORE)}


WHOLE = "whole"  # the method of the fine-tuned model itself, nothing removed
SCALED = "scaled"  # a value of pruned models: 1 if scales are folded into the slices, else 0
KINDS = (FINETUNED, SUPERNET_PRUNED, RECOVERED, NATIVE)  # of weights that no search has
NONZERO = "nonzero"  # share of weights that are left, of a model that has zeros instead of fewer units
