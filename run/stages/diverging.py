"""What a stage leaves whose training diverged: nothing that would keep the next try from another rate."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...supernet.training.divergence import Diverged
from ..folder import RunFolder
from ..processes import is_first_process


@contextmanager
def ends_where_it_diverges(
    folder: RunFolder, stage: str, *states: Path, made: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """End a stage in one line where its training diverges: it is not complete, and may be tried with other settings.

    Args:
        folder: the run.
        stage: its name, around whose record this is.
        states: folders of resume points, which are of no use.
        made: tells whether the stage has made something by these settings already, which must then stay its own.

    Raises:
        InputError: it diverged.
    """
    try:
        yield
    except Diverged as error:
        with folder.writing():
            if is_first_process():
                for state in states:
                    shutil.rmtree(state, ignore_errors=True)
            if stage in folder.record["stages"] and not made():
                folder.write_down("stages", {k: v for k, v in folder.record["stages"].items() if k != stage})
                folder.write_down("asked", _without_rate(folder.record["asked"], stage))
                (folder.path / f"{stage}.seconds").unlink(missing_ok=True)
        raise InputError(f"{stage}: {error}") from error


def _without_rate(asked: dict[str, dict[str, Any]], stage: str) -> dict[str, dict[str, Any]]:
    """Return what a run remembers without a stage's rate: nobody wants that one again."""
    told = {name: value for name, value in asked.get(stage, {}).items() if name != "learning_rate"}
    return {**asked, **({stage: told} if stage in asked else {})}
