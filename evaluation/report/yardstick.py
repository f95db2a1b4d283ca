"""What errors of a run are held against: the best constant answer, and chance in the draw of the report split.

The one rule for "no better than a constant answer": `front`, `pick`, the report and model cards go by it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

CONSTANT = "no better than a constant answer"
_Z = statistics.NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Yardstick:
    """Errors that a run's models are held against.

    Attributes:
        constant: on the selection split, of the constant answer that is best there; NaN if not known.
        constant_report: of the one that is best on the report split.
        rows: texts or questions of the report split, of which the error is a mean; 0 for a metric that is no such mean.
    """

    constant: float = math.nan
    constant_report: float = math.nan
    rows: int = 0

    def is_constant(self, selection: float, report: float | None = None) -> bool:
        """Tell whether a model with these errors is no better than a constant answer on either split."""
        return selection >= self.constant or (report is not None and report >= self.constant_report)

    def interval(self, error: float | None) -> tuple[float, float] | None:
        """Return the 95 % interval of an error on the report split; None where the metric is no mean over rows.

        Of scores between 0 and 1 that are not only 0 or 1, such as SQuAD's F1, the interval is wider than it need be:
        no such scores of one mean spread more. Source: Wilson, J. Am. Stat. Assoc. 1927; Brown, Cai and DasGupta,
        Statist. Sci. 2001.
        """
        if error is None or not math.isfinite(error) or not self.rows:
            return None
        rows, share = self.rows, round(error * self.rows) / self.rows
        centre = share + _Z**2 / (2 * rows)
        half = _Z * math.sqrt(share * (1 - share) / rows + (_Z / (2 * rows)) ** 2)
        scale = 1 + _Z**2 / rows
        return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)

    def top(self, whole: float | None, errors: Iterable[float | None], *, report: bool = True) -> float:
        """Return the highest error that a picture shows; what lies beyond is said at its edge.

        People choose between the best model and those somewhat above the whole one: the picture ends where a third of
        what the whole model knows beyond the constant answer is lost, or at the median of the models that know
        something, if that is higher. All is shown where the constant answer is unknown or nothing was learnt.

        Args:
            whole: of the whole model.
            errors: of the models that people choose from.
            report: errors are of the report split.
        """
        known = [e for e in (whole, *errors) if e is not None and math.isfinite(e)]
        constant = self.constant_report if report else self.constant
        informed = [e for e in known if e < constant]
        highest = max(known, default=1.0)
        if whole is None or not whole < constant:
            return highest
        return min(highest, max(whole + (constant - whole) / 3, statistics.median(informed)))
