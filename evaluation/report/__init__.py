"""A run as a page to explore and as a picture to show; all its methods in one."""

from .comparison import Comparison
from .comparison_page import write_comparison_page
from .comparison_picture import write_comparison_picture
from .facts import Approach, Point, ReportFacts, StageCost
from .page import write_page
from .picture import write_picture

__all__ = [
    "Approach",
    "Comparison",
    "Point",
    "ReportFacts",
    "StageCost",
    "write_comparison_page",
    "write_comparison_picture",
    "write_page",
    "write_picture",
]
