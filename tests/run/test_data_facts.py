"""What run.json says of the data is what the data are, and a run without it says what to do."""

import json

import pytest
from secateur.errors import InputError
from secateur.run.data_facts import DataFacts, collect, data_facts
from secateur.run.folder import RunFolder
from secateur.run.project import open_task
from secateur.supernet import Supernet
from secateur.supernet.stored.storage import load_model
from secateur.tests.cli.conftest import call, copied, fails, finished, inputs, record  # noqa: F401 (fixtures)


def test_facts_are_those_of_task_and_model(finished):  # noqa: F811
    folder = RunFolder.open(finished)
    task, shape = open_task(folder), Supernet(load_model(folder.finetuned)).shape
    assert folder.record["data"] == collect(task, shape)
    facts = data_facts(folder)
    assert (facts.train, facts.selection, facts.report_examples) == (
        len(task.train),
        len(task.selection),
        {name: len(split) for name, split in task.report.items()},
    )
    majority = max((task.selection.labels == label).mean() for label in (0, 1))
    assert facts.yardstick.constant == pytest.approx(1 - majority)
    assert facts.shape == shape
    assert isinstance(facts, DataFacts)


def test_a_record_is_mended_by_opening_the_project(copied, inputs, call, fails):  # noqa: F811
    path = copied / "run.json"
    before = record(copied)
    path.write_text(json.dumps({name: value for name, value in before.items() if name != "data"}))
    with pytest.raises(InputError, match="does not say what the run's data are; begin the run once more"):
        data_facts(RunFolder.open(copied))
    assert "does not say what the run's data are" in fails("report", copied)
    call("finetune", *inputs.project(copied))
    assert json.loads(path.read_text())["data"] == before["data"]
    assert call("report", copied).code == 0
