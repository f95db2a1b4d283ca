import errno
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from secateur.errors import InputError
from secateur.registration import _CONFIGS
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.families import FAMILIES, family_of
from secateur.supernet.heads import ENDINGS, auto_class, head_of
from secateur.supernet.shipping.checkpoint import write_checkpoint
from secateur.supernet.stored.extracted import config_class
from secateur.supernet.stored.storage import load_model, load_tokenizer, save_model
from secateur.tests.conftest import HEADS
from secateur.tests.supernet.cards import FACTS
from secateur.tests.supernet.refusals import message_of
from secateur.tests.tiny import tiny_model
from transformers import AlbertConfig, BertModel

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
MASK = SubnetMask.from_counts(SHAPE, [3, 0, 0], [24, 0, 5], 13)


@pytest.fixture(scope="module")
def saved(tiny_models, tiny_tokenizer, tmp_path_factory):
    """A folder with an extracted BERT."""
    folder = tmp_path_factory.mktemp("runs") / "subnets" / MASK.key
    model = extract(tiny_models["bert"], MASK)
    model.config.id2label, model.config.label2id = {0: "no", 1: "yes", 2: "?"}, {"no": 0, "yes": 1, "?": 2}
    write_checkpoint(model, tiny_tokenizer, folder, FACTS)
    return folder


@pytest.fixture(scope="module")
def plain(tiny_models, tiny_tokenizer, tmp_path_factory):
    """A folder with an ordinary BERT."""
    folder = tmp_path_factory.mktemp("plain")
    tiny_models["bert"].save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def run_python(code: str, *arguments: str) -> str:
    """Run code in a new process, warnings as errors; return what it prints."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_saved_folder_is_complete(saved):
    names = {path.name for path in saved.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "secateur.json"} <= names
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    assert saved.stat().st_mode & 0o777 == saved.parent.stat().st_mode & 0o777


def test_who_may_read_the_text_files_may_read_the_weights(saved):
    modes = {path.name: path.stat().st_mode for path in saved.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"] == modes["tokenizer.json"]


def test_load_model_and_tokenizer(saved, plain, tiny_models):
    model = load_model(saved)
    assert type(model).__name__ == "ExtractedBertForSequenceClassification"
    assert model.config.secateur_key == MASK.key
    assert not model.training
    assert load_model(saved, dtype=torch.bfloat16).dtype == torch.bfloat16
    parent = tiny_models["bert"].state_dict()
    assert all(torch.equal(parent[name], tensor) for name, tensor in load_model(str(plain)).state_dict().items())
    assert load_tokenizer(saved)("a good film")["input_ids"] == [2, 4, 5, 7, 3]


NEW_PROCESS = """
import sys, json
{imports}
import torch, transformers
folder, found = sys.argv[1], {{}}
with open(folder + "/batch.json") as file:
    rows = json.load(file)
for head, name in json.loads(sys.argv[2]).items():
    model = getattr(transformers, name).from_pretrained(folder + "/" + head)
    with torch.no_grad():
        outputs = model(input_ids=torch.tensor(rows))
    found[head] = type(model).__name__, {{key: value.tolist() for key, value in outputs.items()}}
{more}
print(json.dumps([found, answer]))
"""
PIPELINE = """
from transformers import pipeline
answer = pipeline("text-classification", model=folder + "/sequence-classification", device="cpu")("a truly good film !")
answer = answer[0]["label"]
"""
BEFORE = "import secateur\nfrom transformers import BertForSequenceClassification, AutoModelForSequenceClassification"
AFTER = "from transformers import AutoModelForSequenceClassification\nimport secateur"


@pytest.mark.parametrize(("imports", "more"), [(BEFORE, PIPELINE), (AFTER, "answer = None")], ids=["first", "last"])
def test_a_new_process_loads_it_with_the_auto_class(imports, more, tiny_tokenizer, tmp_path):
    models = {head: extract(tiny_model("bert", head), MASK) for head in HEADS}
    for head, model in models.items():
        write_checkpoint(model, tiny_tokenizer, tmp_path / head, FACTS, form="secateur")
    rows = [[2, 4, 5, 7, 3], [2, 9, 10, 11, 3]]
    (tmp_path / "batch.json").write_text(json.dumps(rows))
    names = json.dumps({head: auto_class(head) for head in HEADS})
    found, answer = json.loads(run_python(NEW_PROCESS.format(imports=imports, more=more), str(tmp_path), names))
    for head, model in models.items():
        name, outputs = found[head]
        assert name == f"ExtractedBert{ENDINGS[head]}"
        with torch.no_grad():
            expected = model(input_ids=torch.tensor(rows))
        assert outputs.keys() == expected.keys()
        for key, values in outputs.items():
            torch.testing.assert_close(torch.tensor(values), expected[key])
    assert answer in ("LABEL_0", "LABEL_1", "LABEL_2", None)


def test_importing_secateur_imports_neither_torch_nor_transformers():
    code = "import sys, secateur, secateur.searchers; print([n for n in ('torch', 'transformers') if n in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_every_family_is_registered_before_it_can_be_imported():
    extracted = map(config_class, FAMILIES.values())
    assert {config.model_type: config.__name__ for config in extracted} == _CONFIGS


def test_registration_cannot_break_transformers():
    code = """
