"""The library speaks of settings and calls; only the command line spells options."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import secateur
from secateur.cli.spelling import spelled

ROOT = Path(secateur.__file__).parent
FOLDERS = ("run", "evaluation", "pruners", "search_space", "searchers", "supernet", "tasks")
OTHERS = ("dask worker", "pip install")  # programs that have options of their own
PAGES = ("evaluation/report", "run/report", "run/settings")  # commands to copy, and how options are to be spelt


def texts(path: Path) -> list[str]:
    """Return all texts in a file but docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _is_doc(node)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


def _is_doc(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_message_of_the_library_spells_an_option(folder):
    paths = [path for path in (ROOT / folder).rglob("*.py") if not str(path.relative_to(ROOT)).startswith(PAGES)]
    assert paths
    found = [
        (path.relative_to(ROOT), text)
        for path in paths
        for text in texts(path)
        if re.search(r"(?<![\w-])--[a-z]", text) and not any(other in text for other in OTHERS)
    ]
    assert found == []


def test_settings_become_options_and_calls_commands():
    options = {"search_objectives": "--search-objectives", "search_latency_device": "--search-latency-device"}
    assert spelled("`objectives` and `device`", options) == "--search-objectives and --search-latency-device"
    assert spelled("choose another `out`; a form `stock`", options) == "choose another --out; a form `stock`"
    call = 'run `Run("runs/a b").prune(method="kcm,rank_cam", density=0.8, origin="supernet")` first'
    assert (
        spelled(call, {}) == "run `secateur prune runs/a b --method kcm,rank_cam --density 0.8 --from supernet` first"
    )
    assert spelled('`Run("r").train_supernet()`', {}) == "`secateur supernet r`"
    assert spelled('`Run.create("r", ...)` makes one', {}) == "`secateur run --out r` makes one"
