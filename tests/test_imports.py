"""No file of the package imports itself by way of others; imports for types and within functions count."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_OURS = {"tests", "notebooks", "build", "runs", "docs"}


def files() -> dict[str, Path]:
    """Return the package's files by their dotted names."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in NOT_OURS and not parts[0].startswith("."):
            found[".".join(["secateur", *parts]).removesuffix(".__init__")] = path
    return found


def imported(name: str, path: Path, names: set[str]) -> set[str]:
    """Return which of `names` a file imports. What is no file, a class or a function, is of the file before it."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    targets = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            place = [*above, node.module] if node.module else above
            targets += [".".join([*place, alias.name]) for alias in node.names]
    return {target if target in names else target.rpartition(".")[0] for target in targets} & names


def test_there_is_no_circle():
    paths = files()
    graph = {name: imported(name, path, set(paths)) for name, path in paths.items()}
    assert graph["secateur.searchers.nsga2"] == {"secateur.searchers.genetic"}
    assert {"secateur.errors", "secateur.searchers.base"} <= graph["secateur.searchers"]
    assert "secateur.evaluation.archive" in graph["secateur"]  # for types
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError("a circle of imports: " + " <- ".join(error.args[1])) from None
