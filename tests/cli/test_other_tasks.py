"""Tasks that are no classes of texts, from the command line to a model that is loaded."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow
import pyarrow.parquet
import pytest
from secateur.supernet.stored.storage import load_model, load_tokenizer
from sentence_transformers import SentenceTransformer
from sklearn.metrics import ndcg_score
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    pipeline,
)

from .conftest import FINETUNE, SEARCH, SUPERNET, record, sentences

TRAINED = ["--cofi-least-steps", "150", "--cofi-mask-learning-rate", "0.5"]


def questions(count: int, seed: int) -> pyarrow.Table:
    """What is asked for stands behind `film`; contexts are longer than a window of 16 tokens."""
    draw, rows = random.Random(seed), []
    for i in range(count):
        before, after = (["very"] * draw.randint(0, 5) + ["truly"] * draw.randint(0, 5) for _ in range(2))
        answer = draw.choice(["good", "bad"])
        context = " ".join(["film", answer] if i % 2 else [*before, "film", answer, *after])
        start = context.index(answer)
        rows.append(
            {
                "id": str(i),
                "title": "",
                "context": f"{context} {'! ' * (i % 7)}",
                "question": "not",
                "answers": {"text": [answer], "answer_start": [start]},
            }
        )
    return pyarrow.Table.from_pylist(rows)


def squad(folder: Path) -> Path:
    folder.mkdir()
    for split, count in (("train", 200), ("validation", 40)):
        pyarrow.parquet.write_table(questions(count, seed=count), folder / f"{split}.parquet")
    return folder


def conll(folder: Path) -> Path:
    folder.mkdir()
    tags = {"good": "B-GOOD", "bad": "B-BAD"}
    for split, count in (("train", 200), ("validation", 40)):
        draw = random.Random(count)
        lines = []
        for _ in range(count):
            words = draw.choices(["good", "bad", "a", "film", "very", "truly"], k=draw.randint(2, 8))
            lines += [f"{word}\t{tags.get(word, 'O')}" for word in words] + [""]
        (folder / f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")
    return folder


def labelled(folder: Path) -> Path:
    """A label for each of three words that a text has, one of them rare."""
    folder.mkdir()
    for split, count in (("train", 200), ("validation", 60)):
        draw, lines = random.Random(count), []
        for _ in range(count):
            words = draw.choices(["good", "bad", "film", "a", "very"], [2, 2, 1, 6, 6], k=draw.randint(1, 6))
            labels = [word for word in ("good", "bad", "film") if word in words]
            lines.append(json.dumps({"text": " ".join(words), "labels": labels}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def ranked(folder: Path) -> Path:
    """The query's word is in the text that answers it, and in no other."""
    folder.mkdir()
    for split, count in (("train", 80), ("validation", 30)):
        draw, lines = random.Random(count), []
        for query in range(count):
            asked, other = draw.sample(["good", "bad"], 2)
            for text, label in ((asked, 1), (other, 0), ("very", 0)):
                noise = draw.choices(["a", "film", "very"], k=draw.randint(0, 4))
                row = {"query": f"{asked} {split}{query}", "text": " ".join([text, *noise]), "label": label}
                lines.append(json.dumps(row))
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("task", "write", "metric", "other", "auto"),
    [
        ("squad", squad, "squad_f1", "exact_match", AutoModelForQuestionAnswering),
        ("tagging", conll, "entity_f1", "token_accuracy", AutoModelForTokenClassification),
        ("multilabel", labelled, "micro_f1", "macro_f1", AutoModelForSequenceClassification),
        ("ranking", ranked, "ndcg@10", "map", AutoModelForSequenceClassification),
    ],
)
def test_every_stage_serves_the_task(inputs, call, tmp_path, task, write, metric, other, auto):
    out = tmp_path / "run"
    own = {"task": task, "data": write(tmp_path / "data"), "model": inputs.model}
    windows = ["--window-length", "16", "--window-stride", "4"] if task == "squad" else []
    result = call("run", *inputs.project(out, **own), *windows, *FINETUNE, *SUPERNET, *SEARCH, "--ladder-steps", 2)
    assert result.code == 0, result.err
    assert record(out)["facts"]["metric"] == metric

    result = call("prune", out, "--method", "kcm,mask_tuning,rank_cam,cofi", "--density", "0.8", *TRAINED)
    assert result.code == 0, result.err
    points = json.loads(call("compare", out, "--json").out)
    assert {p["method"].split()[0] for p in points} >= {"nas", "kcm", "mask_tuning", "rank_cam", "cofi"}
    assert {p["layer"] for p in points if p["method"].startswith("cofi")} == {"native"}
    assert all(other in p["scores"] and 0 <= p["scores"][other] <= 1 for p in points)

    front = json.loads(call("front", out, "--json").out)
    assert min(p["error_report"] for p in front) < 0.5  # learnt: half of the answers, or of the names, are in reach
    assert all(other in p["scores"] for p in front)
    result = call("extract", out, "--key", front[0]["key"], "--to", tmp_path / "model", "--form", "secateur")
    assert result.code == 0, result.err
    assert f"{auto.__name__}.from_pretrained" in result.out
    assert type(auto.from_pretrained(tmp_path / "model")).__name__.startswith("ExtractedBertFor")

    options = ["--key", front[0]["key"], "--to", tmp_path / "fewer", "--no-refit", "--vocabulary", "corpus", "--json"]
    found = json.loads(call("export", out, *options).out)
    assert found["vocabulary"]["tokens"] < found["vocabulary"]["tokens_before"]
    assert found["vocabulary"]["outside"] == 0
    scores = {step["model"]: step["score"] for step in found["steps"]}
    assert scores["fewer tokens"] == pytest.approx(scores["cut out"])
    if task == "multilabel":
        check_thresholds(tmp_path, scores["cut out"])
    if task == "ranking":
        check_cross_encoder(tmp_path, scores["cut out"])


