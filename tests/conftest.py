"""Shared fixtures. What needs torch is imported inside them: many tests do without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

os.environ["SECATEUR_LATENCY_SECONDS"] = "1"  # tables of tiny models, which tests make by the dozen, need no more
MODEL_NAMES = (
    "bert",
    "roberta",
    "distilbert",
    "electra",
    "electra with projection",
    "mpnet",
    "nomic_bert",
    "modernbert",
    "deberta-v2",
)
# Kin of these, under other names or with other biases: tests of what is theirs alone have them too.
ALL_NAMES = (*MODEL_NAMES, "xlm-roberta", "camembert", "gte", "jina_embeddings_v3")
LONG = ("test_notebooks.py", "test_docs.py", "test_distributed.py", "test_kill.py", "test_trained.py", "test_ladder.py")
HEADS = ("sequence-classification", "question-answering", "token-classification")
NO_ANSWERS = ("nomic_bert", "gte")  # transformers has no model of these families that answers questions
HEADED = [
    (name, head) for name in ALL_NAMES for head in HEADS if name not in NO_ANSWERS or head != "question-answering"
]
# All heads for embedding are one and the same: `tests/supernet/test_sentence.py` has those of the other families.
HEADED += [("bert", "embedding"), ("modernbert", "embedding")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose single tests are long, so that no worker is left alone with one of them."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def equal_memory() -> Iterator[None]:
    """The memory of a process that serves a tiny model is Python's and its libraries', whatever the model's sizes.

    So a process measures it once for each class and target, not for each model that a test chooses.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("secateur.evaluation.serving._sizes", lambda model: ())
        yield


@pytest.fixture(scope="session")
def tiny_models() -> dict[str, PreTrainedModel]:
    """One per layout (see `secateur.tests.tiny`); tests must leave them as they are."""
    from secateur.tests.tiny import tiny_model

    return {name: tiny_model(name) for name in MODEL_NAMES}


@pytest.fixture(scope="session", params=MODEL_NAMES)
def model(request, tiny_models) -> PreTrainedModel:
    """Each of the tiny models; tests must leave it as it is."""
    return tiny_models[request.param]


@pytest.fixture(scope="session", params=HEADED, ids=" for ".join)
def headed(request) -> PreTrainedModel:
    """Each of the tiny models with each head; tests must leave it as it is."""
    from secateur.tests.tiny import tiny_model

    return tiny_model(*request.param)


@pytest.fixture(scope="session")
def batch(model) -> dict[str, torch.Tensor]:
    """A padded batch for `model`; tests must leave it as it is."""
    from secateur.tests.tiny import padded_batch

    return padded_batch(model)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    from secateur.tests.tiny import tiny_tokenizer

    return tiny_tokenizer()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Bitwise equal results need equal numbers of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
