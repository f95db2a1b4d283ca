"""`secateur nest` and `secateur.load`: the models of a front from one folder, as `extract` writes them."""

import copy
import json
import shutil
import subprocess
import sys

import pytest
import secateur
import torch
from secateur import Run
from secateur.cli import run_command
from secateur.errors import InputError
from secateur.evaluation.model import Model
from secateur.supernet.shipping.engines import ENGINES
from secateur.supernet.stored.nested import Nested, read_nested
from secateur.supernet.stored.storage import load_model
from secateur.tests.once import made_once
from secateur.tests.supernet.refusals import message_of
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from .conftest import record


@pytest.fixture(scope="module")
def family(finished, tmp_path_factory):
    """The front of a searched supernet; tests must leave it as it is."""

    def make(to):
        assert run_command(["nest", str(finished), "--to", str(to)]) == 0

    return made_once(tmp_path_factory, "family", make)


@pytest.fixture(scope="module")
def mixed(finished, tmp_path_factory):
    """A run of a supernet, of solved weights and of a ladder; tests must leave it as it is."""

    def make(out):
        shutil.copytree(finished, out)
        assert run_command(["search", str(out), "--weights", "solved", "--budget", "6", "--precision", "float32"]) == 0
        assert run_command(["ladder", str(out), "--shares", "1/2,1/4", "--steps", "12", "--learning-rate", "2e-3"]) == 0

    return shutil.copytree(made_once(tmp_path_factory, "mixed", make), tmp_path_factory.mktemp("mixed") / "run")


