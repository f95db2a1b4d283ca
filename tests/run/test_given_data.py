"""Data that are no files: handed in, or by a name on the hub; a folder stands for the hub, which is not reached."""

from __future__ import annotations

import datasets
import pytest
from secateur.errors import InputError
from secateur.run.given_data import stored_data
from secateur.run.run import Run
from secateur.tests.cli.conftest import call as call
from secateur.tests.cli.conftest import fails, inputs, sentences, write_csv  # noqa: F401 (fixtures)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> str:
    """A data set as the hub would give it, by a path instead of a name."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for split, count in (("train", 60), ("validation", 20)):
        write_csv(tmp_path / "hub" / f"{split}.csv", ["text", "label"], sentences(count, seed=count))
    return str(tmp_path / "hub")


def test_a_data_set_of_the_hub_is_copied_into_the_run(hub, inputs, call, fails, tmp_path):  # noqa: F811
    out = tmp_path / "run"
    options = ["--model", inputs.model, "--task", "local", "--dataset", hub, "--out", out, "--finetune-epochs", "1"]
    result = call("finetune", *options)
    assert result.code == 0, result.err
    assert sorted(path.name for path in (out / "data").iterdir()) == ["train.parquet", "validation.parquet"]
    (tmp_path / "hub" / "train.csv").unlink()  # not looked at again
    assert len(Run(out).task().report["validation"]) == 20
    assert call("finetune", *options).code == 0
    missing = str(tmp_path / "missing")
    message = fails(
        "finetune", "--model", inputs.model, "--task", "local", "--dataset", missing, "--out", tmp_path / "b"
    )
    assert message.startswith(f"cannot load the data set {missing} (")
    assert "go online once, or give files with --data" in message
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "sst2", "dataset": "x/y"}, "the task sst2 has data of its own, but --dataset is x/y; give a task of"),
        ({"task": "local", "dataset": "x/y", "data": "a.csv"}, "give --data or --dataset, not both"),
        ({"task": "local", "dataset-config": "z"}, "--dataset-config says which of several data sets of a name"),
    ],
)
def test_settings_that_do_not_go_together(options, message, inputs, fails, tmp_path):  # noqa: F811
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert message in fails("finetune", "--model", inputs.model, *given, "--out", tmp_path / "run")


def test_tags_may_be_handed_in(inputs, tmp_path):  # noqa: F811
    words = [{"tokens": [f"good{i}", "film"], "ner_tags": ["B-X", "O"]} for i in range(30)]
    data = datasets.DatasetDict({"train": datasets.Dataset.from_list(words), "dev": datasets.Dataset.from_list(words)})
    run = Run.create(tmp_path / "run", model=str(inputs.model), task="tagging", data=data)
    assert run.task().label_names == ("B-X", "O")
    assert len(run.task().report["validation"]) == 30


def test_two_validation_splits(tmp_path):
    part = datasets.Dataset.from_list([{"text": "a"}])
    with pytest.raises(
        InputError, match="a DatasetDict has one validation split, got validation, dev; drop the others"
    ):
        stored_data(tmp_path / "run", dict.fromkeys(("train", "dev", "validation"), part))
