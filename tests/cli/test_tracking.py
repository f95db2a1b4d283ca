"""`--report-to`: every command that trains draws its curves into the run's `logs/`."""

from __future__ import annotations

import pytest
from secateur.evaluation.archive import Archive
from secateur.run.model import model_name

from .conftest import record
from .test_trained import COFI, LASSO

pytest.importorskip("tensorboard", reason="the extra `track` is not installed")


def logged(run) -> set[str]:
    return {str(path.parent.relative_to(run / "logs")) for path in (run / "logs").rglob("events.*")}


def test_the_training_stages(inputs, tmp_path, call, fails):
    run = tmp_path / "run"
    short = ["--finetune-epochs", "0.5", "--report-to", "tensorboard"]
    assert "known: mlflow, none, tensorboard" in fails("finetune", *inputs.project(run), "--report-to", "tb")
    assert not run.exists()  # it is refused before anything is made
    assert call("finetune", *inputs.project(run), *short).code == 0
    assert call("supernet", run, "--epochs", "0.5", "--report-to", "tensorboard").code == 0
    assert logged(run) == {"finetune", "supernet"}
    assert "report_to" not in str(record(run))  # which decides nothing
    assert call("finetune", *inputs.project(run), *short[:2]).code == 0  # so it may be left out


def test_methods_that_train_and_recovery(copied, call):
    trained = ["--method", "cofi,block_lasso", "--density", "0.7", *COFI, *LASSO]
    assert call("prune", copied, *trained, "--report-to", "tensorboard").code == 0
    assert call("compare", copied, "--recover-epochs", "0.2", "--report-to", "tensorboard").code == 0
    with Archive(copied / "archive.db") as archive:
        native, recovered = (archive.evaluations(split="selection", weights=kind) for kind in ("native", "recovered"))
    assert {one.method for one in native} == {"cofi", "block_lasso"}
    assert len(recovered) > 1
    # The last part tells a recipe from others; before a model is made it is not the one that its name ends with.
    names = {name.rpartition("-")[0] if name.startswith("prune/") else name for name in logged(copied)}
    pruned = {f"prune/{one.method}-0.7-native" for one in native}
    assert names == pruned | {f"recover/{model_name(one)}" for one in recovered}
    assert len([name for name in logged(copied) if name.endswith("/penalty")]) == 1