def check_cross_encoder(folder: Path, score: float) -> None:
    """sentence-transformers loads a model that was shipped, and ranks as well with it as was told."""
    reason = "the dev extra brings sentence-transformers"
    encoders = pytest.importorskip("sentence_transformers", reason=reason)
    model = encoders.CrossEncoder(str(folder / "fewer"), trust_remote_code=True)
    rows = [json.loads(line) for line in (folder / "data" / "validation.jsonl").read_text().splitlines()]
    found = model.predict([(row["query"], row["text"]) for row in rows]).reshape(-1, 3)
    truth = np.array([row["label"] for row in rows]).reshape(-1, 3)
    assert ndcg_score(truth, found, k=10) == pytest.approx(score, abs=1e-6)


def check_thresholds(folder: Path, score: float) -> None:
    """A model is served with thresholds of its own, and is as good as was told to whoever serves it with them."""
    for name in ("model", "fewer"):
        card = (folder / name / "README.md").read_text()
        thresholds = json.loads((folder / name / "config.json").read_text())["thresholds"]
        assert list(thresholds) == ["bad", "film", "good"]
        assert all(0 < one < 1 for one in thresholds.values())
        assert "| film | " in card
        assert "thresholds[one" in card
    classify = pipeline("text-classification", str(folder / "fewer"), top_k=None, trust_remote_code=True)
    rows = [json.loads(line) for line in (folder / "data" / "validation.jsonl").read_text().splitlines()]
    found = classify([row["text"] for row in rows])
    told = [{one["label"] for one in row if one["score"] >= thresholds[one["label"]]} for row in found]
    gold = [set(row["labels"]) for row in rows]
    right = sum(len(a & b) for a, b in zip(told, gold, strict=True))
    assert 2 * right / sum(len(a) + len(b) for a, b in zip(told, gold, strict=True)) == pytest.approx(score, abs=1e-3)


def test_vectors_from_texts_without_labels(inputs, call, tmp_path):
    texts = dict.fromkeys(text for text, _ in sentences(160))
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    out, own = tmp_path / "run", {"task": "embedding", "data": tmp_path / "texts.txt"}
    options = [*SUPERNET, *SEARCH, "--ladder-steps", 20, "--ladder-shares", "1/2"]
    result = call("run", *inputs.project(out, **own), *options)
    assert result.code == 0, result.err
    assert record(out)["facts"]["metric"] == "agreement"
    assert record(out)["facts"]["taken_for"] == "fine-tuned"  # the model is taken as it is

    methods = "kcm,rank_fisher,ziplm,cofi"
    result = call("prune", out, "--method", methods, "--density", "0.8", *TRAINED)
    assert result.code == 0, result.err
    result = call("search", out, "--searcher", "moasha", "--budget", "2", "--standard-epochs", "1")
    assert result.code == 0, result.err
    chosen = json.loads(call("pick", out, "--encoder-parameters", "1000000", "--json").out)["chosen"]
    assert 0 <= chosen["error_report"] < 1
    points = json.loads(call("compare", out, "--json").out)
    assert all(set(p["scores"]) == {"retrieval_recall", "retrieval_ndcg"} for p in points)
    front = json.loads(call("front", out, "--json").out)
    whole = max(front, key=lambda p: p["encoder_parameters"])
    assert whole["error_report"] < 0.05  # the supernet's, near to the model's own vectors

    key = min(front, key=lambda p: p["encoder_parameters"])["key"]
    result = call("export", out, "--key", key, "--to", tmp_path / "model", "--int8", "--onnx")
    assert result.code == 0, result.err
    assert f'SentenceTransformer("{tmp_path / "model"}")' in result.out
    loaded = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    found, model = loaded.encode(["a good film"]), load_model(tmp_path / "model")
    batch = dict(load_tokenizer(tmp_path / "model")(["a good film"], return_tensors="pt"))
    assert found == pytest.approx(model(**batch)["sentence_embedding"].detach().numpy(), abs=1e-5)
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx")
    given = {"token_type_ids": np.zeros(batch["input_ids"].shape, np.int64)}
    given |= {name: one.numpy() for name, one in batch.items()}
    (served,) = session.run(["sentence_embedding"], {one.name: given[one.name] for one in session.get_inputs()})
    assert served == pytest.approx(found, abs=1e-4)


def test_windows_belong_to_questions(inputs, fails, tmp_path):
    message = fails("finetune", *inputs.project(tmp_path / "run"), "--window-length", "16")
    assert "local" in message
    assert "window" in message
    own = {"task": "squad", "data": squad(tmp_path / "data")}
    message = fails("finetune", *inputs.project(tmp_path / "other", **own), "--window-length", "900")
    assert message == "windows of 900 tokens are longer than the model's 24 positions; shorten them"
