"""A run reads no pickle and opens no connection, whatever lies in its folder; damaged and foreign files are named."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from secateur.digests import DIGESTS, seal
from secateur.evaluation.archive import Archive
from secateur.search_space import UnitScores

from .conftest import FINETUNE, SUPERNET, message_of, record
from .traps import spoil, trap_of

SHORT = ["--cofi-least-steps", "250", "--cofi-mask-learning-rate", "0.5", "--deepcuts-epochs", "0.2"]
SHORT += ["--block-lasso-width", "8", "--block-lasso-least-steps", "0", "--block-lasso-epochs", "0.2"]
SHORT += ["--block-lasso-retraining-epochs", "0.2"]
SOME_SEARCHERS = ("nsga2", "moead", "predictor_forest", "gp", "moasha")  # of each library one
SOME_PRUNERS = ("rank_r2d2", "kcm", "ziplm", "deepcuts_snip", "cofi", "block_lasso")


def every_stage(inputs, run: Path, to: Path, searchers: Sequence[str], pruners: Sequence[str]) -> list[list[str]]:
    """Return commands of every stage and every other command, on a run that they begin."""
    whole = ["run", *inputs.project(run), *FINETUNE, *SUPERNET, "--search-budget", "8", "--search-precision", "float32"]
    commands = [[*whole, "--ladder-shares", "1/2", "--ladder-steps", "3"]]
    for searcher in searchers:
        own = ["--standard-epochs", "1"] if searcher == "moasha" else []
        commands.append(["search", str(run), "--searcher", searcher, "--budget", "9", *own])
    commands.append(["search", str(run), "--weights", "solved", "--budget", "3", "--searcher", "random"])
    commands += [["prune", str(run), "--method", ",".join(pruners), "--density", "0.8", *SHORT]]
    commands += [["compare", str(run), "--density", "0.8", "--recover", "2"], ["report", str(run)], ["front", str(run)]]
    commands += [["pick", str(run), "--error", "0.9"], ["latency", str(run), "--batch-size", "2", "--seconds", "1"]]
    commands += [["extract", str(run), "--error", "0.9", "--to", str(to / "cut")]]
    served = ["--onnx", "--int8", "--to", str(to / "served")]
    commands += [["export", str(run), "--error", "0.9", "--recover", "2", *served]]
    commands += [["recover", str(run), str(to / "cut"), "--steps", "2", "--to", str(to / "recovered")]]
    commands += [["convert", str(to / "cut"), "--to", str(to / "converted")]]
    commands += [["bench", str(to / "cut"), "--sequence-length", "16"]]
    return commands


def key_of(run: Path) -> str:
    """Return the key of the smallest subnetwork of a search's front."""
    with Archive(run / "archive.db") as archive:
        return min(archive.front(weights="supernet"), key=lambda one: one.values["parameters"]).key


