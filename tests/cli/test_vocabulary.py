"""`secateur vocabulary` on any checkpoint, and `export --vocabulary` on a tiny run."""

import json
import shutil

import numpy as np
import pytest
import torch
from secateur.cli import run_command
from secateur.errors import InputError
from secateur.run.run import Run
from secateur.run.vocabulary import Vocabularies
from secateur.supernet.shipping.session import OnnxModel
from secateur.supernet.stored.record import read_record
from secateur.supernet.stored.storage import load_model, load_tokenizer
from secateur.tasks.batches import Batch
from secateur.tests.cli.conftest import write_csv
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

TEXTS = ["a truly good film", "bad bad film !", "good"]
USED = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "good", "bad", "film", "truly", "!"}


@pytest.fixture
def texts(tmp_path):
    return write_csv(tmp_path / "texts.csv", ["text"], [[text] for text in TEXTS])


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """A run's model with the tokens of its training texts, in all forms."""
    with Run(finished).archive() as archive:
        front = archive.front(("error", "encoder_parameters"), weights="supernet")
    to = tmp_path_factory.mktemp("exported") / "small"
    options = ["--key", front[-1].key, "--to", to, "--vocabulary", "corpus", "--onnx", "--int8", "--json"]
    assert run_command([str(part) for part in ("export", finished, *options)]) == 0
    return to


def logits(folder, texts=TEXTS):
    """Return the outputs of a checkpoint, as transformers loads it."""
    encoded = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return AutoModelForSequenceClassification.from_pretrained(folder)(**encoded).logits.numpy()


def test_a_checkpoint_keeps_the_tokens_of_texts(call, finished, texts, tmp_path):
    source, to = finished / "finetuned", tmp_path / "small"
    result = call("vocabulary", source, "--data", texts, "--to", to)
    assert result.code == 0, result.err
    assert "0.0% of the tokens of these texts are spelled with others" in result.out
    assert load_tokenizer(to).get_vocab().keys() == USED
    assert Tokenizer.from_file(str(to / "tokenizer.json")).get_vocab().keys() == USED
    np.testing.assert_allclose(logits(to), logits(source), rtol=0, atol=1e-6)
    assert load_model(to).config.vocab_size == len(USED)
    assert not list(tmp_path.glob(".*"))


def test_json_counts_tokens_and_parameters(call, finished, texts, tmp_path):
    source, to = finished / "finetuned", tmp_path / "small"
    found = json.loads(call("vocabulary", source, "--data", texts, "--keep", 8, "--to", to, "--json").out)
    sizes = [sum(p.numel() for p in load_model(folder).parameters()) for folder in (to, source)]
    assert found["folder"] == str(to)
    assert (found["tokens"], found["tokens_before"]) == (8, 13)
    assert [found["parameters"], found["parameters_before"]] == sizes
    # Of nine tokens "film", "good" and "bad" are there twice; one of them has no place beside special ones, a and !.
    assert found["outside"] == pytest.approx(1 / 3, abs=1e-6)


def test_texts_come_from_files_and_folders(call, finished, texts, tmp_path):
    lines = tmp_path / "more" / "lines.txt"
    lines.parent.mkdir()
    lines.write_text("not\n\n very \n")
    (lines.parent / "notes.md").write_text("goodly")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": "a", "other": "goodly"}) + "\n")
    options = ["--data", texts, "--data", lines.parent, "--data", rows, "--text-pair-column", "other"]
    assert "has no column 'other'" in call("vocabulary", finished / "finetuned", *options, "--to", tmp_path / "no").err
    options = ["--data", rows, "--text-pair-column", "other", "--data", lines.parent]
    result = call("vocabulary", finished / "finetuned", *options, "--to", tmp_path / "small")
    assert result.code == 0, result.err
    expected = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "!", "good", "##ly", "not", "very"}
    assert load_tokenizer(tmp_path / "small").get_vocab().keys() == expected


def test_bad_input_is_one_line(fails, finished, texts, tmp_path):
    words = ["vocabulary", finished / "finetuned", "--to", tmp_path / "small", "--data"]
    assert "has no column 'body'; its columns: text" in fails(*words, texts, "--text-column", "body")
    assert "--keep needs 'corpus' or a number of tokens, such as 8000; got 'all'" in fails(
        *words, texts, "--keep", "all"
    )
    assert "--keep needs" in fails(*words, texts, "--keep", -1)
    assert "expected at least 6 tokens, which the tokenizer cannot do without" in fails(*words, texts, "--keep", 5)
    assert "does not exist" in fails(*words, tmp_path / "nowhere.csv")
    (tmp_path / "empty").mkdir()
    assert "holds no file of texts" in fails(*words, tmp_path / "empty")
    (tmp_path / "blank.txt").write_text("\n  \n")
    assert "holds no rows" in fails(*words, tmp_path / "blank.txt")
    blank = write_csv(tmp_path / "blank.csv", ["text", "id"], [["", 1], [" ", 2]])
    assert "the texts have no tokens" in fails(*words, blank)
    assert "there is no folder" in fails("vocabulary", tmp_path / "gone", *words[2:], texts)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    assert "choose another folder" in fails("vocabulary", finished / "finetuned", "--to", mine, "--data", texts)
    assert not (tmp_path / "small").exists()


