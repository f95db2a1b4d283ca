"""Int8 within a gate: what a model's answers lose, and which maps stay in float32 so that they lose little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.evaluation.model_error import file_outputs, model_outputs
from secateur.run.gate import Gap, Int8Judge, quantise_within
from secateur.run.scores import few_texts
from secateur.supernet.shipping.engines import ENGINES, OnnxRuntime
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model


def collapsing(layer=1):
    """A model with one neuron so loud that in int8 nothing is left of those beside it; it says what it said before."""
    model = tiny_model("bert")
    block = model.bert.encoder.layer[layer]
    with torch.no_grad():
        model.classifier.weight.mul_(20)
        block.intermediate.dense.weight[0].zero_()
        block.intermediate.dense.bias[0] = 3e3
        block.output.dense.weight[:, 0] = 0
    return model


def test_a_collapse_is_caught_and_mended(tmp_path):
    model, task, engine = collapsing(), toy_task(), ENGINES["onnxruntime"]
    engine.export(model, path := tmp_path / engine.file)
    judge, texts, looks = Int8Judge(model, task), few_texts(task)[:40], []
    done = quantise_within(
        engine, path, to := tmp_path / engine.int8_file, texts, judge, 0.02, lambda *look: looks.append(look)
    )
    assert not done.before.within(0.02)
    assert done.gap.within(0.02)
    loud = next(names for names in engine.maps(path) if set(names) & set(done.in_float[:1]))
    assert set(loud) <= set(done.in_float)
    assert 0 < len(done.in_float) < done.maps / 2  # most stay in int8
    assert f"{len(done.in_float)} of {done.maps} maps stay in float32" in done.line
    assert [done for done, _ in looks] == sorted(done for done, _ in looks)
    assert looks[-1][0] == looks[-1][1]
    found = file_outputs(engine.open(to), task.selection, pad_token_id=task.pad_token_id)
    expected = model_outputs(model, task.selection, pad_token_id=task.pad_token_id)
    assert done.gap.flips == pytest.approx(np.mean(found.argmax(1) != expected.argmax(1)))
    plain = tmp_path / f"plain-{engine.int8_file}"
    engine.quantise(path, plain, [engine.open(path).feed(text) for text in texts])
    off = judge.distance(engine.open(plain))
    assert judge.distance(engine.open(to)) < 0.3 * off


def test_all_maps_of_openvino_can_stay_in_float(tmp_path):
    """So bisection can do there what it does above: NNCF knows the names that it is told to leave alone."""
    model, task, engine = collapsing(), toy_task(), ENGINES["openvino"]
    engine.export(model, path := tmp_path / engine.file)
    judge, names = Int8Judge(model, task), [name for group in engine.maps(path) for name in group]
    feeds = [engine.open(path).feed(text) for text in few_texts(task)[:8]]
    engine.quantise(path, to := tmp_path / engine.int8_file, feeds, in_float=names)
    assert judge.distance(engine.open(to)) < 1e-3
    assert judge.gap(engine.open(to)) == (0.0, 0.0)


def test_what_is_near_stays_in_int8(tmp_path):
    model, task, engine = tiny_model("bert"), toy_task(), ENGINES["onnxruntime"]
    engine.export(model, path := tmp_path / engine.file)
    done = quantise_within(engine, path, tmp_path / "int8.onnx", [], Int8Judge(model, task), 1.0)
    assert done.in_float == ()
    assert done.gap == done.before
    assert "stay in float32" not in done.line


class Broken(OnnxRuntime):
    """An engine whose int8 is another model's."""

    def quantise(self, path, to, texts, *, in_float=()):
        other = tiny_model("bert")
        with torch.no_grad():
            other.classifier.weight.neg_()
            other.classifier.bias.neg_()
        self.export(other, to)


def test_what_cannot_be_mended_is_refused(tmp_path):
    model, task, engine = tiny_model("bert"), toy_task(), Broken()
    engine.export(model, path := tmp_path / engine.file)
    message = (
        r"ONNX Runtime's int8 answers .* otherwise, .* even with all maps in float32, where 0.02 is allowed; serve"
    )
    with pytest.raises(InputError, match=message):
        quantise_within(engine, path, tmp_path / "int8.onnx", [], Int8Judge(model, task), 0.02)


def test_a_gap_is_flips_and_what_they_cost():
    assert Gap(0.01, 0.02).within(0.02)
    assert not Gap(0.03, 0.0).within(0.02)
    assert not Gap(0.0, 0.03).within(0.02)
