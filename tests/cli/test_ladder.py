"""A ladder of a run: which models it makes, that they are known everywhere, and that kills change nothing."""

from __future__ import annotations

import json
import re
import shutil
import signal

import pytest
import secateur
from secateur.digests import write_json
from secateur.evaluation.archive import Archive
from secateur.run.data_facts import data_facts
from secateur.run.stages import ladder as stage
from secateur.search_space import SubnetMask
from secateur.supernet.stored.storage import load_model
from secateur.supernet.training import finetuning
from secateur.tests.once import made_once

from .conftest import FINETUNE, archive_rows, call, copied, fails, finished, inputs, launcher, record  # noqa: F401

BROUGHT = ("the fine-tuned model", "a rung of the ladder")
RECIPE = ["--steps", "12", "--learning-rate", "2e-3"]
SHARES = ["--shares", "3/4,1/2,1/4"]


@pytest.fixture(scope="module")
def tuned(inputs, tmp_path_factory):  # noqa: F811
    """A run that was fine-tuned and no more."""

    def make(out):
        from secateur.cli import run_command

        assert run_command(["finetune", *inputs.project(out), *FINETUNE]) == 0

    return made_once(tmp_path_factory, "tuned", make)


@pytest.fixture
def run(tuned, tmp_path):
    return shutil.copytree(tuned, tmp_path / "run")


def test_rungs_fall_and_are_nested_and_known_everywhere(run, call, tmp_path):  # noqa: F811
    rungs = json.loads(call("ladder", run, *SHARES, *RECIPE, "--json").out)
    assert [rung["share"] for rung in rungs] == [0.75, 0.5, 0.25]
    with Archive(run / "archive.db") as archive:
        rows = {one.key: one for one in archive.evaluations(split="selection", weights="ladder")}
    whole = next(one for one in rows.values() if one.mask.is_full)
    masks = [rows[rung["key"]].mask for rung in rungs]
    for above, below, rung in zip([whole.mask, *masks], masks, rungs, strict=False):
        assert (below.heads <= above.heads).all()
        assert (below.neurons <= above.neurons).all()
        assert rung["encoder_parameters"] <= rung["share"] * whole.values["encoder_parameters"]
        assert rung["seconds"] > 0
        assert rung["error_report"] is not None
    front = json.loads(call("front", run, "--weights", "ladder", "--json").out)
    assert {one["key"] for one in front} <= {*rows}
    least = str(rungs[-1]["encoder_parameters"])
    picked = json.loads(call("pick", run, "--encoder-parameters", least, "--json").out)["chosen"]
    assert (picked["key"], picked["weights"]) == (rungs[-1]["key"], "ladder")
    assert call("export", run, "--encoder-parameters", least, "--to", tmp_path / "out").code == 0
    stored, sold = load_model(run / "ladder" / rungs[-1]["key"]), load_model(tmp_path / "out")
    assert all((sold.state_dict()[name] == value).all() for name, value in stored.state_dict().items())
    compared = json.loads(call("compare", run, "--density", "0.5,0.25", "--json").out)
    assert {one["method"] for one in compared} >= {"ladder"}
    assert call("report", run).code == 0


def test_the_whole_model_is_the_first_rung(run, call, tmp_path):  # noqa: F811
    call("ladder", run, "--shares", "1/2", *RECIPE)
    models = secateur.Run(run).front()
    assert models[0].encoder_parameters == max(model.encoder_parameters for model in models)
    whole = secateur.Run(run).pick(error=0.999).chosen
    assert whole.weights == "ladder"
    full = next(model for model in secateur.Run(run).front(shares="1/2") if model.layers == 3)
    assert full.extract(tmp_path / "whole").folder.is_dir()


def test_a_rung_between_is_added_and_those_there_are_left(run, call):  # noqa: F811
    call("ladder", run, "--shares", "3/4,1/4", *RECIPE)
    before = archive_rows(run)
    rungs = secateur.Run(run).ladder(shares="3/4,1/2,1/4")  # the recipe is remembered
    assert archive_rows(run)[: len(before)] == before
    assert len(archive_rows(run)) == len(before) + 2  # on both splits
    assert [rung.encoder_parameters for rung in rungs] == sorted((r.encoder_parameters for r in rungs), reverse=True)
    again = secateur.Run(run).ladder()
    assert [rung.key for rung in again] == [rung.key for rung in rungs]


