"""What can be said of an upload without the hub: its conditions, and what an answer becomes."""

import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.shipping.checkpoint import write_checkpoint
from secateur.supernet.shipping.hub import check_name, licence_of, push_to_hub
from secateur.tests.supernet.cards import FACTS
from secateur.tests.supernet.refusals import message_of

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
MASK = SubnetMask.from_counts(SHAPE, [3, 0, 2], [24, 7, 0], 13)


@pytest.fixture(scope="module")
def finished(tiny_models, tiny_tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "model"
    write_checkpoint(extract(tiny_models["bert"], MASK), tiny_tokenizer, folder, FACTS)
    return folder


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No token, no proxy, and nobody who listens at the hub's address."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        yield


@pytest.mark.parametrize("name", ["", "a/b/c", "a b", "-x", "owner/..", "owner/x.git", "x" * 200, "owner/"])
def test_names_that_the_hub_would_not_have(finished, name):
    expected = f"{name!r} is no name for the hub: expected NAME or OWNER/NAME of letters, digits, - _ ."
    assert message_of(push_to_hub, finished, name) == expected


@pytest.mark.parametrize("name", ["model", "owner/model", "owner/my_model-1.0"])
def test_names_that_it_would_have(name):
    check_name(name)


def test_no_token(finished):
    assert message_of(push_to_hub, finished, "owner/model") == (
        "there is no token for the Hugging Face hub; run `hf auth login`, or set HF_TOKEN"
    )


def test_no_network(finished, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_nobodys")
    assert message_of(push_to_hub, finished, "owner/model") == (
        "the Hugging Face hub cannot be reached; push again with a network"
    )


@pytest.fixture
def refusing(monkeypatch):
    """A hub that lets nobody in."""

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b'{"error": "you may not write here"}'
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", "hf_nobodys")
        yield
        server.shutdown()
        thread.join()


def test_a_hub_that_refuses(finished, refusing):
    message = message_of(push_to_hub, finished, "owner/model")
    assert message.startswith(f"the upload of {finished} to owner/model failed (HfHubHTTPError: 403")
    assert message.endswith("check that your token may write there, then push again")


def test_only_whole_and_untouched_checkpoints_are_uploaded(finished, tmp_path):
    for name in ("README.md", "model.safetensors"):
        folder = shutil.copytree(finished, tmp_path / name)
        (folder / name).unlink()
        expected = f"{folder} is no finished checkpoint: it lacks its weights or README.md; write it again"
        assert message_of(push_to_hub, folder, "owner/model") == expected
    folder = shutil.copytree(finished, tmp_path / "changed")
    with (folder / "modeling_secateur.py").open("a") as file:
        file.write("#")
    assert "modeling_secateur.py is not the file that Secateur wrote" in message_of(push_to_hub, folder, "owner/model")
    assert "there is no folder" in message_of(push_to_hub, tmp_path / "nothing", "owner/model")


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("---\nlanguage: en\n---\n# A model", None),
        ("# A model", None),
        ("---\nlicense: [mit, other]\n---\n", None),
        ("---\nlicense: {\n---\n", None),
        (None, None),
    ],
)
def test_the_licence_that_a_card_names(card, licence, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "parent")
    (folder / "README.md").unlink()
    if card is not None:
        (folder / "README.md").write_text(card)
    assert licence_of(folder) == licence


def test_no_licence_of_what_cannot_be_reached(tmp_path):
    assert licence_of("nobody/no-such-model") is None
    assert licence_of(tmp_path / "nothing") is None
