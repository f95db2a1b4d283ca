"""From the front to production: `export`, `recover`, `convert` and `bench` on a tiny run."""

import json
import re
import shutil
import signal

import numpy as np
import pytest
import torch
from secateur.cli import run_command
from secateur.evaluation.archive import Archive
from secateur.supernet.shipping.openvino import OpenVinoModel
from secateur.supernet.shipping.session import OnnxModel
from secateur.supernet.stored.storage import load_model, load_tokenizer
from secateur.tasks.batches import Batch

TEXTS = ["a truly good film", "bad bad film !", "good"]


def front_key(run, most=0.8):
    """Return the key of the front's model of the lowest error that keeps at most such a share of the encoder."""
    with Archive(run / "archive.db") as archive:
        front = archive.front(("error", "encoder_parameters"), weights="supernet")
    whole = max(one.values["encoder_parameters"] for one in front)
    return next(one for one in front if one.values["encoder_parameters"] <= most * whole).key


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """What `export` made of one key, in all forms."""
    to = tmp_path_factory.mktemp("exported") / "small"
    options = ["--key", front_key(finished), "--to", to, "--recover", 6, "--onnx", "--int8", "--json"]
    assert run_command([str(part) for part in ("export", finished, *options)]) == 0
    return to


def read_texts(folder):
    """Return a few texts as a batch, and the outputs of a checkpoint on them."""
    encoded = load_tokenizer(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        found = load_model(folder)(**encoded).logits.numpy()
    mask = encoded["attention_mask"].bool()
    return Batch(encoded["input_ids"], None, mask, torch.zeros(3), np.arange(3)), found


def answers(folder):
    """Return the outputs of a checkpoint and of its two ONNX files on a few texts."""
    batch, found = read_texts(folder)
    return [found] + [OnnxModel(folder / name).outputs(batch) for name in ("model.onnx", "model-int8.onnx")]


def test_all_forms_of_an_exported_model_agree(exported):
    plain, onnx, int8 = answers(exported)
    np.testing.assert_allclose(onnx, plain, atol=1e-4)
    assert 0 < np.abs(int8 - plain).max() < 0.2 * np.abs(plain).max()


def test_the_card_and_the_record_know_all_that_was_shipped(exported):
    card, record = (exported / "README.md").read_text(), json.loads((exported / "secateur.json").read_text())
    assert {"model.safetensors", "model.onnx", "model-int8.onnx"} <= set(record["sha256"])
    for row in ("| whole model | ONNX Runtime, int8 |", "| cut out | PyTorch |", "| recovered | ONNX Runtime |"):
        assert row in card
    assert "after 6 steps" in card
    assert re.search(r"In int8 it answers \d+\.\d% of the selection split otherwise, its error rises by 0\.\d{4}", card)
    assert not list(exported.parent.glob(".*"))  # nothing left of its state


def test_json_has_each_step_with_its_score(call, finished, tmp_path):
    to = tmp_path / "small"
    result = call("export", finished, "--key", front_key(finished), "--to", to, "--no-refit", "--json")
    steps = json.loads(result.out)["steps"]
    assert [(step["model"], step["runtime"]) for step in steps] == [("whole model", "torch"), ("cut out", "torch")]
    with Archive(finished / "archive.db") as archive:
        report = archive.lookup(front_key(finished), "report", weights="supernet")
    assert steps[1]["score"] == pytest.approx(1 - report.values["error"])
    assert steps[0]["latency"]["median"] > 0
    assert steps[1]["megabytes"] < steps[0]["megabytes"]


def test_a_refit_is_kept_where_the_selection_split_says_so(call, finished, tmp_path):
    to = tmp_path / "small"
    result = call("export", finished, "--key", front_key(finished), "--to", to, "--json")
    steps, card = json.loads(result.out)["steps"], (to / "README.md").read_text()
    found = re.search(r"(\S+) as it was cut out, (\S+) with its outgoing maps solved for anew on 512 texts", card)
    before, after = map(float, found.groups())
    refitted = [step["model"] for step in steps if step["model"] != "whole model"][-1] == "refitted"
    assert refitted == (after >= before)
    assert ("it is left as it was" in card) != refitted
    with Archive(finished / "archive.db") as archive:
        selection = archive.lookup(front_key(finished), "selection", weights="supernet")
    assert before == pytest.approx(1 - selection.values["error"], abs=1e-4)


def test_budgets_choose_as_pick_does(call, finished, tmp_path):
    sizes = json.loads(call("front", finished, "--json").out)
    limit = sorted(point["encoder_parameters"] for point in sizes)[len(sizes) // 2]
    picked = json.loads(call("pick", finished, "--encoder-parameters", limit, "--json").out)
    result = call("export", finished, "--encoder-parameters", limit, "--to", tmp_path / "small", "--json")
    assert json.loads(result.out)["key"] == picked["chosen"]["key"]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_an_export_killed_after_its_recovery_does_not_recover_again(finished, exported, launcher, tmp_path):
    to = tmp_path / "small"
    command = ["export", finished, "--key", front_key(finished), "--to", to, "--recover", 6, "--json"]
    state = tmp_path / ".small.export"
    code = launcher.run([str(part) for part in command], (state / "recovered.json").is_file)
    assert code == -signal.SIGKILL, launcher.log.read_text()
    begun = (state / "recovered" / "model.safetensors").stat().st_mtime_ns
    assert not to.exists()
    assert launcher.run([str(part) for part in command], lambda: _newer(state, begun)) == 0, launcher.log.read_text()
    assert weights(to) == weights(exported)
    assert not state.exists()


def _newer(state, begun):
    """Tell whether the recovered model was written again, which ends the run that did it."""
    try:
        return (state / "recovered" / "model.safetensors").stat().st_mtime_ns > begun
    except OSError:
        return False


def test_a_recovery_killed_at_any_step_is_the_same(finished, exported, launcher, tmp_path):
    command = ["recover", finished, exported, "--steps", 20, "--save-seconds", 0, "--to"]
    assert launcher.run([*map(str, command), str(tmp_path / "whole")]) == 0, launcher.log.read_text()
    command = [*map(str, command), str(tmp_path / "killed")]
    for least in (3, 9):
        saved = (tmp_path / ".killed.recover" / "training").glob
        reached = lambda least=least, saved=saved: any(_step(path) >= least for path in saved("step-*"))  # noqa: E731
        assert launcher.run(command, reached) == -signal.SIGKILL, launcher.log.read_text()
    assert launcher.run(command) == 0, launcher.log.read_text()
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def _step(path):
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def test_what_is_not_ours_is_not_overwritten(fails, finished, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    message = fails("export", finished, "--key", front_key(finished), "--to", tmp_path / "mine")
    assert "choose another folder" in message
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_bad_input_is_refused_before_anything_is_computed(fails, finished, tmp_path):
    to = ["--to", tmp_path / "small"]
    assert "give a budget" in fails("export", finished, *to)
    both = ["--key", front_key(finished), "--recover", 3, "--recover-minutes", 1]
    assert "give one" in fails("export", finished, *both, *to)
    assert "--gate: " in fails("export", finished, "--key", front_key(finished), "--gate", 0, *to)
    assert "unknown runtime 'tensorrt'" in fails("export", finished, "--latency-ms", 5, "--runtime", "tensorrt", *to)
    assert not (tmp_path / "small").exists()


def test_recover_writes_a_better_taught_model_beside_the_one_it_was_given(call, exported, finished, tmp_path):
    source = shutil.copytree(exported, tmp_path / "small")
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    result = call("recover", finished, source, "--steps", 4, "--to", tmp_path / "better")
    assert result.code == 0, result.err
    assert "after 4 steps" in result.out
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    card = (tmp_path / "better" / "README.md").read_text()
    assert card.startswith("---")
    assert "# better" in card
    assert "after 4 steps" in card
    one, other = (load_model(folder).state_dict() for folder in (source, tmp_path / "better"))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_minutes_become_steps_that_fit_in(call, exported, finished, tmp_path):
    result = call("recover", finished, exported, "--minutes", 0.1, "--to", tmp_path / "better")
    assert result.code == 0, result.err
    steps = int(result.out.rpartition("after ")[2].split()[0])
    assert steps >= 16  # of fewer none is done


def test_recover_needs_a_checkpoint_of_this_task(fails, finished, tmp_path, tiny_tokenizer):
    from secateur.tests.tiny import tiny_model

    tiny_model("bert").save_pretrained(tmp_path / "foreign")
    tiny_tokenizer.save_pretrained(tmp_path / "foreign")
    assert "is no checkpoint that Secateur wrote" in fails("recover", finished, tmp_path / "foreign")


def test_convert_takes_stock_models_too(call, finished, tmp_path):
    result = call("convert", finished / "finetuned", "--to", tmp_path, "--int8")
    assert result.code == 0, result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model-int8.onnx", "model.onnx"]
    assert not (finished / "finetuned" / "model.onnx").exists()


def test_openvino_files_agree_and_their_int8_has_scales_of_texts(call, fails, finished, tmp_path):
    to, key = tmp_path / "small", front_key(finished)
    result = call("export", finished, "--key", key, "--to", to, "--openvino", "--int8", "--no-refit", "--json")
    assert result.code == 0, result.err
    steps = [(step["model"], step["runtime"]) for step in json.loads(result.out)["steps"]]
    for model in ("whole model", "cut out"):
        assert {(model, "openvino"), (model, "openvino-int8")} <= set(steps)
    batch, expected = read_texts(to)
    plain, int8 = (OpenVinoModel(to / f"openvino_model{name}.xml").outputs(batch) for name in ("", "-int8"))
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    assert 0 < np.abs(int8 - expected).max() < 0.3 * np.abs(expected).max()
    assert "`openvino_model-int8.xml` suits every processor" in (to / "README.md").read_text()
    assert "openvino_model-int8.bin" in json.loads((to / "secateur.json").read_text())["sha256"]

    texts = tmp_path / "texts.txt"
    convert = ["convert", to, "--to", tmp_path / "again", "--openvino", "--int8"]
    message = fails(*convert)
    assert "OpenVINO's int8 finds its scales on texts; give some hundred that the model is going to read" in message
    texts.write_text("\n".join(TEXTS))
    assert call(*convert, "--data", texts).code == 0
    again = OpenVinoModel(tmp_path / "again" / "openvino_model-int8.xml").outputs(batch)
    assert 0 < np.abs(again - expected).max() < 0.5 * np.abs(expected).max()


def test_layouts_for_other_programs(call, fails, exported, finished, tmp_path):
    result = call("convert", exported, "--for", "onnx", "--to", tmp_path / "films", "--int8")
    assert result.code == 0, result.err
    assert "films: for Optimum's ORTModel classes" in result.out
    batch, expected = read_texts(exported)
    found = OnnxModel(tmp_path / "films" / "onnx" / "model.onnx").outputs(batch)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    to, key = tmp_path / "small", front_key(finished)
    assert call("export", finished, "--key", key, "--to", to, "--no-refit", "--for", "triton,onnx").code == 0
    assert (to / "triton" / "triton" / "1" / "model.onnx").is_file()
    assert (to / "onnx" / "config.json").is_file()
    result = call("export", finished, "--key", key, "--to", to, "--no-refit", "--for", "onnx", "--int8")
    assert result.code == 0, result.err
    assert re.search(r"model_quantized.onnx: In int8 it answers \d+\.\d% of the selection split", result.err)
    result = call("convert", exported, "--for", "sentence-transformers", "--to", tmp_path / "sentences")
    assert result.code == 0, result.err
    found = OpenVinoModel(tmp_path / "sentences" / "openvino" / "openvino_model.xml").outputs(batch)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "say where as --to" in fails("convert", exported, "--for", "onnx")
    assert "unknown layout 'tf'" in fails("convert", exported, "--for", "tf", "--to", tmp_path / "tf")
    message = fails("convert", exported, "--for", "onnx", "--to", tmp_path / "tf", "--openvino")
    assert "leave --openvino and --opset out" in message
    assert "unknown layout 'tf'" in fails("export", finished, "--key", key, "--to", tmp_path / "tf", "--for", "onnx,tf")
    assert not (tmp_path / "tf").exists()


def test_convert_refuses_what_it_cannot_write(fails, finished, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file" in fails("convert", finished / "finetuned", "--to", tmp_path / "file")
    message = fails("convert", finished / "finetuned", "--to", tmp_path / "new", "--opset", 3)
    assert "opset" in message
    assert not (tmp_path / "new" / "model.onnx").exists()


def test_bench_puts_checkpoints_side_by_side(call, exported, finished):
    ways = ["--runtime", "torch,onnxruntime,onnxruntime-int8", "--batch-size", "1,2", "--sequence-length", 8]
    result = call("bench", finished / "finetuned", exported, *ways, "--seconds", 0.05, "--no-memory", "--json")
    assert result.code == 0, result.err
    rows = json.loads(result.out)
    assert len(rows) == 2 * 3 * 2
    assert {row["target"]["runtime"] for row in rows} == {"torch", "onnxruntime", "onnxruntime-int8"}
    for row in rows:
        size = row["target"]["batch_size"]
        assert row["texts_per_second"] == pytest.approx(1e3 * size / row["latency_ms"], rel=1e-5)
        assert row["latency_low_ms"] <= row["latency_ms"] <= row["latency_high_ms"]
    assert rows[1]["parameters"] < rows[0]["parameters"]


def test_bench_measures_memory_of_each_runtime(call, exported):
    options = ["--runtime", "torch,onnxruntime,openvino", "--batch-size", 1, "--sequence-length", 8, "--seconds", 0.05]
    result = call("bench", exported, *options, "--json")
    assert result.code == 0, result.err
    torch_mb, *others = (row["memory_mb"] for row in json.loads(result.out))
    assert all(20 < other < torch_mb for other in others)  # a process of another engine has not imported torch


def test_bench_under_load(call, exported, finished):
    options = ["--batch-size", 1, "--sequence-length", 8, "--seconds", 0.05, "--no-memory", "--concurrency", 2]
    rows = json.loads(call("bench", finished / "finetuned", exported, *options, "--json").out)
    for row in rows:
        assert row["under_load"]["concurrency"] == 2
        assert 0 < row["under_load"]["p50_ms"] <= row["under_load"]["p99_ms"]
    assert "with 2 at once, 1 instance: p50 " in " ".join(call("bench", exported, *options).out.split())


def test_bench_refuses_what_it_cannot_measure(fails, exported):
    assert "unknown runtime 'tvm'" in fails("bench", exported, "--runtime", "torch,tvm")
    assert "unknown precision 'int4'" in fails("bench", exported, "--precision", "int4")
    assert "--batch-size" in fails("bench", exported, "--batch-size", "0")
    assert "positions" in fails("bench", exported, "--sequence-length", 100000)
    assert "there is no folder" in fails("bench", exported.with_name("nowhere"))
