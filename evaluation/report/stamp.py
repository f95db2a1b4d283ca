"""Whether a picture that is there shows what is to be shown: drawing costs more than all else of a report."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from .comparison import Comparison
from .facts import ReportFacts

_CODE = "picture", "comparison_picture", "drawing", "looks"


def stamp(facts: ReportFacts | Comparison) -> str:
    """Return a digest of what a picture shows and of the code that draws it; a PNG file bears that of its own."""
    if isinstance(facts, ReportFacts):
        facts = replace(facts, run="", comparison=None)  # no part of the picture
    digest = sha256(repr(facts).encode())
    for name in _CODE:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return f"facts {digest.hexdigest()}"


def is_drawn(path: Path, facts: ReportFacts | Comparison) -> bool:
    """Tell whether a PNG file is there and bears the stamp of these facts."""
    return path.is_file() and stamp(facts).encode() in path.read_bytes()
