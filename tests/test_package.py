"""The package as a whole: what is listed, what is imported when."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import secateur

ROOT = Path(__file__).parents[1]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with what a wheel of this tree has in it, built beside the tree, which stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    left = shutil.ignore_patterns(".*", "build", "runs", "tests", "docs", "notebooks", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=left)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--wheel-dir"]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(folder), str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("secateur-*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_has_the_files_of_every_package_and_no_other(installed):
    folders = {ROOT.joinpath(*package.split(".")[1:]) for package in PACKAGES} | {ROOT / "benchmarks" / "tables"}
    wanted = {path.relative_to(ROOT) for folder in folders - {ROOT} for path in folder.iterdir() if path.is_file()}
    wanted |= {path.relative_to(ROOT) for path in (*ROOT.glob("*.py"), ROOT / "py.typed")}
    found = {path.relative_to(installed / "secateur") for path in (installed / "secateur").rglob("*") if path.is_file()}
    assert found == wanted


def test_the_wheel_runs_beside_files_named_as_its_packages(installed, tmp_path):
    (tmp_path / "evaluation.py").write_text("MINE = True\n")
    code = """if True:
        import evaluation, secateur.evaluation
        from secateur.benchmarks.searchers import TABLES, TASKS, TabularSpace
        for task in TASKS:
            TabularSpace(TABLES / f"{task}.parquet")
        print(evaluation.MINE, secateur.__file__)
    """
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    for arguments in (["-m", "secateur.benchmarks.searchers", "--help"], ["-c", code]):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", str(installed / "secateur" / "__init__.py")]


def test_all_packages_are_listed():
    found = {"secateur"} | {
        "secateur." + ".".join(path.parent.relative_to(ROOT).parts)
        for path in ROOT.rglob("__init__.py")
        if path.parent != ROOT and not {".venv", "tests", "build", "runs"} & set(path.relative_to(ROOT).parts)
    }
    assert set(PACKAGES) == found


# Of the standard library, what Windows or macOS lacks.
UNIX = {"crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog"}
UNIX |= {"ossaudiodev", "termios", "tty"}


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports when it is imported itself, not in its functions."""
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Import):
            yield from (name.name for name in part.names)
        elif isinstance(part, ast.ImportFrom) and not part.level:
            yield part.module or ""
        elif not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imported(part)


def test_every_file_can_be_imported_on_windows_and_macos():
    left = {".venv", "build", "runs"}
    files = [path for path in ROOT.rglob("*.py") if not left & set(path.relative_to(ROOT).parts)]
    assert ROOT / "evaluation" / "served_process.py" in files
    found = {path: UNIX & {name.split(".")[0] for name in imported(ast.parse(path.read_bytes()))} for path in files}
    assert not {path: names for path, names in found.items() if names}
    assert set(imported(ast.parse("if x:\n    import fcntl\ndef f():\n    import pwd"))) == {"fcntl"}


@pytest.mark.parametrize("name", secateur.__all__)
def test_the_facade_has_what_it_names(name):
    assert getattr(secateur, name) is not None


def test_searchers_are_imported_without_torch():
    code = "import sys, secateur.searchers; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Pruner'"):
        _ = secateur.Pruner
