"""The notebooks: each runs from top to bottom on a tiny model, and is kept with the outputs of a real one."""

from __future__ import annotations

import ast
import importlib
import shutil
from pathlib import Path

import pytest
import secateur
from secateur.tests.cli.conftest import finished, inputs  # noqa: F401 (fixtures)

nbclient = pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
nbformat = pytest.importorskip("nbformat")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
FIRST = NOTEBOOKS[0]  # which makes the run that the others look at
STAGES = {
    "finetune": {"epochs": 8, "learning_rate": 5e-3},
    "supernet": {"epochs": 6, "learning_rate": 2e-3},
    "search": {"budget": 8, "precision": "float32"},
    "ladder": {"shares": "1/2", "steps": 5},
}
SMALL = {
    "SHARES": "3/4",
    "FASTER": 0.5,
    "SECONDS": 1,
    "BUDGETS": (4, 3, 2),  # that a busy machine keeps too
    "BUDGET": 6,
    "TEXTS": 32,
    "DENSITIES": (0.9, 0.7),
    "MIDDLE": 0.7,
    "STAGES": STAGES,
}


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture
def run(request, tmp_path, inputs, name) -> Path:  # noqa: F811
    """A run for a notebook to change."""
    path = tmp_path / "runs" / "tiny"
    return path if name == FIRST else shutil.copytree(request.getfixturevalue("finished"), path)


def with_parameters(name: str, values: dict[str, object]):
    """Return a notebook whose first code cell ends with other values of its own names."""
    notebook = read(name)
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert cell.metadata["tags"] == ["parameters"]
    own = {target.id for line in ast.parse(cell.source).body for target in line.targets}  # pyright: ignore
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in values.items() if name in own)
    return notebook


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name, run, inputs, monkeypatch):  # noqa: F811
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    project = {"model": str(inputs.model), "task": "local", "data": str(inputs.data)}
    notebook = with_parameters(name, {"RUN": str(run), "PROJECT": project, **SMALL})
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    if name == FIRST:
        assert (run / "report.html").is_file()
        assert (run.parent / "my-model" / "config.json").is_file()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_keeps_to_the_python_api(name):
    """No other program, no file of the command line, no private name; of the package's own file what it lists."""
    code = [cell.source for cell in read(name).cells if cell.cell_type == "code"]
    assert not [line for source in code for line in source.splitlines() if line.lstrip().startswith(("%", "!"))]
    tree = ast.parse("\n".join(code))
    places = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            places += [f"{node.module}.{name}" for name in names]
            if node.module == "secateur":
                assert set(names) <= set(secateur.__all__)
            elif str(node.module).startswith("secateur."):
                assert all(hasattr(importlib.import_module(str(node.module)), name) for name in names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "secateur":
            assert node.attr in secateur.__all__
    parts = {part for place in places for part in place.split(".")}
    assert "secateur" in parts
    assert not parts & {"subprocess", "os", "cli"}
    assert not [part for part in parts if part.startswith("_")]


def test_a_bar_is_drawn_over_itself_and_left_as_it_ended():
    source = """
import secateur

bars = secateur.Bars()
with bars.progress("count") as tick:
    for i in range(1, 101):
        tick(i, 100, f"step {i}")
bars.say("done")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, timeout=60).execute()
    bar, line = notebook.cells[0].outputs
    drawn = bar.data["text/plain"]
    assert len(drawn.splitlines()) == 1
    assert drawn.startswith("count ")
    assert "100/100" in drawn
    assert drawn.endswith("step 100")
    assert line.text == "done\n"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_with_outputs(name):
    """As it was executed, from top to bottom, with pictures, and without errors."""
    notebook = read(name)
    assert "**At the end you will have** " in notebook.cells[0].source
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    text = "".join(output.get("text", "") for output in outputs)
    assert str(Path.home()) not in text
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 1_000_000
