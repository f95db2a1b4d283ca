"""`search --vocabulary`: each point also chooses which tokens its model reads."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import secateur
import torch
from secateur.cli import run_command
from secateur.errors import InputError
from secateur.evaluation.archive import Archive
from secateur.run.run import Run
from secateur.run.vocabulary import Vocabularies
from secateur.search_space import TokenSet
from secateur.supernet.stored.storage import load_tokenizer
from secateur.tests.cli.conftest import archive_rows
from transformers import AutoModelForSequenceClassification, AutoTokenizer

# Of thirteen tokens the training texts have eleven; six are special or single characters. The model has 40 rows.
AXIS = ["--objectives", "error,parameters", "--vocabulary", "corpus,8", "--precision", "float32"]
WIDTH, WHOLE = 16, 40


@pytest.fixture(scope="module")
def searched(finished, tmp_path_factory):
    """A run with a search over vocabularies; tests must leave it as it is."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("searched") / "run")
    for more in (["--budget", 20], ["--budget", 5, "--weights", "solved"]):
        assert run_command([str(part) for part in ("search", run, *AXIS, *more)]) == 0
    return run


def evaluations(run, split="selection", weights="supernet"):
    with Archive(run / "archive.db") as archive:
        return archive.evaluations(split=split, weights=weights)


def tokens_of(evaluation):
    return None if evaluation.mask.tokens is None else evaluation.mask.tokens.count


def cut_models(run, weights="supernet"):
    """Return models with fewer tokens that were scored on both splits, as selection and report rows."""
    selection = {one.model: one for one in evaluations(run, weights=weights)}
    reported = evaluations(run, "report", weights)
    return [(selection[one.model], one) for one in reported if tokens_of(one) is not None]


def test_the_same_encoder_with_other_tokens_is_another_model(searched):
    rows = evaluations(searched)
    assert {tokens_of(one) for one in rows} == {None, 8, 11}
    encoders: dict[str, dict] = {}
    for one in rows:
        encoders.setdefault(one.mask.with_tokens(None).key, {})[tokens_of(one)] = one
    several = [list(same.values()) for same in encoders.values() if len(same) > 1]
    assert several
    for first, *others in several:
        for other in others:
            assert first.key != other.key
            assert [first.values[name] for name in ("encoder_parameters", "macs")] == [
                other.values[name] for name in ("encoder_parameters", "macs")
            ]
            rows_more = (tokens_of(first) or WHOLE) - (tokens_of(other) or WHOLE)
            assert first.values["parameters"] - other.values["parameters"] == WIDTH * rows_more
            assert (first.values["memory_mb"] > other.values["memory_mb"]) == (rows_more > 0)


def test_rows_from_before_are_as_they_were(searched, finished):
    before, now = archive_rows(finished), archive_rows(searched)
    assert now[: len(before)] == before
    assert all(tokens_of(one) is None for one in evaluations(finished))


def test_the_front_and_the_answer_know_tokens(call, searched):
    shown = call("front", searched, "--against", "parameters", "--weights", "supernet")
    listed = json.loads(call("front", searched, "--against", "parameters", "--weights", "supernet", "--json").out)
    assert "tokens" in shown.out
    counts = {one.key: tokens_of(one) for one in evaluations(searched)}
    assert {one["key"]: one["tokens"] for one in listed} == {one["key"]: counts[one["key"]] for one in listed}
    assert any(one["tokens"] for one in listed)
    frame = Run(searched).archive().to_dataframe()
    assert set(frame.tokens.dropna()) == {8, 11}
    answer = json.loads(call("pick", searched, "--parameters", listed[0]["parameters"], "--json").out)["chosen"]
    assert answer["tokens"] == counts[answer["key"]]