import sys, types, warnings
import secateur.registration as registration
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    registration._register(types.ModuleType("transformers.models.auto.configuration_auto"))
print(caught[0].category.__name__, caught[0].message)
"""
    assert run_python(code).startswith("RuntimeWarning secateur could not register its models with this transformers")


def damaged(source, folder, **files: bytes | None):
    shutil.copytree(source, folder)
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.unlink() if content is None else path.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config_json": None}, "is no model: it has no config.json; expected a folder with"),
        ({"config_json": b"{garbage"}, "damaged.*not a valid JSON file"),
        ({"config_json": b"\xff\xfe"}, "damaged.*not a valid JSON file"),
        ({"config_json": b"[1]"}, "damaged"),
        ({"config_json": b'{"model_type": "bert", "hidden_size": "x"}'}, "damaged.*expected int, got str"),
        (
            {"config_json": b'{"model_type": "bert", "hidden_size": 24, "vocab_size": 9}'},
            "its weights have other sizes than config.json",
        ),
        ({"model_safetensors": b""}, "damaged.*SafetensorError"),
        ({"model_safetensors": b"\x10" * 1000}, "damaged.*SafetensorError"),
        ({"model_safetensors": None}, "damaged.*no file named model.safetensors"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "saved"])
def test_damaged_models_give_one_line(kind, files, expected, tmp_path, request):
    folder = damaged(request.getfixturevalue(kind), tmp_path / "model", **files)
    with pytest.raises(InputError, match=expected):
        load_model(folder)
    assert str(folder) in message_of(load_model, folder)


def test_truncated_weights(saved, tmp_path):
    content = (saved / "model.safetensors").read_bytes()
    folder = damaged(saved, tmp_path / "model", model_safetensors=content[: len(content) // 2])
    assert "SafetensorError" in message_of(load_model, folder)


def test_missing_tensors_are_not_made_up(plain, tmp_path, tiny_models):
    from safetensors.torch import load_file, save_file

    folder = damaged(plain, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.1.attention.self.key.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "lacks 1 parameters of a bert encoder, bert.encoder.layer.1.attention.self.key.bias" in message_of(
        load_model, folder
    )


def test_other_families(tmp_path):
    AlbertConfig().save_pretrained(tmp_path)
    assert "'albert' are not supported (ALBERT shares one set of weights" in message_of(load_model, tmp_path)


def test_an_empty_folder_a_file_and_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert "has no config.json" in message_of(load_model, tmp_path / "empty")
    assert "is a file and no model" in message_of(load_model, tmp_path / "file")
    assert "there is no folder" in message_of(load_model, tmp_path / "nothing")
    assert "there is no folder 'runs/sst2/nothing'" in message_of(load_model, "runs/sst2/nothing")
    assert "there is no folder ''" in message_of(load_tokenizer, "")


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_an_unknown_name_fails_fast_without_a_network(load, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    start = time.monotonic()
    assert "the Hugging Face hub cannot be reached" in message_of(load, "nobody/no-such-model")
    assert time.monotonic() - start < 5


def test_a_head_is_made_only_when_asked_for(tiny_models, tmp_path):
    BertModel(tiny_models["bert"].config).save_pretrained(tmp_path)
    assert "has no head for a task (classifier.bias, classifier.weight); fine-tune" in message_of(load_model, tmp_path)
    model = load_model(tmp_path, label_names=["no", "yes"])
    assert model.config.id2label == {0: "no", 1: "yes"}
    assert model.config.label2id == {"no": 0, "yes": 1}
    assert model.classifier.out_features == 2


@pytest.mark.parametrize("labels", [("no", "yes"), ("no", "yes", "?")])
@pytest.mark.parametrize("own", HEADS)
@pytest.mark.parametrize("wanted", HEADS)
def test_another_head_is_dropped(own, wanted, labels, tiny_tokenizer, tmp_path):
    """BERT's heads have weights of the same names, some even of the same sizes."""
    if own == wanted or (wanted == "question-answering" and len(labels) > 2):
        return
    source = tiny_model("bert", own)
    source.config.initializer_range = 0.01
    source.save_pretrained(tmp_path)
    assert f"has a head for {own}, not for {wanted}; fine-tune it on such a task first" in message_of(
        load_model, tmp_path, head=wanted
    )
    torch.manual_seed(0)
    model = load_model(tmp_path, head=wanted, label_names=labels)
    assert (head_of(model), model.config.num_labels) == (wanted, len(labels))
    for path in family_of(model.config).heads[wanted].linears:
        assert 0.005 < model.get_parameter(f"{path}.weight").std() < 0.02
        assert not model.get_parameter(f"{path}.bias").any()
    before = dict(source.named_parameters())
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters() if ".encoder." in name)
    save_model(model, tiny_tokenizer, tmp_path / "new")
    assert head_of(load_model(tmp_path / "new")) == wanted


