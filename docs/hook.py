"""Shows mkdocstrings the sources as the package `secateur`, which is the repository's root under another name."""

from __future__ import annotations

import re
import tempfile
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

_COPIES: list[tempfile.TemporaryDirectory[str]] = []


@event_priority(100)  # before mkdocstrings reads its options
def on_config(config: MkDocsConfig) -> None:
    """Copy the packages that are installed to a place of their own, in Markdown, and look for modules there."""
    root = Path(config.config_file_path).parent
    packages = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    _COPIES.append(tempfile.TemporaryDirectory())
    copy = Path(_COPIES[-1].name)
    for package in packages:
        folder = Path(*package.split(".")[1:])
        for source in (root / folder).glob("*.py"):
            (copy / "secateur" / folder).mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8")
            text = re.sub(r"^( +)Example:$", r"\1Examples:", text, flags=re.MULTILINE)  # as mkdocstrings has it
            text = re.sub(r":(?:meth|class|func|mod|data):`~?([^`]+)`", r"`\1`", text)
            (copy / "secateur" / folder / source.name).write_text(text, encoding="utf-8")
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [str(copy)]


def on_shutdown() -> None:
    """Remove the copies."""
    while _COPIES:
        _COPIES.pop().cleanup()
