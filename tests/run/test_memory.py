"""A run remembers what it was told, and what its numbers belong to."""

from __future__ import annotations

import signal

import pytest
import secateur
from secateur.digests import seal
from secateur.errors import InputError
from secateur.evaluation.latency import LatencyTable
from secateur.run.memory import given, merged
from secateur.run.run import made, part
from secateur.run.settings.search import FarmSettings, SearchSettings, SearchVerb
from secateur.tests.cli.conftest import (  # noqa: F401 (fixtures)
    FINETUNE,
    SUPERNET,
    call,
    copied,
    finished,
    inputs,
    launcher,
    record,
)


def test_what_was_not_given_is_as_it_was(copied):  # noqa: F811
    secateur.Run(copied).search(objectives=("error", "latency"), budget=3)
    before = record(copied)
    assert before["asked"]["search"]["objectives"] == "error,latency"
    secateur.Run(copied).search(budget=5)
    after = record(copied)
    assert after["stages"]["search"]["settings"] == before["stages"]["search"]["settings"] | {"budget": 5}
    assert after["basis"] == before["basis"]
    assert after["basis"]["dtype"] == "float32"  # as the run's first search, not as `auto` is here
    secateur.Run(copied).search(latency=after["basis"]["latency"], precision="auto")  # the same in other words
    with pytest.raises(InputError, match="these would be of cpu-t1-b7"):
        secateur.Run(copied).search(latency={"batch_size": 7})
    assert record(copied)["asked"] == after["asked"]  # what is refused is not remembered
    secateur.Run(copied).search()


def test_a_latency_table_is_of_the_searchs_target_unless_told(copied):  # noqa: F811
    run = secateur.Run(copied)
    path = next((copied / "latency").glob("*.json"))
    table = LatencyTable.load(path)
    batch = table.target.batch_size + 1
    other = run.latency(batch_size=batch, seconds=1)
    assert other.target == table.target.model_copy(update={"batch_size": batch})
    before = path.stat().st_mtime_ns
    assert run.latency() == table
    assert path.stat().st_mtime_ns == before


def test_a_search_under_way_goes_on_with_what_all_is_told_last(copied):  # noqa: F811
    folder = secateur.Run(copied).folder
    with folder.writing():
        folder.record["stages"]["search"]["complete"] = False  # killed
        folder.write_down("stages", folder.record["stages"])
    with pytest.raises(InputError, match=r"was run with epochs 6\.0, not 7\.0"):  # ends before it comes to the search
        secateur.Run(copied).all(search={"budget": 11}, supernet={"epochs": 7})
    secateur.Run(copied).all()
    assert record(copied)["stages"]["search"]["settings"]["budget"] == 11


def test_precisions_are_never_mixed(copied):  # noqa: F811
    run = secateur.Run(copied)
    with pytest.raises(InputError, match="computed in float32, these would be in bfloat16; leave the precision out"):
        run.search(precision="bfloat16")
    with pytest.raises(InputError, match="computed in float32, these would be in bfloat16"):
        run.prune("rank_magnitude", density=0.8, precision="bfloat16")
    assert "prune" not in record(copied)["stages"]


def test_another_supernet_is_refused(copied):  # noqa: F811
    weights = copied / "supernet/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"model.safetensors is damaged: it is not the file that was written"):
        secateur.Run(copied).search(budget=20)
    seal(copied / "supernet")
    for stage in (lambda run: run.search(budget=20), lambda run: run.prune("rank_magnitude", density=0.8)):
        with pytest.raises(InputError, match=r"holds evaluations of another supernet than .*; move the archive away"):
            stage(secateur.Run(copied))
    (copied / "archive.db").rename(copied / "archive-1.db")
    secateur.Run(copied).search(budget=2)


@pytest.mark.parametrize("stage", ["finetune", "supernet"])
def test_all_goes_on_with_what_it_was_told_after_a_kill(inputs, launcher, tmp_path, stage):  # noqa: F811
    out = tmp_path / "run"
    slow = ["--finetune-save-seconds", "0", "--supernet-save-seconds", "0"]
    search = ["--search-budget", "3", "--search-objectives", "error,macs"]
    state = out / {"finetune": "finetuned.state", "supernet": "supernet.state"}[stage]
    command = ["run", *inputs.project(out), *FINETUNE, *SUPERNET, *search, *slow, "--skip", "ladder"]
    assert launcher.run(command, lambda: any(state.glob("step-*"))) == -signal.SIGKILL, launcher.log.read_text()
    secateur.Run(out).all()
    stages = record(out)["stages"]
    assert [stages[name]["settings"]["epochs"] for name in ("finetune", "supernet")] == [8.0, 6.0]
    assert stages["search"]["settings"]["objectives"] == "error,macs"
    assert len(secateur.Run(out).front()) >= 1
    assert not list(out.rglob("*.seconds"))


def test_all_refuses_names_before_it_remembers_them(copied):  # noqa: F811
    before = record(copied)
    with pytest.raises(InputError, match="unknown searcher 'luck'"):
        secateur.Run(copied).all(search={"searcher": "luck"})
    with pytest.raises(InputError, match=r"was run with epochs 8\.0, not 2\.0"):
        secateur.Run(copied).all(finetune={"epochs": 2})
    assert record(copied) == before


def test_a_project_is_remembered(copied, inputs):  # noqa: F811
    run = secateur.Run.create(copied, model=str(inputs.model), task="local")  # its data are not said again
    assert run.folder.project.data is not None
    with pytest.raises(InputError, match="is a run with seed 0, not 3"):
        secateur.Run.create(copied, model=str(inputs.model), task="local", seed=3)


def test_given_is_kept_through_groups():
    verb = made(SearchVerb, {"budget": 3, "latency": {"threads": 1}, "workers": 2, "objectives": ["error", "macs"]})
    assert given(verb) == {"budget": 3, "latency": {"threads": 1}, "objectives": "error,macs"}
    assert given(part(verb, SearchSettings)) == given(verb)
    assert part(verb, FarmSettings).model_fields_set == {"workers"}
    old = {"a": 1, "group": {"b": 2, "c": 3}}
    assert merged(old, {"group": {"c": 4}, "d": 5}) == {"a": 1, "group": {"b": 2, "c": 4}, "d": 5}
