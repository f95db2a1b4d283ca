"""The package as a whole: what is listed, what is imported when."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import secateur

ROOT = Path(__file__).parents[1]


def test_all_packages_are_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {"secateur"} | {
        "secateur." + ".".join(path.parent.relative_to(ROOT).parts)
        for path in ROOT.rglob("__init__.py")
        if path.parent != ROOT and not {".venv", "tests", "build", "runs"} & set(path.relative_to(ROOT).parts)
    }
    assert set(listed) == found


@pytest.mark.parametrize("name", secateur.__all__)
def test_the_facade_has_what_it_names(name):
    assert getattr(secateur, name) is not None


def test_searchers_are_imported_without_torch():
    code = "import sys, secateur.searchers; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Pruner'"):
        _ = secateur.Pruner
