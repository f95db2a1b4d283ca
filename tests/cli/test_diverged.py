"""A training that diverges ends in one line, its stage is not complete, and the next try with another rate is free."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import transformers
from secateur.evaluation.archive import Archive
from secateur.supernet.stored.storage import load_model

from .conftest import record, sentences, write_csv


def diverges(fails, stage: str, *arguments: object) -> None:
    message = fails(*arguments)
    assert message.startswith(f"{stage}: the training diverged at step ".removeprefix(": ")), message
    assert "; give the same command with a lower learning rate than 1e+30" in message


def test_fine_tuning_and_the_supernet(call, fails, inputs, tmp_path):
    """Of `run` and of the commands of the stages, in any order."""
    out = tmp_path / "run"
    short = ["--finetune-epochs", "2", "--supernet-steps", "6", "--search-budget", "3", "--skip", "ladder"]
    run = ["run", *inputs.project(out), *short]
    diverges(fails, "finetune", *run, "--finetune-learning-rate", "1e30")
    assert "finetune" not in record(out)["stages"]
    assert not {"finetuned", "finetuned.state"} & {path.name for path in out.iterdir()}
    finetune = ["finetune", *inputs.project(out), "--epochs", "2"]
    diverges(fails, "finetune", *finetune, "--learning-rate", "1e30", "--save-seconds", "0")
    assert call(*finetune, "--learning-rate", "1e-3").code == 0
    assert record(out)["stages"]["finetune"]["settings"]["learning_rate"] == 1e-3
    diverges(fails, "supernet", "supernet", out, "--steps", "6", "--learning-rate", "1e30", "--save-seconds", "0")
    assert list(record(out)["stages"]) == ["finetune"]
    diverges(fails, "supernet", *run, "--finetune-learning-rate", "1e-3", "--supernet-learning-rate", "1e30")
    assert not {"supernet", "supernet.state", "supernet.seconds"} & {path.name for path in out.iterdir()}
    assert call(*run, "--finetune-learning-rate", "1e-3").code == 0  # the rate that diverged is not remembered
    assert record(out)["stages"]["supernet"]["settings"]["learning_rate"] == 2e-4


def test_standard_nas(call, fails, copied):
    search = ["search", copied, "--searcher", "moasha", "--budget", "2", "--standard-epochs", "1"]
    diverges(fails, "standard", *search, "--standard-learning-rate", "1e30")
    assert "standard" not in record(copied)["stages"]
    assert not (copied / "standard.state").exists()
    assert call(*search, "--standard-learning-rate", "1e-3").code == 0


def test_a_ladder(call, fails, copied):
    ladder = ["ladder", copied, "--shares", "1/2", "--steps", "4"]
    diverges(fails, "ladder", *ladder, "--learning-rate", "1e30", "--save-seconds", "0")
    assert "ladder" not in record(copied)["stages"]
    assert not (copied / "ladder.state").exists()
    assert call(*ladder, "--learning-rate", "1e-3").code == 0


@pytest.mark.parametrize(
    ("method", "rate", "more"),
    [
        ("cofi", "cofi", ["--cofi-least-steps", "60"]),
        ("block_lasso", "block-lasso", ["--block-lasso-width", "8", "--block-lasso-least-steps", "0"]),
        ("layer_drop_tuned", "layer-drop-tuned", ["--layer-drop-tuned-least-steps", "0"]),
    ],
)
def test_pruners_that_train(call, fails, copied, method, rate, more):
    prune = ["prune", copied, "--method", method, "--density", "0.7", *more]
    rates = [f"--{rate}-learning-rate", "1e30"]
    diverges(fails, "prune", *prune, *rates)
    assert not (copied / "prune.state").exists()
    assert not record(copied)["stages"]["prune"]["complete"]
    with Archive(copied / "archive.db") as archive:
        assert not [row for row in archive.evaluations() if row.method.startswith(method)]
    rates[1] = "1e-3"
    if method != "cofi":  # whose sparsity needs more steps than a test has
        assert call(*prune, *rates).code == 0


def test_a_recovery(call, fails, copied, tmp_path):
    assert call("extract", copied, "--error", "1", "--to", tmp_path / "cut").code == 0
    recover = ["recover", copied, tmp_path / "cut", "--to", tmp_path / "out", "--steps", "4"]
    diverges(fails, "", *recover, "--learning-rate", "1e30", "--save-seconds", "0")
    assert {path.name for path in tmp_path.iterdir()} == {"copied", "cut"}
    assert call(*recover, "--learning-rate", "1e-3").code == 0


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e400"])
@pytest.mark.parametrize("option", ["finetune-learning-rate", "supernet-learning-rate", "supernet-epochs", "minutes"])
def test_numbers_that_are_not_finite_are_refused(fails, inputs, tmp_path, option, value):
    message = fails("run", *inputs.project(tmp_path / "run"), f"--{option}", value)
    assert message.startswith(f"--{option}: Input should be ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("finetune-epochs", "1e12"),
        ("supernet-epochs", "1e12"),
        ("supernet-steps", "99999999999999999999"),
        ("supernet-k", "1001"),
        ("finetune-batch-size", "1" + "0" * 400),
        ("search-budget", "99999999999999999999"),
        ("seed", "99999999999999999999"),
        ("seed", "4294967296"),
        ("minutes", "1e308"),
    ],
)
def test_numbers_beyond_any_use_are_refused(fails, inputs, tmp_path, option, value):
    message = fails("run", *inputs.project(tmp_path / "run"), f"--{option}", value)
    assert message.startswith(f"--{option}: Input should be less than or equal to ")
    assert not (tmp_path / "run").exists()


def meanings(folder: Path) -> dict[str, str | None]:
    """Return what checkpoints below a folder say of their outputs."""
    return {
        str(path.parent.relative_to(folder)): json.loads(path.read_text()).get("problem_type")
        for path in folder.rglob("config.json")
    }


def test_every_checkpoint_says_what_its_outputs_mean(call, copied, tmp_path):
    assert call("ladder", copied, "--shares", "1/2", "--steps", "2").code == 0
    assert call("prune", copied, "--method", "kprune,mask_tuning", "--density", "0.7").code == 0
    assert call("extract", copied, "--error", "1", "--to", tmp_path / "cut").code == 0
    recover = ["recover", copied, tmp_path / "cut", "--to", tmp_path / "recovered", "--steps", "2"]
    assert call(*recover).code == 0
    found = meanings(tmp_path)
    assert {"copied/finetuned", "copied/supernet", "cut", "recovered"} <= found.keys()
    assert {Path(name).parts[1] for name in found if "/" in name} >= {"ladder", "pruned", "subnets"}
    assert set(found.values()) == {"single_label_classification"}


@pytest.mark.parametrize("taken", ["pre-trained", "fine-tuned"])
def test_a_number_is_served_as_it_is(call, inputs, tiny_tokenizer, tmp_path, taken):
    """Whatever the model's configuration said."""
    data = write_csv(
        tmp_path / "data.csv", ["text", "label"], [(text, 3 + i / 7) for i, (text, _) in enumerate(sentences(80))]
    )
    model = transformers.AutoModelForSequenceClassification.from_pretrained(inputs.model, num_labels=1)
    model.config.problem_type = "multi_label_classification"
    model.config.id2label, model.config.label2id = {0: "score"}, {"score": 0}
    (model if taken == "fine-tuned" else model.bert).save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    out = tmp_path / "run"
    result = call("finetune", *inputs.project(out, model=tmp_path / "model", data=data), "--finetune-epochs", "1")
    assert result.code == 0
    assert f"taken for a {taken} model" in result.err
    assert meanings(out) == {"finetuned": "regression"}
    served = transformers.pipeline("text-classification", str(out / "finetuned"), device="cpu")("a good film")
    tuned = load_model(out / "finetuned")
    expected = tuned(**tiny_tokenizer("a good film", return_tensors="pt")).logits.item()
    assert served[0]["score"] == pytest.approx(expected, abs=1e-4)
