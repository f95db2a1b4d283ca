"""The program of docs/serve.md, in processes in which neither torch nor transformers is to be had."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.sentence import embedder
from secateur.supernet.sentence_head import SentenceHead
from secateur.supernet.shipping.layouts import write_layout
from secateur.tests.tiny import tiny_model

ROOT = Path(__file__).parents[1]
SERVING = ROOT / "docs" / "serving"
SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
UNEVEN = SubnetMask.from_counts(SHAPE, [3, 0, 1], [5, 24, 0], 12)
TEXTS = ["a truly good film", "bad", "not very good ! " * 20]  # one of them longer than the model can read
PAIRS = [("a good film", "bad bad film !"), ("not", "very"), ("a", "a film " * 20)]
ALONE = (
    "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'secateur', 'onnx']));"  # None: not there
)


def model_of(name: str):
    """An uneven model, and what it gives: a number, labels that exclude each other or do not, a vector."""
    if name == "vectors":
        whole, files = tiny_model("bert", "embedding"), {"sentence_bert_config.json": {"max_seq_length": 9}}
        head = SentenceHead(3, normalize=True, bias=True, files=files)
        return extract(embedder(whole.encoder, head, dict(whole.projection.named_parameters())), UNEVEN)
    kinds = {"labels": (3, None), "many labels": (3, "multi_label_classification"), "rating": (1, "regression")}
    labels, kind = kinds.get(name, (1, None))
    return extract(tiny_model("roberta" if name == "labels" else "bert", num_labels=labels, problem_type=kind), UNEVEN)


def expected(name: str, model, tokenizer, texts) -> np.ndarray:
    longest = 9 if name == "vectors" else 22 if name == "labels" else 24  # roberta's positions begin behind the padding
    parts = zip(*texts, strict=True) if isinstance(texts[0], tuple) else [texts]
    options = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
    with torch.inference_mode():
        outputs = model(**tokenizer(*map(list, parts), **options))
        if name == "vectors":
            return outputs["sentence_embedding"].numpy()
        logits = outputs.logits
    answers = {"labels": logits.softmax(1), "many labels": logits.sigmoid(), "rating": logits}
    return answers.get(name, logits.sigmoid()).numpy()


def numbers(answers: list) -> np.ndarray:
    rows = [list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else [one] for one in answers]
    return np.array(rows)


@pytest.mark.parametrize("name", ["labels", "many labels", "rating", "scores", "vectors"])
def test_the_program_answers_without_torch(name, tiny_tokenizer, tmp_path):
    model = model_of(name)
    write_layout("onnx", model, tiny_tokenizer, tmp_path / "films", int8=False)
    code = f"""{ALONE}
import json
from pathlib import Path
from model import Model
model = Model(Path(sys.argv[1]), threads=1)
print(json.dumps([model(texts) for texts in json.loads(sys.argv[2])]))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "films"), json.dumps([TEXTS, PAIRS, TEXTS[:1]])]
    done = subprocess.run(command, cwd=SERVING, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    texts, pairs, one = json.loads(done.stdout)
    np.testing.assert_allclose(numbers(texts), expected(name, model, tiny_tokenizer, TEXTS), atol=1e-4)
    np.testing.assert_allclose(numbers(pairs), expected(name, model, tiny_tokenizer, PAIRS), atol=1e-4)
    np.testing.assert_allclose(numbers(one), numbers(texts)[:1], atol=1e-5)
    if "labels" in name:
        assert list(one[0]) == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_heads_that_it_does_not_read_are_refused(tiny_tokenizer, tmp_path):
    write_layout("onnx", tiny_model("bert", "token-classification"), tiny_tokenizer, tmp_path / "tags", int8=False)
    code = f"{ALONE} from pathlib import Path; from model import Model; Model(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "tags")], cwd=SERVING, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "has a BertForTokenClassification; expected a model that makes vectors or classifies" in done.stderr


def test_the_server_answers_without_torch(tiny_tokenizer, tmp_path, monkeypatch):
    pytest.importorskip("fastapi", reason="the dev extra brings fastapi and uvicorn")
    model = model_of("labels")
    write_layout("onnx", model, tiny_tokenizer, tmp_path / "films", int8=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MODEL", str(tmp_path / "films"))
    monkeypatch.setenv("THREADS", "1")
    code = f"{ALONE} import uvicorn; uvicorn.run('server:app', port={port}, log_level='warning')"
    with subprocess.Popen([sys.executable, "-c", code], cwd=SERVING, stderr=subprocess.PIPE, text=True) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(300):
                assert server.poll() is None, server.stderr and server.stderr.read()
                try:
                    assert json.load(urllib.request.urlopen(f"{address}/health")) == "ok"
                    break
                except urllib.error.URLError:
                    time.sleep(0.1)
            for texts in (TEXTS, PAIRS):
                found = json.load(urllib.request.urlopen(asked(address, texts)))
                np.testing.assert_allclose(numbers(found), expected("labels", model, tiny_tokenizer, texts), atol=1e-4)
            with pytest.raises(urllib.error.HTTPError, match="422"):
                urllib.request.urlopen(asked(address, []))
        finally:
            server.terminate()


def asked(address: str, texts) -> urllib.request.Request:
    body = json.dumps({"texts": texts}).encode()
    return urllib.request.Request(address, body, {"Content-Type": "application/json"})


def test_the_image_has_what_the_page_says():
    """The page shows the server as it is, and the image has the packages that its files import, and no others."""
    page = (ROOT / "docs" / "serve.md").read_text()
    assert f"```python\n{(SERVING / 'server.py').read_text()}```" in page
    assert f"```dockerfile\n{(SERVING / 'Dockerfile').read_text()}```" in page
    listed = {line.partition("==")[0] for line in (SERVING / "requirements.txt").read_text().splitlines()}
    source = "".join((SERVING / name).read_text() for name in ("model.py", "server.py"))
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)) - set(sys.stdlib_module_names)
    assert imported - {"model", "pydantic"} | {"uvicorn"} == listed  # fastapi brings pydantic
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    assert {"fastapi", "uvicorn"} <= {re.split(r"\W", name)[0] for name in dev}
