"""Whose names and order the classes of a run have, and what its first line says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from secateur.evaluation.model_error import model_error
from secateur.run.run import Run
from secateur.supernet.stored.storage import load_model
from secateur.tests.tiny import same_weights
from transformers import AutoModelForSequenceClassification

from .conftest import sentences, write_csv


def turned(finetuned: Path, folder: Path, names: list[str], tiny_tokenizer) -> Path:
    """The fine-tuned model of a run with its two outputs the other way round, under these names."""
    model = AutoModelForSequenceClassification.from_pretrained(finetuned)
    with torch.no_grad():
        for parameter in (model.classifier.weight, model.classifier.bias):
            parameter.copy_(parameter.flip(0))
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: i for i, name in enumerate(names)}
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def selection_error(run: Path) -> float:
    task = Run(run).task()
    return model_error(load_model(run / "finetuned"), task.selection, task.metric, pad_token_id=task.pad_token_id)


def test_the_models_order_wins(finished, inputs, call, tiny_tokenizer, tmp_path):
    model = turned(finished / "finetuned", tmp_path / "model", ["pos", "neg"], tiny_tokenizer)
    result = call("finetune", *inputs.project(tmp_path / "run", model=model))
    assert result.code == 0, result.err
    assert "is taken for a fine-tuned model; local: classification of 2 classes (pos, neg), judged by acc" in result.err
    assert "warning" not in result.err
    task = Run(tmp_path / "run").task()
    assert task.label_names == ("pos", "neg")
    assert same_weights(load_model(tmp_path / "run" / "finetuned"), load_model(model))
    assert selection_error(tmp_path / "run") == selection_error(finished) < 0.3
    assert call("prune", tmp_path / "run", "--method", "kcm", "--density", "0.8").code == 0
    assert call("finetune", *inputs.project(tmp_path / "run", model=model)).code == 0  # once more: complete


def test_rows_of_glue_follow_the_model_too(finished, call, tiny_tokenizer, tmp_path):
    model = turned(finished / "finetuned", tmp_path / "model", ["POSITIVE", "NEGATIVE"], tiny_tokenizer)
    for split, count in (("train", 200), ("validation", 40)):
        texts, labels = zip(*sentences(count, seed=count), strict=True)
        rows = {"sentence": texts, "label": [int(label == "pos") for label in labels]}
        pq.write_table(pa.table(rows), tmp_path / f"{split}.parquet")
    run = tmp_path / "run"
    result = call("finetune", "--model", model, "--task", "sst2", "--data", tmp_path, "--out", run)
    assert result.code == 0, result.err
    assert "sst2: classification of 2 classes (positive, negative), judged by accuracy; " in result.err
    assert selection_error(run) < 0.3


def test_a_model_whose_unnamed_classes_are_turned_is_called_so(finished, inputs, call, tiny_tokenizer, tmp_path):
    model = turned(finished / "finetuned", tmp_path / "model", ["LABEL_0", "LABEL_1"], tiny_tokenizer)
    result = call("finetune", *inputs.project(tmp_path / "run", model=model))
    assert result.code == 0
    (line,) = [line for line in result.err.splitlines() if "warning" in line]
    assert "right with its classes in another order" in line
    assert 'Write "id2label": {"0": "pos", "1": "neg"} there and begin another run' in line
    config = json.loads((model / "config.json").read_text())
    config |= {"id2label": {"0": "pos", "1": "neg"}, "label2id": {"pos": 0, "neg": 1}}
    (model / "config.json").write_text(json.dumps(config))  # as it says
    result = call("finetune", *inputs.project(tmp_path / "other", model=model))
    assert result.code == 0
    assert "warning" not in result.err
    assert selection_error(tmp_path / "other") < 0.3


@pytest.mark.parametrize("positive", [None, "ok"])
def test_the_first_line_and_all_numbers_say_whose_f1_it_is(inputs, call, tmp_path, positive):
    rows = [(text, "fraud" if i % 10 == 0 else "ok") for i, (text, _) in enumerate(sentences(300))]
    data = write_csv(tmp_path / "d.csv", ["text", "label"], rows)
    run = tmp_path / "run"
    options = ["--metric", "f1", *([] if positive is None else ["--positive", positive])]
    result = call("finetune", *inputs.project(run, data=data), *options, "--epochs", "1")
    assert result.code == 0, result.err
    first = " ".join(result.err.split())
    title = f"f1 of {positive or 'fraud'}"
    assert f"local: classification of 2 classes (fraud, ok), judged by {title}; " in first
    assert re.search(r"\(report split: a fifth of the file d\.csv, drawn by the seed\)", first)
    assert call("prune", run, "--method", "kcm", "--density", "0.8").code == 0
    shown = call("compare", run)
    assert shown.code == 0, shown.err
    assert f"error = 1 - {title}" in " ".join(shown.out.split())
    other = ["--metric", "f1", "--positive", "fraud" if positive else "ok"]
    again = call("finetune", *inputs.project(run, data=data), *other)
    assert again.code == 2
    assert "is a run with positive" in again.err


def test_the_first_line_of_tags(inputs, call, tmp_path):
    (tmp_path / "t.conll").write_text("".join(f"w{i} O\ngood U-X\n\nvery B-X\ngood L-X\nw{i} O\n\n" for i in range(20)))
    result = call(
        "finetune", *inputs.project(tmp_path / "run", task="tagging", data=tmp_path / "t.conll"), "--epochs", "1"
    )
    assert result.code == 0, result.err
    first = " ".join(result.err.split())
    assert "tagging: token-classification of 4 classes (B-X, L-X, O, U-X), judged by entity_f1; " in first
    assert "(report split: a fifth of the file t.conll, drawn by the seed)" in first
