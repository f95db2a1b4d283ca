"""A run as a page to explore and as a picture to show; all its methods in one."""

from ..yardstick import Yardstick
from .comparison import Comparison
from .comparison_picture import write_comparison_picture
from .facts import Approach, Curve, Point, ReportFacts, StageCost
from .page import write_page
from .picture import write_picture

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
