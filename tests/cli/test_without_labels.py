"""`--labels none`: a model made smaller from texts alone, held to its own answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.evaluation.archive import Archive
from secateur.evaluation.flips import share_interval
from secateur.evaluation.model_error import model_error, model_outputs
from secateur.run.folder import RunFolder
from secateur.run.project import open_task
from secateur.run.run import Run
from secateur.supernet.stored.storage import load_model
from secateur.tasks import KINDS
from secateur.tasks.unlabelled import splits_of

from .conftest import SEARCH, SUPERNET, record, sentences

SMALL = [*SUPERNET, *SEARCH, "--ladder-steps", "2", "--ladder-shares", "1/2"]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory) -> Path:
    """Texts, one on each line."""
    path = tmp_path_factory.mktemp("traffic") / "texts.txt"
    path.write_text("\n".join(text for text, _ in sentences(300, seed=5)))
    return path


@pytest.fixture(scope="module")
def alone(finished, inputs, traffic, tmp_path_factory) -> Path:
    """A complete run on these; tests must leave it as it is."""
    from secateur.cli import run_command

    out = tmp_path_factory.mktemp("alone") / "run"
    model = finished / "finetuned"
    assert run_command(["run", *inputs.project(out, model=model, data=traffic, labels="none"), *SMALL]) == 0
    return out


def test_every_stage_goes_by_the_models_own_answers(alone, call, tmp_path):
    facts = record(alone)
    assert facts["facts"]["taken_for"] == "fine-tuned"
    assert facts["facts"]["metric"] == "agreement with the whole model"
    front = json.loads(call("front", alone, "--json").out)
    assert front[0]["error_report"] == 0 or len(front) > 1
    assert all(0 <= p["error_selection"] <= 1 and p["scores"] == {} for p in front)
    result = call("prune", alone, "--method", "kcm,mask_tuning,rank_fisher", "--density", "0.8")
    assert result.code == 0, result.err
    points = json.loads(call("compare", alone, "--json").out)
    assert {p["labels"] for p in points} == {0}
    whole = next(p for p in points if p["method"] == "whole")
    assert whole["error_report"] == 0
    options = ["--key", front[-1]["key"], "--to", tmp_path / "model", "--recover", "2", "--json"]
    result = call("export", alone, *options)
    assert result.code == 0, result.err
    assert "agreement with the whole model" in (tmp_path / "model" / "README.md").read_text()


def test_answers_are_those_of_the_model_and_are_kept(alone, finished):
    folder = RunFolder.open(alone)
    task, model = open_task(folder), load_model(finished / "finetuned").eval()
    for split in splits_of(task).values():
        assert np.isin(split.labels, [0, 1]).all()
        assert (model_outputs(model, split, pad_token_id=0).argmax(1) == split.labels).all()
    (path,) = (alone / "tokens").glob("answers-*.npz")
    before = path.read_bytes()
    path.write_bytes(before[:-10])  # asked again
    again = open_task(folder)
    assert again.train.labels.tolist() == task.train.labels.tolist()
    path.write_bytes(before)


@pytest.mark.parametrize("labels", ["without", "with"])
def test_the_fastest_model_that_agrees(alone, finished, call, fails, tmp_path, labels):
    run = shutil.copytree(alone if labels == "without" else finished, tmp_path / "run")
    chosen = json.loads(call("pick", run, "--flip-rate", "0.9", "--json").out)["chosen"]
    assert chosen["flip_low"] <= chosen["flip_rate"] <= chosen["flip_high"] <= 0.9
    if labels == "without":
        assert chosen["flip_rate"] == pytest.approx(chosen["error_selection"], abs=1e-6)
    smaller = json.loads(call("pick", run, "--flip-rate", "0.9", "--encoder-parameters", "100000", "--json").out)
    with Archive(run / "archive.db") as archive:
        rows = archive.evaluations(split="selection")
    task = open_task(RunFolder.open(run))
    n, rate = len(task.selection), smaller["chosen"]["flip_rate"]
    assert smaller["chosen"]["flip_high"] == pytest.approx(share_interval(round(rate * n), n).high, rel=1e-5)
    if labels == "without":  # the smallest of all that keep it
        allowed = [e for e in rows if share_interval(round(e.values["error"] * n), n).high <= 0.9]
        least = min(e.values["encoder_parameters"] for e in allowed)
        assert smaller["chosen"]["encoder_parameters"] == least
    to = tmp_path / "model"
    result = call("extract", run, "--flip-rate", "0.9", "--to", to)
    assert f"{chosen['key']} is in {to}" in result.out
    message = fails("pick", run, "--flip-rate", "1e-6")
    assert message.startswith("no evaluated model keeps flip_rate <= 1e-06; the nearest is ")
    assert "with flip_rate 0." in message
    message = fails("pick", run, "--flip-rate", "0.5", "--as-measured")
    assert message == "the archive has no flip rates: models are run to find them out, so leave out --as-measured"
    assert "--flip-rate" in fails("pick", run, "--flip-rate", "1.5")


def test_what_needs_labels_is_refused(inputs, traffic, finished, fails, tmp_path):
    own = {"data": traffic, "labels": "none"}
    message = fails("finetune", *inputs.project(tmp_path / "a", **own))
    assert "is only pre-trained: it has no head that a task has trained; give a fine-tuned model, or labels" in message
    own["model"] = finished / "finetuned"
    for name, value in {"metric": "f1", "positive": "pos", "kind": "regression"}.items():
        message = fails("finetune", *inputs.project(tmp_path / "a", **own), f"--{name}", value)
        assert message.startswith(f"--{name} says how answers are held against labels, but --labels is none: ")
    assert "'none'" in fails("finetune", *inputs.project(tmp_path / "a", **{**own, "labels": "some"}))
    message = fails("finetune", *inputs.project(tmp_path / "a", **{**own, "task": "tagging"}))
    assert "the task tagging needs a model with a head for token-classification" in message
    for task, wanted in (("multilabel", "whose problem_type is"), ("ranking", "with a single output, a score")):
        message = fails("finetune", *inputs.project(tmp_path / "a", **{**own, "task": task}))
        assert f"the task {task} needs a model {wanted}" in message
        assert "but this one is fine-tuned for classification; take the task local, or another model" in message
    same = tmp_path / "same.txt"
    same.write_text("\n".join("good " + " ".join(order) for order in permutations(["film", "very", "truly", "a", "!"])))
    message = fails("finetune", *inputs.project(tmp_path / "a", **{**own, "data": same}))
    assert "answers the same to all" in message
    assert not (tmp_path / "a").exists()


def test_a_task_of_ones_own_hides_its_labels(finished, tmp_path):
    task, model = open_task(RunFolder.open(finished)), finished / "finetuned"
    wrong = replace(task, selection=replace(task.selection, labels=1 - np.asarray(task.selection.labels)))
    run = Run.create(tmp_path / "own", model=str(model), task=wrong, labels="none")
    run.finetune()
    error = model_error(load_model(model).eval(), run.task().selection, run.task().metric, pad_token_id=0)
    assert error == 0
    tags = replace(task, kind=KINDS["token-classification"])
    with pytest.raises(InputError, match=r"is a token-classification, but .* is fine-tuned for classification"):
        Run.create(tmp_path / "other", model=str(model), task=tags, labels="none")


MODELS = {
    "regression": ("local", "sequence-classification", {"num_labels": 1}),
    "ranking": ("ranking", "sequence-classification", {"num_labels": 1}),
    "multilabel": (
        "multilabel",
        "sequence-classification",
        {"num_labels": 3, "problem_type": "multi_label_classification"},
    ),
    "token-classification": ("tagging", "token-classification", {}),
    "question-answering": ("squad", "question-answering", {}),
}


def asked(task: str, texts: list[str]) -> list[dict[str, str]]:
    """What a file of texts has for a task."""
    if task == "squad":
        return [{"question": "not a film", "context": text} for text in texts]
    if task == "ranking":
        return [{"query": f"film {i // 4}", "text": text} for i, text in enumerate(texts)]
    return [{"text": text} for text in texts]


@pytest.mark.parametrize("head", MODELS)
def test_models_of_every_kind(head, tiny_tokenizer, call, tmp_path):
    """Random ones, which have never seen a label: what they say is what is kept."""
    from secateur.tests.tiny import tiny_model

    task, kind, sizes = MODELS[head]
    tiny_model("bert", kind, **sizes).save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    texts = [text for text, _ in sentences(150, seed=6)]
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text("\n".join(json.dumps(row) for row in asked(task, texts[:110])))
    rest = [{**row, "query": f"another {row['query']}"} if "query" in row else row for row in asked(task, texts[110:])]
    (data / "validation.jsonl").write_text("\n".join(map(json.dumps, rest)))
    out = tmp_path / "run"
    options = ["--model", tmp_path / "model", "--task", task, "--data", data, "--labels", "none", "--out", out]
    result = call("finetune", *options)
    assert result.code == 0, result.err
    result = call("prune", out, "--method", "rank_fisher,mask_tuning", "--density", "0.9", "--precision", "float32")
    assert result.code == 0, result.err
    result = call("ladder", out, "--shares", "1/2", "--steps", "2")
    assert result.code == 0, result.err
    with Archive(out / "archive.db") as archive:
        whole = next(e for e in archive.evaluations(split="selection") if e.mask.is_full)
        others = [e.values["error"] for e in archive.evaluations(split="selection") if not e.mask.is_full]
    assert whole.values["error"] == pytest.approx(0, abs=1e-4)
    assert max(others) > 0
    if head == "token-classification":  # whose interval knows of sentences
        chosen = json.loads(call("pick", out, "--flip-rate", "0.99", "--json").out)["chosen"]
        assert chosen["flip_rate"] == pytest.approx(chosen["error_selection"], abs=1e-5)
        assert chosen["flip_low"] <= chosen["flip_rate"] <= chosen["flip_high"] <= 0.99


def test_answers_are_held_to_in_other_tokens_too(alone, call, tmp_path):
    key = json.loads(call("front", alone, "--json").out)[0]["key"]
    options = ["--key", key, "--to", tmp_path / "fewer", "--no-refit", "--vocabulary", "corpus", "--json"]
    found = json.loads(call("export", alone, *options).out)
    scores = {step["model"]: step["score"] for step in found["steps"]}
    assert scores["fewer tokens"] == pytest.approx(scores["cut out"])
    assert found["metric"] == "agreement with the whole model"