@torch.inference_mode()
def check_same(one, other) -> None:
    """Check that two models have the same weights and outputs, bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor.view(torch.uint8), second[name].view(torch.uint8)), name
    inputs = {"input_ids": torch.tensor([[2, 4, 5, 7, 3], [2, 8, 6, 3, 0]])}
    inputs["attention_mask"] = (inputs["input_ids"] != 0).long()
    # In new memory: what was read may lie at another alignment, and some processors add in another order then.
    made = [copy.deepcopy(model)(**inputs).logits for model in (one, other)]
    assert torch.equal(made[0].view(torch.uint8), made[1].view(torch.uint8))


def check_extracted(nested: Nested, run: Run, front: list[Model], place, **settings) -> None:
    """Check that all models of a front are what `extract` writes."""
    assert [(one.key, one.weights) for one in nested.models] == [(model.key, model.weights) for model in front]
    for one, model in zip(nested.models, front, strict=True):
        to = place / f"{model.key}-{model.weights}"
        model.extract(to, form="secateur", **settings)
        check_same(nested.load(one), load_model(to))


def test_models_are_slices_of_the_supernet(family, finished, tmp_path):
    run = Run(finished)
    nested = read_nested(family)
    check_extracted(nested, run, list(run.front()), tmp_path)
    for model in run.front():
        check_same(secateur.load(family, key=model.key), load_model(tmp_path / f"{model.key}-{model.weights}"))
    assert not (family / "own").exists()
    assert {path.suffix for path in family.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    check_same(AutoModelForSequenceClassification.from_pretrained(family), load_model(finished / "supernet"))
    assert AutoTokenizer.from_pretrained(family)("a good film")["input_ids"] == [2, 4, 5, 7, 3]


def test_refitted_maps_lie_beside(finished, tmp_path):
    run = Run(finished)
    done = run.nest(tmp_path / "family", refit=True)
    check_extracted(done.nested, run, list(run.front()), tmp_path / "models", refit=True)
    changed = [one for one in done.nested.models if one.own_bytes]
    assert changed
    # The outgoing maps of blocks, and nothing else.
    names = {name for one in changed for name in one.tensors}
    assert {name.split(".", 4)[-1].rpartition(".")[0] for name in names} <= {"attention.output.dense", "output.dense"}
    for one, model in zip(done.nested.models, run.front(), strict=True):
        assert one.values["error"] <= model.error_selection


@pytest.mark.parametrize("weights", [None, "ladder", "solved"])
def test_other_weights_are_kept_beside(weights, mixed, tmp_path):
    run = Run(mixed)
    done = run.nest(tmp_path / "family", weights=weights)
    front = list(run.front(weights=weights))
    check_extracted(done.nested, run, front, tmp_path / "models")
    kinds = {model.weights for model in front}
    assert done.whole.startswith(
        "the supernet" if "supernet" in kinds else "the fine-tuned model, its" if "solved" in kinds else "the fine"
    )
    assert all(one.own_bytes == 0 for one in done.nested.models if one.weights == "supernet")
    # A rung's weights are all its own, but for those of the whole model.
    for one in done.nested.models:
        if one.weights == "ladder" and weights == "ladder":
            assert (one.own_bytes == 0) == one.mask.is_full
    assert weights != "ladder" or any(one.own_bytes for one in done.nested.models)


def test_the_run_is_not_needed_and_models_are_independent(family, tmp_path):
    there = shutil.copytree(family, tmp_path / "elsewhere")
    first, second = secateur.load(there), secateur.load(str(there))
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.zero_()
    check_same(second, secateur.load(family))
    before = copy.deepcopy(second)
    shutil.rmtree(there)
    check_same(second, before)
    second.save_pretrained(tmp_path / "saved")
    AutoTokenizer.from_pretrained(family).save_pretrained(tmp_path / "saved")
    check_same(AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved"), second)


def test_budgets_choose_as_pick_does(family, finished):
    models = read_nested(family).models
    costs = sorted(one.values["encoder_parameters"] for one in models)
    for limit in costs:
        within = [one for one in models if one.values["encoder_parameters"] <= limit]
        best = min(within, key=lambda one: one.values["error"])
        assert secateur.load(family, encoder_parameters=limit).config.secateur_key == best.key
        picked = Run(finished).pick(encoder_parameters=limit, as_measured=True).chosen
        assert picked.error_selection == pytest.approx(best.values["error"])
    slowest = max(models, key=lambda one: one.values["latency_ms"])
    best = min(models, key=lambda one: one.values["error"])
    assert secateur.load(family).config.secateur_key == best.key
    limits = {"latency_ms": slowest.values["latency_ms"], "parameters": 1e9, "disk_mb": 1e3, "macs": 1e12}
    assert secateur.load(family, **limits).config.secateur_key == best.key
    smallest = min(models, key=lambda one: one.values["encoder_parameters"])
    assert secateur.load(family, error=0.999).config.secateur_key == smallest.key


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-int8", "openvino", "openvino-int8"])
def test_other_runtimes_run_what_convert_writes(family, tmp_path, runtime):
    """Also where the model is a smaller one; bit for bit, but for the last place of OpenVINO's scales."""
    engine = ENGINES[runtime.removesuffix("-int8")]
    for package in (*engine.packages, *engine.int8_packages):
        pytest.importorskip(package, reason=f"an extra brings {package}")
    key = min(read_nested(family).models, key=lambda one: one.values["parameters"]).key
    texts = ["a good film", "a truly bad film", "very good"]
    served = secateur.load(family, key=key, runtime=runtime, threads=1, texts=texts)
    model, tokenizer = secateur.load(family, key=key), AutoTokenizer.from_pretrained(family)
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    found = served(**inputs).logits
    if "int8" not in runtime:
        assert found.numpy() == pytest.approx(model(**inputs).logits.detach().numpy(), abs=1e-4)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    command = ["convert", str(tmp_path / "model"), "--to", str(tmp_path / "files")]
    command += ["--int8"] if "int8" in runtime else []
    command += ["--openvino"] if "openvino" in runtime else []
    command += ["--data", str(tmp_path / "texts.txt")] if runtime == "openvino-int8" else []
    assert run_command(command) == 0
    own = engine.open(tmp_path / "files" / (engine.int8_file if "int8" in runtime else engine.file), threads=1)
    assert own(**inputs).logits.numpy() == pytest.approx(found.numpy(), abs=1e-6)
    alone = tokenizer(texts[:1], return_tensors="np")["input_ids"]  # the mask is ones, and all types are zero
    near = 0.05 if "int8" in runtime else 1e-4  # scales of int8 depend on what else is in the batch
    assert served(input_ids=alone).logits[0].numpy() == pytest.approx(found[0].numpy(), abs=near)


def test_runtimes_that_cannot_be_had_are_one_line(family):
    assert "unknown runtime 'tvm'; known: " in message_of(lambda: secateur.load(family, runtime="tvm"))
    message = message_of(lambda: secateur.load(family, runtime="openvino-int8"))
    assert message.startswith("OpenVINO's int8 finds its scales on texts; give some hundred")
    served = secateur.load(family, runtime="onnxruntime")
    assert message_of(lambda: served(ids=[[2, 3]])) == "a pass needs input_ids, got ids; give what the tokenizer gives"


def test_what_cannot_be_loaded_is_one_line(family, finished, tmp_path):
    models = read_nested(family).models
    least = {name: min(one.values[name] for one in models) for name in ("latency_ms", "parameters")}
    message = message_of(secateur.load, family, latency_ms=least["latency_ms"] / 2)
    assert f"no model of {family} keeps latency_ms <= " in message
    assert f"the least there is: latency_ms {least['latency_ms']:.6g}" in message
    conditions = record(finished)["environment"]["machine"]
    assert f"(latencies are predicted for {conditions}, cpu, " in message
    message = message_of(secateur.load, family, parameters=5, error=0.999)
    assert f"the least there is each by itself: parameters {least['parameters']:.6g}, error " in message
    assert "latencies" not in message
    assert "unknown budget 'latency'; known: " in message_of(secateur.load, family, latency=8)
    for value in (0, -1, float("nan"), float("inf"), "8", True, None):
        assert f"`latency_ms` needs a number above 0; got {value!r}" in message_of(
            secateur.load, family, latency_ms=value
        )
    keys = ", ".join(one.key for one in models)
    assert message_of(secateur.load, family, key="gone") == f"{family} has no model 'gone'; its keys: {keys}"
    assert "give one of the two" in message_of(secateur.load, family, key=models[0].key, latency_ms=8)
    for none in (tmp_path / "nowhere", tmp_path, finished, finished / "finetuned", family / "config.json"):
        assert "is no nested checkpoint: it has no nested.json" in message_of(secateur.load, none)


