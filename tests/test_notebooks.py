"""The notebooks: each runs from top to bottom on a tiny model, and is kept with the outputs of a real one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from secateur.tests.cli.conftest import FINETUNE, SEARCH, SUPERNET, finished, inputs, launcher  # noqa: F401 (fixtures)

nbclient = pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
nbformat = pytest.importorskip("nbformat")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
FIRST = NOTEBOOKS[0]  # which makes the run that the others look at
SMALL = {"SECONDS": "1", "BUDGET": "6", "TEXTS": "32", "DENSITIES": "0.9,0.7,0.65", "OMP_NUM_THREADS": "1"}


def read(name: str):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture
def run(request, tmp_path, inputs, name) -> Path:  # noqa: F811
    """A run for a notebook to change."""
    path = tmp_path / "runs" / "tiny"
    return path if name == FIRST else shutil.copytree(request.getfixturevalue("finished"), path)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name, run, inputs, launcher, tmp_path, monkeypatch):  # noqa: F811
    project = [*inputs.project(run), *FINETUNE, *SUPERNET, *SEARCH]
    project = project[: project.index("--out")] + project[project.index("--out") + 2 :]
    variables = {"RUN": str(run), "PROJECT": " ".join(project), **SMALL}
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("PATH", f"{launcher.program(tmp_path)}{os.pathsep}{os.environ['PATH']}")
    notebook = read(name)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    if name == FIRST:
        assert (run / "report.html").is_file()
        assert (run.parent / "my-model" / "config.json").is_file()


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