def test_a_rung_that_is_gone_is_made_again(run, call):  # noqa: F811
    command = ["ladder", run, "--shares", "1/2,1/4", *RECIPE, "--json"]
    first = json.loads(call(*command).out)
    weights = {path: path.read_bytes() for path in (run / "ladder").rglob("*.safetensors")}
    rows = archive_rows(run)
    for gone in ([first[1]["key"]], [rung["key"] for rung in first]):
        for key in gone:
            shutil.rmtree(run / "ladder" / key)
        again = json.loads(call(*command).out)
        assert [rung["key"] for rung in again] == [rung["key"] for rung in first]
        assert {path: path.read_bytes() for path in (run / "ladder").rglob("*.safetensors")} == weights
    assert archive_rows(run) == rows


@pytest.mark.parametrize("complete", [False, True])
def test_a_ladder_killed_at_its_very_end_is_closed(run, call, complete):  # noqa: F811
    command = ["ladder", run, "--shares", "1/2", *RECIPE]
    call(*command)
    content = record(run)
    content["stages"]["ladder"]["complete"] = complete
    (run / "run.json").write_text(json.dumps(content))
    (run / "ladder.seconds").write_text("9")
    assert call(*command).code == 0
    assert record(run)["stages"]["ladder"]["complete"]
    assert not (run / "ladder.seconds").exists()


def test_each_rung_learns_from_texts_in_an_order_of_its_own(run, monkeypatch):
    rungs: list[set[int]] = []
    real = finetuning.collate

    def collate(split, rows, *rest):
        rungs[-1].update(rows.tolist())
        return real(split, rows, *rest)

    monkeypatch.setattr(finetuning, "collate", collate)
    for share in ("3/4", "1/2"):
        rungs.append(set())
        secateur.Run(run).ladder(shares=share, steps=2)
    first, second = rungs
    assert first
    assert first != second  # few of all


def test_smaller_rungs_get_more_steps_and_all_cost_as_much(run, monkeypatch):
    """A step is a pass of the whole model and, forwards and backwards, three of the rung."""
    told: list[int] = []
    monkeypatch.setattr(stage, "distilled", lambda whole, model, task, options, *_: told.append(options.steps))
    rungs = secateur.Run(run).ladder(shares="3/4,1/2,1/4", steps=1000)
    whole = data_facts(secateur.Run(run).folder).shape.encoder_parameters
    costs = [steps * (1 + 3 * rung.encoder_parameters / whole) for steps, rung in zip(told, rungs, strict=True)]
    assert costs == pytest.approx([2500] * 3, rel=2e-3)


def test_latency_budgets_are_kept_as_the_table_predicts(run):
    made = secateur.Run(run)
    table = made.latency(seconds=5)
    shape = data_facts(made.folder).shape
    least, whole = (table.predict(SubnetMask.from_counts(shape, [n] * 3, [m] * 3)) for n, m in ((1, 1), (4, 24)))
    budget = (least + whole) / 2
    (rung,) = made.ladder(latency_ms=budget, steps=4)
    assert rung.latency_predicted_ms is not None
    assert rung.latency_predicted_ms <= budget


def test_bad_input_is_refused_before_anything_is_trained(run, fails):  # noqa: F811
    assert "needs numbers above 0 and at most 1" in fails("ladder", run, "--shares", "2")
    assert "needs numbers above 0, such as 8,4; got 'x'" in fails("ladder", run, "--latency-ms", "8,x")
    assert "unknown importance 'fish'" in fails("ladder", run, "--importance", "fish")
    assert "a rung of 0.0001 may cost" in fails("ladder", run, "--shares", "1/2,0.0001")
    assert not (run / "ladder").exists()
    assert "ladder" not in record(run)["stages"]


def test_two_recipes_are_not_mixed(run, call, fails):  # noqa: F811
    call("ladder", run, "--shares", "1/2", "--steps", "4")
    assert "has rungs with steps 4, these would have 8" in fails("ladder", run, "--shares", "1/4", "--steps", "8")