@pytest.fixture(scope="module")
def refitted(finished, tmp_path_factory):
    return Run(finished).nest(tmp_path_factory.mktemp("refitted") / "family", refit=True).nested


@pytest.mark.parametrize("damage", ["changed", "cut off", "gone"])
@pytest.mark.parametrize(
    "part", ["model.safetensors", "config.json", "tokenizer.json", "nested.json", "digests.json", "own"]
)
def test_damage_is_refused_in_one_line(part, damage, refitted, tmp_path):
    folder = shutil.copytree(refitted.folder, tmp_path / "family")
    model = next(one for one in refitted.models if one.own_bytes)
    path = folder / (model.files[0] if part == "own" else part)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "changed" else content[: len(content) // 2])
    message = message_of(secateur.load, folder, key=model.key)
    assert path.name in message
    if damage == "gone" and part not in ("nested.json", "config.json"):
        assert "put back a copy of it" in message
    if part == "own":  # who does not need the file does not miss it
        other = next((one for one in refitted.models if not one.own_bytes), None)
        assert other is None or secateur.load(folder, key=other.key)


def test_the_command_says_what_it_takes(call, finished, family, tmp_path):
    to = tmp_path / "family"
    result = call("nest", finished, "--to", to)
    assert result.code == 0, result.err
    count = len(Run(finished).front())
    flat = " ".join(result.out.split())
    assert f"{to}: {count} models of the supernet, 0.0 MB in all; the weights of {count} checkpoints are " in flat
    assert "ms are predicted for " in flat
    assert f'secateur.load("{to}", latency_ms=...)' in result.out
    for path in family.rglob("*.safetensors"):
        assert path.read_bytes() == (to / path.relative_to(family)).read_bytes()
    found = json.loads(call("nest", finished, "--to", to, "--json").out)  # the one that is there is replaced
    assert found["folder"] == str(to)
    assert found["bytes"] == sum(path.stat().st_size for path in to.iterdir())
    sizes = [
        sum(tensor.nbytes for tensor in secateur.load(to, key=one["key"]).state_dict().values())
        for one in found["models"]
    ]
    assert found["bytes_apart"] == sum(sizes)
    assert [path.name for path in tmp_path.iterdir()] == ["family"]


def test_fronts_against_other_costs(call, finished, tmp_path):
    for cost in ("latency_ms", "macs"):
        found = json.loads(call("nest", finished, "--to", tmp_path / cost, "--against", cost, "--json").out)
        assert [one["key"] for one in found["models"]] == [model.key for model in Run(finished).front(cost)]


def test_bad_input_is_one_line(fails, finished, copied, tmp_path):
    to = tmp_path / "family"
    assert "is no run folder" in fails("nest", tmp_path / "gone", "--to", to)
    assert "expected one of parameters, " in fails("nest", finished, "--to", to, "--against", "speed")
    message = fails("nest", finished, "--to", to, "--weights", "finetuned")
    assert "--weights of a nested checkpoint are supernet, solved, standard, ladder, got finetuned" in message
    assert "has no model with ladder weights" in fails("nest", finished, "--to", to, "--weights", "ladder")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    for place in (mine, mine / "thesis.tex", copied, copied / "finetuned"):
        assert "exists and is no nested checkpoint; choose another folder" in fails("nest", finished, "--to", place)
    weights = copied / "supernet" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "model.safetensors is damaged" in fails("nest", copied, "--to", to)
    shutil.rmtree(copied / "supernet")
    assert "is gone" in fails("nest", copied, "--to", to)
    (copied / "archive.db").unlink()
    assert "archive.db is gone" in fails("nest", copied, "--to", to)
    assert not to.exists()


def test_the_name_is_looked_up_lightly():
    code = "import sys, secateur; secateur.load; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_family_is_no_place_for_a_checkpoint(fails, finished, family):
    key = read_nested(family).models[0].key
    assert "exists and is no extracted model" in fails("extract", finished, "--key", key, "--to", family)
    with pytest.raises(InputError, match="exists and is no nested checkpoint"):
        Run(finished).nest(finished / "supernet")
