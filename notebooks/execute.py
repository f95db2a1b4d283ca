"""Executes notebooks and keeps them with their outputs, on a machine that does nothing else: `make notebooks`.

python notebooks/execute.py [NAME.ipynb ...]
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def execute(path: Path) -> None:
    """Run a notebook from top to bottom in its folder, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=1800,
        coalesce_streams=True,  # else a line that came in two pieces is kept in two
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    nbformat.write(notebook, path)


if __name__ == "__main__":
    # No advice about widgets, which a kept notebook cannot have.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    for one in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(FOLDER.glob("*.ipynb")):
        begin = time.perf_counter()
        execute(one)
        print(f"{one.name}: {time.perf_counter() - begin:.0f} s", flush=True)
