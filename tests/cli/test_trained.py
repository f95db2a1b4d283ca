"""Methods with a training of their own: resumed wherever they were killed, and what they put into the archive."""

from __future__ import annotations

import json
import shutil
import signal
from glob import glob
from pathlib import Path

import pytest
from secateur.evaluation.archive import Archive
from secateur.run.folder import RunFolder

from .conftest import archive_rows

COFI = ["--cofi-least-steps", "250", "--cofi-mask-learning-rate", "0.5"]
LASSO = ["--block-lasso-width", "8", "--block-lasso-least-steps", "0", "--block-lasso-epochs", "2"]
LASSO += ["--block-lasso-retraining-epochs", "2"]
DENSITIES = {"cofi": ("0.8", "0.5"), "block_lasso": ("0.7", "0.4")}
OPTIONS = {"cofi": COFI, "block_lasso": LASSO}
SAVING = {"cofi": ["--cofi-save-seconds", "0"], "block_lasso": ["--block-lasso-save-seconds", "0"]}  # after each step


def prune(run: Path, method: str) -> list[str]:
    return ["prune", str(run), "--method", method, "--density", ",".join(DENSITIES[method]), *OPTIONS[method]]


@pytest.fixture(scope="module")
def trained(finished, tmp_path_factory, launcher) -> Path:
    run = shutil.copytree(finished, tmp_path_factory.mktemp("trained") / "run")
    for method in DENSITIES:
        assert launcher.run(prune(run, method)) == 0, launcher.log.read_text()
    return run


def steps(run: Path) -> int:
    """Return how far the training under way has been saved."""
    saved = glob(str(run / "prune.state" / "**" / "step-*"), recursive=True)  # unlike rglob, at ease with what vanishes
    return max((int(name) for path in saved if (name := Path(path).name[5:]).isdecimal()), default=0)


@pytest.mark.parametrize("method", DENSITIES)
def test_killed_at_any_moment_it_is_the_same(finished, trained, launcher, tmp_path, method):
    run = shutil.copytree(finished, tmp_path / "run")
    killed_at = []
    saving = [*prune(run, method), *SAVING[method]]
    for _ in range(3):
        begin = steps(run)
        code = launcher.run(saving, lambda begin=begin: steps(run) > begin + 1)
        assert code == -signal.SIGKILL, launcher.log.read_text()
        killed_at.append(steps(run))
    assert killed_at == sorted(set(killed_at))
    assert launcher.run(prune(run, method)) == 0, launcher.log.read_text()
    mine, whole = (sorted((row for row in archive_rows(one) if method in row), key=repr) for one in (run, trained))
    assert len(mine) == 2 * len(DENSITIES[method])  # both splits
    assert mine == whole
    assert not (run / "prune.state").exists()


def test_points_of_both_are_compared(trained, call):
    points = json.loads(call("compare", trained, "--no-refit", "--json").out)
    of = {method: [p for p in points if p["method"].startswith(method)] for method in DENSITIES}
    (name,) = {p["method"] for p in of["cofi"]}
    assert name == "cofi (least_steps 250, mask_learning_rate 0.5)"  # another recipe's models are not its seeds
    assert {p["layer"] for found in of.values() for p in found} == {"native"}
    for p in of["cofi"]:  # smaller models, whose costs follow from what they keep
        assert p["axis"] == "encoder_parameters"
        assert p["share"] == pytest.approx(p["density"], abs=0.05)
        assert p["labels"] == 0 < p["texts"]
    for p in of["block_lasso"]:  # as large as before, with zeros, and timed in the form that runs them best
        assert p["axis"] == "nonzero"
        assert p["share"] == pytest.approx(p["density"], abs=0.05)
        assert p["encoder_parameters"] is None
        assert p["labels"] > 0
    assert all(p["latency_ms"] > 0 and p["seconds"] > 0 for found in of.values() for p in found)
    with Archive(RunFolder.open(trained).archive) as archive:
        (row, _) = archive.evaluations(split="selection", method="cofi")
    assert row.recipe["cofi_least_steps"] == 250
    assert "cofi_epochs" not in row.recipe  # as usual


@pytest.mark.parametrize("method", DENSITIES)
def test_models_are_extracted(trained, call, tmp_path, method):
    against = "nonzero" if method == "block_lasso" else "encoder_parameters"
    front = json.loads(call("front", trained, "--json", "--weights", "native", "--against", against).out)
    best = next(p for p in front if p["method"] == method)
    options = ["--key", best["key"], "--weights", "native", "--method", method, "--density", best["density"]]
    assert call("extract", trained, *options, "--to", tmp_path / method).code == 0
    assert (tmp_path / method / "config.json").is_file()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["cofi", "0.0001"], "cofi cannot go below a density of "),
        (["cofi", "0.5", "--cost", "macs"], "CoFi's expected sparsity counts the encoder's parameters"),
        (["block_lasso", "0.5", "--block-lasso-width", "7"], "slabs of 7 "),
        (["block_lasso", "0.5", "--cost", "macs"], "what removed groups of weights save depends on how they are run"),
        (["cofi", "0.2", "--cofi-least-steps", "0", "--cofi-epochs", "0.1"], "the masks are stuck at an expected "),
    ],
)
def test_bad_input_is_one_line(finished, fails, tmp_path, options, expected):
    run = shutil.copytree(finished, tmp_path / "run")
    method, density, *others = options
    message = fails("prune", run, "--method", method, "--density", density, *others)
    assert message.startswith(expected)