def watched(commands: list[list[str]], where: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run commands in a process that writes down what must not happen."""
    where.touch()
    return subprocess.run(
        [sys.executable, "-m", "secateur.tests.cli.watched", str(where)],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )


def test_no_stage_reads_a_pickle_or_opens_a_connection(inputs, tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    commands = every_stage(inputs, tmp_path / "run", tmp_path, SOME_SEARCHERS, SOME_PRUNERS)
    done = watched(commands, tmp_path / "log")
    assert (tmp_path / "log").read_text() == ""
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_watch_sees_both(tmp_path):
    (tmp_path / "log").touch()
    code = "import pickle, socket, sys, io; from pathlib import Path; from secateur.tests.cli.watched import watch\n"
    code += "watch(Path(sys.argv[1]))\n"
    for attempt in (
        "pickle.loads(b'N.')",
        "pickle.Unpickler(io.BytesIO(b'N.'))",
        "__import__('_pickle').loads(b'N.')",
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.socket().connect(('127.0.0.1', 9))",
    ):
        code += f"try:\n    {attempt}\nexcept OSError:\n    pass\n"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    seen = ("a pickle", "a pickle", "a pickle", "an address", "a connection")
    assert [line.startswith(what) for line, what in zip(lines, seen, strict=True)] == [True] * 5


def test_a_trap_springs_when_it_is_read(tmp_path):
    pickle.loads(trap_of(tmp_path / "sprung"))
    assert (tmp_path / "sprung").exists()


@pytest.fixture(scope="module")
def begun(inputs, launcher, tmp_path_factory) -> Path:
    """A run with trainings that were killed."""
    run = tmp_path_factory.mktemp("begun") / "run"
    command = ["finetune", *inputs.project(run), *FINETUNE, "--finetune-save-seconds", "0"]
    assert launcher.run(command, lambda: any((run / "finetuned.state").glob("step-*"))) == -signal.SIGKILL
    return run


@pytest.mark.parametrize("what", ["finetuned", "supernet", "importance", "latency", "tokens", "subnets"])
def test_a_pickle_in_a_run_is_not_read(call, inputs, copied, tmp_path, what):
    sprung = tmp_path / "sprung"
    spoil(copied / what, sprung)
    key = key_of(copied)
    extracted = ["extract", copied, "--key", key, "--to", tmp_path / "cut"]
    for command in (["front", copied], extracted, inputs.run(copied), ["search", copied, "--budget", "9"]):
        assert call(*command).code in (0, 2)
    if what == "importance":  # which is read when the supernet is trained
        shutil.rmtree(copied / "supernet")
        assert "is damaged" in message_of(call(*inputs.run(copied)))
    assert not sprung.exists()


def test_a_pickle_in_an_unfinished_training_is_not_read(call, inputs, begun, tmp_path):
    run = shutil.copytree(begun, tmp_path / "run")
    spoil(run / "finetuned.state", tmp_path / "sprung")
    command = ["finetune", *inputs.project(run), *FINETUNE]
    assert "cannot be read" in message_of(call(*command))
    for path in (run / "finetuned.state").glob("step-*"):  # as if the trap's maker had sealed it
        seal(path)
    assert "cannot be read" in message_of(call(*command))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", DIGESTS])
@pytest.mark.parametrize("what", ["finetuned", "supernet"])
def test_a_flipped_bit_is_named_and_the_rest_is_usable(call, fails, copied, tmp_path, what, name):
    key, path = key_of(copied), copied / what / name
    path.write_bytes(flipped(path.read_bytes()))
    reads = {
        "finetuned": ["prune", copied, "--method", "rank_magnitude", "--density", "0.9"],
        "supernet": ["extract", copied, "--key", key, "--to", tmp_path / "cut"],
    }
    if (what, name) == ("supernet", "tokenizer.json"):  # that of the fine-tuned model is taken
        reads["supernet"] = ["finetune", "--model", path.parent, "--out", tmp_path / "next", "--task", "demo"]
    assert f"{path} is damaged" in fails(*reads[what])
    rest = [["front", copied], ["report", copied], ["pick", copied, "--error", "0.9", "--as-measured"]]
    if what == "supernet":  # which nothing of these is made of
        rest.append(["prune", copied, "--method", "rank_magnitude", "--density", "0.9"])
    for command in rest:
        result = call(*command)
        assert result.code == 0
        assert (f"warning: {path} is damaged" in result.err) is (command[0] == "prune" and "model" in name)


def flipped(content: bytes) -> bytes:
    """Flip one bit in the middle, of a letter or digit where it is text."""
    changed, place = bytearray(content), len(content) // 2
    while changed[place : place + 1] and not chr(changed[place]).isalnum() and content[:1] in (b"{", b"["):
        place += 1
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("how", ["gone", "empty"])
@pytest.mark.parametrize("verb", ["front", "report", "compare"])
def test_an_archive_that_is_gone_is_named(fails, copied, verb, how):
    path = copied / "archive.db"
    path.unlink()
    if how == "empty":
        path.touch()
    assert fails(verb, copied).startswith(f"{path} is {how}, and with it what was found before; put it back, or ")


def test_models_outlive_the_archive_that_knows_them(call, copied, tmp_path):
    def prune(method: str) -> str:
        result = call("prune", copied, "--method", method, "--density", "0.8")
        assert result.code == 0, result.err
        return result.err

    gone = f"warning: {copied / 'archive.db'} is gone"
    assert gone not in prune("kcm")
    (model,) = (copied / "pruned").glob("kcm-*")
    (copied / "archive.db").rename(tmp_path / "archive.db")
    assert gone in prune("rank_magnitude")
    assert gone not in prune("rank_fisher")
    assert (model / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["gradient.npz", "layers.json"])
@pytest.mark.parametrize("how", ["cut", "flipped", "another"])
def test_a_damaged_importance_file_is_named(fails, inputs, copied, name, how):
    shutil.rmtree(copied / "supernet")
    path = copied / "importance" / name
    content = path.read_bytes()
    if how == "another":
        (path.write_text("[0, 1, 2, 3]") if name == "layers.json" else save_other_scores(path))
    else:
        first = content.index(b"[") if name == "layers.json" else 0  # of the values
        changed = content[:first] + flipped(content[first : first + 12]) + content[first + 12 :]
        changed = changed if name == "layers.json" else flipped(content)
        path.write_bytes(content[: len(content) // 2] if how == "cut" else changed)
    message = fails(*inputs.run(copied))
    assert message.startswith(f"{path} ")
    assert message.endswith("delete it, and the same command measures it again")


def save_other_scores(path: Path) -> None:
    UnitScores(np.ones((4, 2)), np.ones((4, 8))).save(path)


def test_a_flipped_bit_of_run_json_is_named(fails, copied):
    path = copied / "run.json"
    content = path.read_text()
    path.write_text(content.replace('"seed": 0', '"seed": 1'))
    assert path.read_text() != content
    assert f"{path} is damaged (its digest differs); put back a copy of it" in fails("front", copied)


def test_a_run_without_digests_is_read(call, fails, inputs, copied, tmp_path):
    """As the version before wrote it."""
    for path in copied.rglob(DIGESTS):
        path.unlink()
    (copied / "run.json").write_text(json.dumps(record(copied)))
    (table,) = (copied / "latency").iterdir()
    table.write_text(json.dumps({k: v for k, v in json.loads(table.read_text()).items() if k != "digest"}))
    order = copied / "importance" / "layers.json"
    order.write_text(json.dumps(json.loads(order.read_text())["values"]))
    assert call("front", copied).code == 0
    assert call("extract", copied, "--key", key_of(copied), "--to", tmp_path / "cut").code == 0
    assert call(*inputs.run(copied)).code == 0


@pytest.mark.parametrize("verb", ["extract", "export"])
def test_a_model_is_not_cut_from_another(fails, copied, tmp_path, verb):
    """The supernet is gone, or even the memory of it, or the fine-tuned model lies in its place."""
    command = [verb, copied, "--key", key_of(copied), "--to", tmp_path / "model"]
    supernet = (copied / "supernet").rename(tmp_path / "supernet")
    gone = (
        f"{copied / 'supernet'} is gone; put it back, or run `secateur supernet {copied}` again, which makes the same"
    )
    assert gone in fails(*command)
    content = record(copied)
    stage = content["stages"].pop("supernet")
    (copied / "run.json").write_text(json.dumps(content))
    assert f"{copied} has no complete supernet stage; run `secateur supernet` on it first" in fails(*command)
    shutil.copytree(copied / "finetuned", copied / "supernet")
    content["stages"]["supernet"] = stage
    (copied / "run.json").write_text(json.dumps(content))
    another = f"{copied / 'supernet'} is not the one that the numbers in {copied / 'archive.db'} are of; put that back"
    assert another in fails(*command)
    assert not (tmp_path / "model").exists()
    assert supernet.is_dir()


@pytest.mark.parametrize("verb", ["export", "recover"])
def test_a_killed_request_leaves_nothing_to_another_one(call, launcher, finished, tmp_path, verb):
    """Of two models, to the same folder: the second has its own weights, as if the first had never been asked for."""
    with Archive(finished / "archive.db") as archive:
        first, *_, second = archive.front(weights="supernet")
    to, state = tmp_path / "to", tmp_path / f".to.{verb}"
    if verb == "recover":
        for name, one in (("first", first), ("second", second)):
            assert call("extract", finished, "--key", one.key, "--to", tmp_path / name).code == 0

    def command(which: str, to: Path) -> list[str]:
        if verb == "recover":
            return [verb, str(finished), str(tmp_path / which), "--steps", "9", "--save-seconds", "0", "--to", str(to)]
        key = {"first": first, "second": second}[which].key
        return [verb, str(finished), "--key", key, "--recover", "9", "--no-refit", "--to", str(to)]

    assert launcher.run(command("second", tmp_path / "alone")) == 0
    moment = (state / "recovered.json").is_file if verb == "export" else lambda: any(state.glob("training/step-*"))
    assert launcher.run(command("first", to), moment) == -signal.SIGKILL
    assert state.is_dir()
    assert launcher.run(command("second", to)) == 0
    weights = [(folder / "model.safetensors").read_bytes() for folder in (to, tmp_path / "alone")]
    assert weights[0] == weights[1]
    assert not state.exists()


def test_workers_listen_on_this_machine_alone(tmp_path):
    pytest.importorskip("distributed", reason="the extra `distributed` is not installed")
    from secateur.evaluation.dask_cluster import local_cluster

    with local_cluster(1, 1) as client:
        assert client.submit(sum, [3, 4]).result() == 7
        mine = psutil.Process()
        found = [
            c for one in (mine, *mine.children(recursive=True)) for c in one.net_connections() if c.status == "LISTEN"
        ]
        assert found
        assert {connection.laddr.ip for connection in found} == {"127.0.0.1"}


def test_methods_that_are_not_here_are_reported(call, copied):
    """Such as those of a plug-in."""
    with Archive(copied / "archive.db") as archive:
        for split in ("selection", "report"):
            key = archive.evaluations(split="report", weights="supernet")[-1].key
            one = archive.lookup(key, split, weights="supernet")
            recipe = {"density": 0.5, "cost": "encoder_parameters", "from": "finetuned"}
            pruned = replace(
                one, method="felling", weights="finetuned", recipe=recipe, values={**one.values, "scaled": 0.0}
            )
            archive.add([pruned, replace(one, method="dowsing")])
    for command in (
        ["report", copied],
        ["compare", copied, "--no-refit"],
        ["front", copied],
        ["front", copied, "--json"],
    ):
        result = call(*command)
        assert result.code == 0, result.err
    assert "felling" in call("compare", copied, "--no-refit").out