def test_missing_tensors_are_not_made_up_where_a_head_is_dropped(tmp_path):
    from safetensors.torch import load_file, save_file

    tiny_model("bert", "token-classification").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    weights[name] = weights[name][:, 1:].contiguous()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert f"lacks 1 parameters of a bert encoder, {name}" in message_of(
        load_model, tmp_path, head="question-answering", label_names=("start", "end")
    )


def test_a_head_of_another_size_is_an_error(plain):
    assert "and the number of classes say" in message_of(load_model, plain, label_names=["no", "yes"])


def test_a_model_without_tokenizer_files_has_no_tokenizer(tiny_models, tmp_path):
    tiny_models["bert"].save_pretrained(tmp_path)
    assert "has a model but no tokenizer" in message_of(load_tokenizer, tmp_path)


def test_loading_leaves_the_log_as_it_was(plain, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_model(plain)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert capfd.readouterr() == ("", "")


def test_saving_again_replaces(saved, tiny_models, tiny_tokenizer, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    (folder / "left over").touch()
    other = SubnetMask.full(SHAPE)
    write_checkpoint(extract(tiny_models["roberta"], other), tiny_tokenizer, folder, FACTS, form="portable")
    assert load_model(folder).config.secateur_key == other.key
    assert not (folder / "left over").exists()
    assert os.listdir(tmp_path) == ["model"]


def test_saving_never_replaces_something_else(plain, tiny_models, tiny_tokenizer, tmp_path):
    (tmp_path / "thesis.tex").touch()
    model = extract(tiny_models["bert"], MASK)
    for folder in (tmp_path, plain, tmp_path / "thesis.tex"):
        assert "exists and is no extracted model" in message_of(write_checkpoint, model, tiny_tokenizer, folder, FACTS)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize("room", [100, 4000, 30_000])
def test_a_full_disk_is_one_line_and_keeps_the_old_model(room, saved, tiny_models, tiny_tokenizer, tmp_path):
    """No file may grow beyond `room` bytes: the system call fails as on a disk that has no more."""
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    model = extract(tiny_models["bert"], SubnetMask.full(SHAPE))
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        long = replace(FACTS, sections={"Speed": "slow" * 10_000})
        message = message_of(write_checkpoint, model, tiny_tokenizer, folder, long)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "the disk is full; free some space" in message
    assert load_model(folder).config.secateur_key == MASK.key
    assert os.listdir(tmp_path) == ["model"]


def test_a_full_file_system(saved):
    """The same on a file system of 32 kB, where a container may mount one."""
    code = """
import sys, pathlib, os
from secateur.errors import InputError
from secateur.supernet.stored.storage import load_model, load_tokenizer, save_model
model, tokenizer = load_model(sys.argv[1]), load_tokenizer(sys.argv[1])
try:
    save_model(model, tokenizer, pathlib.Path(sys.argv[2]) / "model")
except InputError as error:
    print(type(error.__cause__).__name__, error, os.listdir(sys.argv[2]))
"""
    inside = 'mount -t tmpfs -o size=32k tmpfs "$4" && exec "$1" -W error -c "$2" "$3" "$4"'
    place = saved.parent.parent / "small"
    place.mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]
    can_mount = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", str(place)]
    if not shutil.which("unshare") or subprocess.run(can_mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    done = subprocess.run(
        [*command, sys.executable, code, str(saved), str(place)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "the disk is full; free some space and run again []" in done.stdout


def test_an_unwritable_place(tiny_models, tiny_tokenizer, tmp_path):
    (tmp_path / "file").touch()
    model = extract(tiny_models["bert"], MASK)
    message = message_of(save_model, model, tiny_tokenizer, tmp_path / "file" / "model")
    assert os.strerror(errno.ENOTDIR) in message
