"""A run in Python: the same numbers, the same models and the same words as the command line gives."""

from __future__ import annotations

import json

import pytest
import secateur
from secateur.errors import InputError
from secateur.evaluation.archive import Archive
from secateur.tests.cli.conftest import call, copied, fails, finished, inputs, record  # noqa: F401 (fixtures)


@pytest.fixture(scope="module")
def evaluated(finished):  # noqa: F811
    with Archive(finished / "archive.db") as archive:
        return archive.evaluations(split="selection")


def five_budgets(evaluated):
    """One budget of each kind, in the middle of what was evaluated, and two at once."""

    def middle(name):
        return sorted(one.values[name] for one in evaluated)[len(evaluated) // 2]

    return (
        {"latency_ms": 1000.0},
        {"encoder_parameters": middle("encoder_parameters")},
        {"macs": middle("macs"), "disk_mb": middle("disk_mb")},
        {"error": middle("error") + 1e-9},
        {"parameters": middle("parameters")},
    )


def test_python_and_every_command_name_the_same_model(copied, call, evaluated, tmp_path):  # noqa: F811
    run = secateur.Run(copied)
    for number, budgets in enumerate(five_budgets(evaluated)):
        options = [word for name, limit in budgets.items() for word in (f"--{name.replace('_', '-')}", repr(limit))]
        picked = json.loads(call("pick", copied, *options, "--json").out)["chosen"]["key"]
        assert run.pick(**budgets).chosen.key == picked
        to = tmp_path / f"extracted-{number}"
        assert f"{picked} is in {to}" in call("extract", copied, *options, "--to", to).out
        assert run.extract(tmp_path / f"api-{number}", **budgets).key == picked
        to = tmp_path / f"exported-{number}"
        exported = call("export", copied, *options, "--to", to, "--no-refit", "--json")
        assert json.loads(exported.out)["key"] == picked


def test_a_front_is_a_sequence_that_notebooks_can_show(finished, call):  # noqa: F811
    front = secateur.Run(finished).front("latency_ms")
    printed = json.loads(call("front", finished, "--against", "latency_ms", "--json").out)
    assert [{"schema": 1, **model.facts()} for model in front] == printed
    assert list(front.to_dataframe()["key"]) == [model.key for model in front]
    assert front[0].key in front._repr_html_()
    axes = front.plot()
    assert len(axes.lines) == 2


def test_what_says_nothing_is_not_on_the_front(copied, call):  # noqa: F811
    """Held against a constant answer that is as good as its smallest model; and one that is better than all."""
    path = copied / "run.json"
    content = record(copied)
    held = content["data"]["yardstick"]
    held |= {"constant": 2.0, "constant_report": 2.0}
    path.write_text(json.dumps(content))
    every = secateur.Run(copied).front()
    assert len(every) > 1
    held["constant"] = every[-1].error_selection
    path.write_text(json.dumps(content))
    better = secateur.Run(copied).front()
    assert [model.key for model in better] == [model.key for model in every if model.error_selection < held["constant"]]
    assert f"left out of {len(every)} models of this front: {len(every) - len(better)}, no better" in better.notes[-1]
    assert "left out" in call("front", copied).out
    held["constant"] = 0.0
    path.write_text(json.dumps(content))
    assert len(secateur.Run(copied).front()) == len(every)


def test_a_model_ships_itself(copied, tmp_path):  # noqa: F811
    front = secateur.Run(copied).front()
    done = front[0].extract(tmp_path / "model")
    assert done.key == front[0].key
    assert (tmp_path / "model" / "config.json").is_file()


def test_settings_are_named_as_settings(finished):  # noqa: F811
    run = secateur.Run(finished)
    with pytest.raises(InputError, match=r"unknown setting 'latency'; known: .*latency_ms"):
        run.pick(latency=3)
    with pytest.raises(InputError, match="`latency_ms`: Input should be greater than 0, got -1"):
        run.pick(latency_ms=-1)


def test_a_shares_front_is_the_best_within_each(finished, evaluated):  # noqa: F811
    run = secateur.Run(finished)
    whole, half = run.front(shares="1/2")
    assert whole.encoder_parameters is not None
    limit = whole.encoder_parameters / 2
    with run.archive() as archive:
        scored = {one.key for one in archive.evaluations(split="report")}
    within = [one for one in evaluated if one.values["encoder_parameters"] <= limit and one.key in scored]
    assert half.key in {one.key for one in within}
    assert half.error_selection == min(one.values["error"] for one in within)


def test_stages_are_verbs(tmp_path, inputs, capfd):  # noqa: F811
    import datasets

    columns = {"text": ["good film", "bad film", "a fine day", "a sad day"] * 20, "label": [1, 0, 1, 0] * 20}
    split = datasets.Dataset.from_dict(columns)
    run = secateur.Run.create(
        tmp_path / "run", model=str(inputs.model), task=datasets.DatasetDict({"train": split, "validation": split})
    )
    assert not any(capfd.readouterr())
    assert not datasets.are_progress_bars_disabled()
    run.finetune(epochs=1, batch_size=8)
    run.train_supernet(epochs=1, batch_size=8)
    run.search(budget=4, objectives=("error", "parameters"))
    run.prune("rank_magnitude", density=(0.8,))
    assert len(run.front()) >= 1
    assert run.report().is_file()
    again = secateur.Run(tmp_path / "run")
    assert again.front()[0].key == run.front()[0].key
