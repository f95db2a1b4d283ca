"""A run as a page to explore and as a picture to show."""

from .facts import Approach, Point, ReportFacts, StageCost
from .page import write_page
from .picture import write_picture

__all__ = ["Approach", "Point", "ReportFacts", "StageCost", "write_page", "write_picture"]
