"""A run as a page to explore and as a picture to show; all its methods in one."""

from typing import TYPE_CHECKING

from ...registry import importer

if TYPE_CHECKING:
    from .comparison import Comparison
    from .comparison_picture import write_comparison_picture
    from .facts import Approach, Curve, Point, ReportFacts, StageCost
    from .page import write_page
    from .picture import write_picture
    from .yardstick import Yardstick

__getattr__ = importer(
    __name__,
    {
        "Comparison": "comparison",
        "Yardstick": "yardstick",
        **dict.fromkeys(("Approach", "Curve", "Point", "ReportFacts", "StageCost"), "facts"),
        "write_comparison_picture": "comparison_picture",
        "write_page": "page",
        "write_picture": "picture",
    },
)

__all__ = [
    "Approach",
    "Comparison",
    "Curve",
    "Point",
    "ReportFacts",
    "StageCost",
    "Yardstick",
    "write_comparison_picture",
    "write_page",
    "write_picture",
]