def test_an_exported_model_is_measured_as_it_is_shipped(exported):
    card, record = (exported / "README.md").read_text(), json.loads((exported / "secateur.json").read_text())
    assert "It keeps 11 of its tokenizer's 13 tokens" in card
    assert "Of the report split's tokens 0.0% are such others." in card
    for row in (
        "| fewer tokens | PyTorch |",
        "| fewer tokens | ONNX Runtime |",
        "| fewer tokens | ONNX Runtime, int8 |",
    ):
        assert row in card
    model = load_model(exported)
    assert model.config.vocab_size == 11
    assert record["card"]["parameters"] == sum(p.numel() for p in model.parameters())
    assert record["card"]["selection"] is None
    encoded = load_tokenizer(exported)(TEXTS, padding=True, return_tensors="pt")
    batch = Batch(encoded["input_ids"], None, encoded["attention_mask"].bool(), torch.zeros(3), np.arange(3))
    with torch.inference_mode():
        expected = model(**encoded).logits.numpy()
    np.testing.assert_allclose(OnnxModel(exported / "model.onnx").outputs(batch), expected, atol=1e-4)


def test_the_score_is_that_of_what_is_left(call, finished, tmp_path):
    """Of a vocabulary that lacks what the task is about."""
    with Run(finished).archive() as archive:
        key = archive.front(("error", "encoder_parameters"), weights="supernet")[0].key
    options = ["--key", key, "--no-refit", "--json", "--vocabulary", 6]
    found = json.loads(call("export", finished, *options, "--to", tmp_path / "small").out)
    steps = {step["model"]: step for step in found["steps"]}
    assert found["vocabulary"]["tokens"] == 6
    assert found["vocabulary"]["outside"] > 0.5
    assert steps["fewer tokens"]["score"] < steps["cut out"]["score"]
    assert steps["fewer tokens"]["megabytes"] * 1e6 == 4 * found["parameters"]
    card = (tmp_path / "small" / "README.md").read_text()
    assert f"| report | {steps['fewer tokens']['score']:.4f} |" in card


def test_what_was_exported_goes_on(call, fails, exported, finished, texts, tmp_path):
    """It is converted, measured and cut again; it is not distilled from a model that reads other tokens."""
    assert call("convert", exported, "--to", tmp_path / "onnx", "--int8").code == 0
    sizes = ["--sequence-length", 8, "--seconds", 0.05, "--no-memory", "--batch-size", 1]
    assert call("bench", finished / "finetuned", exported, *sizes).code == 0
    message = fails("recover", finished, exported, "--steps", 1, "--to", tmp_path / "taught")
    assert "has other tokens than the model that teaches it; recover the model first" in message
    again = tmp_path / "again"
    result = call("vocabulary", exported, "--data", texts, "--to", again)
    assert result.code == 0, result.err
    np.testing.assert_allclose(logits(again), logits(exported), rtol=0, atol=1e-6)
    card = (again / "README.md").read_text()
    assert "It keeps 10 of its tokenizer's 11 tokens" in card
    assert "Not measured." in card
    assert "With all of them its accuracy was" in card
    assert "As it is served" not in card
    assert read_record(again).form == read_record(exported).form


def test_an_export_is_refused_before_anything_is_computed(fails, finished, tmp_path):
    to = ["--key", "0" * 16, "--to", tmp_path / "small"]
    assert "--vocabulary needs 'corpus' or a number of tokens" in fails("export", finished, *to, "--vocabulary", "some")
    assert not (tmp_path / "small").exists()


def test_a_task_without_texts_is_named(finished, tmp_path):
    task = Run(finished).task()
    run = Run.create(tmp_path / "own", model=str(finished / "finetuned"), task=task)
    shutil.copytree(finished / "finetuned", tmp_path / "own" / "finetuned")
    with pytest.raises(InputError, match="has tokens, but no texts to spell with others"):
        Vocabularies(run.folder, task).chosen(None)