@pytest.mark.parametrize("weights", ["supernet", "solved"])
def test_what_is_exported_is_what_the_archive_has(call, searched, tmp_path, weights):
    """Its score is found here from its folder alone: with transformers, the tokenizer that was written, and texts."""
    selection, report = min(cut_models(searched, weights), key=lambda pair: pair[1].values["error"])
    with (Run(searched).folder.project.data / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    options = ["--key", selection.key, "--weights", weights, "--no-refit", "--json"]
    exported = json.loads(call("export", searched, *options, "--onnx", "--int8", "--to", tmp_path / "exported").out)
    assert call("extract", searched, *options[:-2], "--to", tmp_path / "extracted").code == 0
    for folder in (tmp_path / "exported", tmp_path / "extracted"):
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert len(tokenizer.get_vocab()) == model.config.vocab_size == tokens_of(selection)
        assert sum(p.numel() for p in model.parameters()) == selection.values["parameters"]
        assert (folder / "model.safetensors").stat().st_size == selection.values["disk_mb"] * 1e6
        with torch.inference_mode():
            logits = model(**tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")).logits
        said = [model.config.id2label[int(one)] for one in logits.argmax(1)]
        error = np.mean([one != row["label"] for one, row in zip(said, rows, strict=True)])
        assert error == pytest.approx(report.values["error"], abs=1e-9)
        card = (folder / "README.md").read_text()
        assert f"It keeps {tokens_of(selection)} of its tokenizer's 13 tokens" in card
        assert f"| selection | {1 - selection.values['error']:.4f} |" in card
        assert model.config.secateur_key == selection.key
    assert exported["parameters"] == selection.values["parameters"]
    assert exported["vocabulary"]["tokens"] == tokens_of(selection)
    assert {step["model"] for step in exported["steps"]} == {"whole model", "cut out"}
    scores = {step["runtime"]: step["score"] for step in exported["steps"] if step["model"] == "cut out"}
    assert scores["torch"] == pytest.approx(1 - report.values["error"], abs=1e-5)


def test_a_refit_and_a_recovery_are_of_the_texts_that_it_reads(call, searched, tmp_path):
    selection, _ = cut_models(searched)[0]
    options = ["--key", selection.key, "--recover", 2, "--json"]
    result = call("export", searched, *options, "--to", tmp_path / "exported")
    assert result.code == 0, result.err
    assert json.loads(result.out)["parameters"] == selection.values["parameters"]
    assert len(load_tokenizer(tmp_path / "exported").get_vocab()) == tokens_of(selection)


def test_a_text_without_tokens_that_are_gone_is_read_as_before(searched):
    task = Run(searched).task()
    vocabularies = Vocabularies(Run(searched).folder, task)
    (tokens,) = {one.mask.tokens for one in evaluations(searched) if tokens_of(one) == 8}
    spelled = vocabularies.uncut_task(tokens).selection
    kept = set(vocabularies.of(tokens).kept.ids.tolist())
    assert all(set(row.tolist()) <= kept for row in spelled.input_ids)
    assert spelled.labels.tolist() == task.selection.labels.tolist()
    same = [
        (old == new).all()
        for old, new in zip(task.selection.input_ids, spelled.input_ids, strict=True)
        if set(old.tolist()) <= kept
    ]
    assert same
    assert all(same)


def test_a_search_goes_on_where_it_was(searched, finished, tmp_path, call):
    run = shutil.copytree(finished, tmp_path / "run")
    for budget in (7, 20):
        assert call("search", run, *AXIS, "--budget", budget).code == 0
    found = archive_rows(run, "selection")
    expected = [row for row in archive_rows(searched, "selection") if "solved" not in row]
    assert found == expected


def test_racing_reaches_the_same_numbers(searched, finished, tmp_path, call):
    run = shutil.copytree(finished, tmp_path / "run")
    assert call("search", run, *AXIS, "--budget", 20, "--racing").code == 0
    known = {one.key: one.values["error"] for one in evaluations(searched)}
    raced = {one.key: one.values["error"] for one in evaluations(run)}
    common = raced.keys() & known.keys()
    assert any(tokens_of(one) for one in evaluations(run) if one.key in common)
    assert {key: raced[key] for key in common} == {key: known[key] for key in common}
    assert evaluations(run, "selection (raced)")


def test_a_warm_start_has_all_vocabularies(finished, tmp_path, call):
    run = shutil.copytree(finished, tmp_path / "run")
    assert call("search", run, *AXIS, "--budget", 3, "--warm-start", 3).code == 0
    asked = [one for one in evaluations(run)[len(evaluations(finished)) :] if one.asked]
    assert {tokens_of(one) for one in asked} >= {8, 11}


def test_bad_input_is_one_line(fails, finished):
    words = ["search", finished, "--objectives", "error,parameters", "--budget", 1, "--vocabulary"]
    assert "vocabulary needs 'corpus' or a number of tokens, such as 8000; got 'lots'" in fails(*words, "corpus,lots")
    assert "got ''" in fails(*words, "8,")
    assert "expected at least 6 tokens" in fails(*words, "corpus,5")
    assert "the tokenizer has 13 tokens, so 14 cannot be kept" in fails(*words, "14")
    assert "is fewer than the tokenizer's 13 tokens" in fails(*words, "13")
    assert "workers read texts in all tokens" in fails(*words, "8", "--workers", 2)
    assert "trains its candidates with all tokens" in fails(*words, "8", "--searcher", "moasha")


def test_a_whole_run_refuses_it_before_anything_is_trained(fails, inputs, tmp_path):
    assert "expected at least 6 tokens" in fails(*inputs.run(tmp_path / "run"), "--search-vocabulary", "5")
    assert not (tmp_path / "run" / "finetuned").exists()


def test_a_nested_checkpoint_has_the_front_of_those_that_read_all_tokens(call, searched, tmp_path):
    nest = call("nest", searched, "--to", tmp_path / "family", "--against", "parameters", "--json")
    said = " ".join(nest.err.split())
    assert re.search(r"nest: \d+ of the \d+ models of the front read fewer tokens", said)
    held = json.loads(nest.out)["models"]
    wanted = [one for weights in ("supernet", "solved") for one in evaluations(searched, weights=weights)]
    wanted = [one for one in wanted if tokens_of(one) is None]
    assert {one["key"] for one in held} <= {one.key for one in wanted}
    for one in held:
        assert not any(
            other.values["error"] < one["error"] - 1e-4 and other.values["parameters"] <= one["parameters"]
            for other in wanted
        )
    assert held[0]["error"] == pytest.approx(min(one.values["error"] for one in wanted), abs=1e-4)
    model = secateur.load(tmp_path / "family", key=held[0]["key"])
    assert model.config.vocab_size == WHOLE


def test_other_commands_refuse_or_leave_out_what_reads_fewer_tokens(call, fails, searched, tmp_path):
    selection, _ = cut_models(searched)[0]
    export = ["export", searched, "--key", selection.key, "--to", tmp_path / "exported", "--vocabulary", 9]
    assert "was searched with a vocabulary of its own, of" in fails(*export)
    assert call("extract", searched, "--key", selection.key, "--to", tmp_path / "cut").code == 0
    recover = ["recover", searched, tmp_path / "cut", "--to", tmp_path / "taught", "--steps", 1]
    assert "has other tokens than the model that teaches it" in fails(*recover)
    copied = shutil.copytree(searched, tmp_path / "run")
    compared = json.loads(call("compare", copied, "--json", "--no-refit").out)
    keys = {one.key for one in evaluations(searched) if tokens_of(one) is not None}
    text = json.dumps(compared)
    assert not [key for key in keys if key in text]
    page = Run(copied).report().read_text()
    assert f", {tokens_of(selection)} tokens" in page


def test_tokens_that_cannot_be_found_again(searched):
    vocabularies = Vocabularies(Run(searched).folder)
    with pytest.raises(InputError, match=r"the 8 tokens that a model of .* reads cannot be found again"):
        vocabularies.of(TokenSet(8, "0" * 16))


def test_labels_of_tokens_would_move(searched):
    task = Run(searched).task()
    tagged = replace(task, train=replace(task.train, per_token=True))
    with pytest.raises(InputError, match="`vocabulary` is no axis of a search for classification, whose answers"):
        Vocabularies(Run(searched).folder, tagged).offered([None])