def test_a_killed_ladder_ends_as_if_nothing_had_happened(run, tmp_path, launcher, call):  # noqa: F811
    killed = shutil.copytree(run, tmp_path / "killed")
    slow = [*SHARES, *RECIPE, "--save-seconds", "0"]
    # The same number of threads for both, so that they agree bit for bit.
    assert launcher.run([*map(str, ("ladder", run, *slow))]) == 0, launcher.log.read_text()
    for reached in (
        "ladder.state/*/*/training/step-*",
        "ladder/*",
        "ladder.state/*/*/seconds",
        "ladder.state/*-1*/*/training/step-*",
    ):
        begun = [*killed.glob(reached)]
        code = launcher.run(
            [*map(str, ("ladder", killed, *slow))],
            lambda reached=reached, begun=begun: [*killed.glob(reached)] != begun,
        )
        assert code in (-signal.SIGKILL, 0), launcher.log.read_text()
    assert launcher.run([*map(str, ("ladder", killed, *slow))]) == 0, launcher.log.read_text()
    assert archive_rows(killed) == archive_rows(run)
    for folder in (run / "ladder").iterdir():
        mine, theirs = load_model(folder), load_model(killed / "ladder" / folder.name)
        assert all((theirs.state_dict()[name] == value).all() for name, value in mine.state_dict().items())
    assert not (killed / "ladder.state").exists()


def test_a_rung_that_was_killed_goes_on_with_the_cut_that_it_had_come_to(run, call):  # noqa: F811
    with_less = SubnetMask.from_counts(data_facts(secateur.Run(run).folder).shape, [1, 1, 1], [8, 8, 8])
    command = ["ladder", run, "--shares", "1/2", *RECIPE, "--json"]
    first = json.loads(call(*command).out)[0]
    with Archive(run / "archive.db") as archive:
        rows = archive.evaluations(split="selection", weights="ladder")
    whole = next(one for one in rows if one.mask.is_full)
    limit = next(one.recipe["limit"] for one in rows if one.key == first["key"])
    shutil.rmtree(run / "ladder" / first["key"])
    state = run / "ladder.state" / f"encoder_parameters-{limit:g}"
    for above, expected in ((whole.key, with_less.key), ("another", first["key"])):
        content = record(run)
        content["stages"]["ladder"]["complete"] = False  # so that what a killed one left is not tidied away
        (run / "run.json").write_text(json.dumps(content))
        write_json(state / "cut.json", {"above": above, "cut": with_less.to_json()})
        assert json.loads(call(*command).out)[0]["key"] == expected
        shutil.rmtree(run / "ladder" / expected)


def test_minutes_too_short_to_train_leave_what_is_refitted(run, call):  # noqa: F811
    rungs = json.loads(call("ladder", run, "--shares", "1/2,1/4", "--minutes", "0.0001", "--json").out)
    assert [rung["share"] for rung in rungs] == [0.5, 0.25]
    assert not (run / "ladder.state").exists()


def test_a_run_may_do_without_a_search(inputs, call, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    done = call("run", *inputs.project(out), "--minutes", "0.001", "--ladder-shares", "1/2")
    assert done.code == 0
    assert re.search(r"finetune: \d+ steps, 0\.\d+ of 10 epochs, fitted into 0 s", done.err)
    said = done.out.split("what the time brought")[1]
    with Archive(out / "archive.db") as archive:
        rows = archive.evaluations(split="selection", weights="ladder")
    found = [
        re.search(rf"{title} .* ({one.values['error']:.4f}) ", said) for title, one in zip(BROUGHT, rows, strict=True)
    ]
    assert all(found)
    stages = record(out)["stages"]
    assert {*stages} == {"finetune", "ladder"}
    assert stages["finetune"]["settings"]["minutes"] == 0.0005
    assert stages["ladder"]["settings"]["minutes"] == 0.1
    assert stages["ladder"]["seconds"] < 60
    front = secateur.Run(out).front()
    assert {model.weights for model in front} == {"ladder"}
    assert (out / "report.html").is_file()
    assert [*(out / "subnets").glob("*-ladder/config.json")]


def test_what_is_left_out_must_leave_something(inputs, fails, tmp_path):  # noqa: F811
    project = inputs.project(tmp_path / "run")
    assert "one of them must be left, got 'search,ladder'" in fails("run", *project, "--skip", "search,ladder")
    assert "expected search or ladder, got 'lader'" in fails("run", *project, "--skip", "lader")
