"""Tasks that tiny models learn in seconds: some tokens of a text name its class, others are noise.

Run as a program it calls one of its functions, for tests that kill it or run two of it.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from accelerate import PartialState
from secateur.search_space import SPACES
from secateur.supernet import Supernet
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.settings import FinetuneSettings, SupernetSettings
from secateur.supernet.training.supernet_training import Progress, train_supernet
from secateur.tasks.kinds import KINDS
from secateur.tasks.metrics import METRICS
from secateur.tasks.passages import Passages
from secateur.tasks.split import Split
from secateur.tasks.task import Task
from secateur.tests.tiny import VOCABULARY, tiny_model
from transformers import PreTrainedModel

CLASSES = 3
FIRST_NOISE = 10  # tokens 5, 6 and 7 name the classes


def toy_split(size: int, rng: np.random.Generator) -> Split:
    labels = rng.integers(CLASSES, size=size)
    rows = []
    for label in labels:
        row = rng.integers(FIRST_NOISE, VOCABULARY, size=rng.integers(3, 9)).astype(np.int32)
        row[rng.integers(1, len(row))] = 5 + label
        rows.append(row)
    return Split(rows, None, labels)


def toy_spans(size: int, rng: np.random.Generator) -> Split:
    """Return texts whose answer goes from token 5 to token 6, or is token 7; every fourth has none."""
    rows, labels, spans, contexts, answers = [], np.zeros((size, 2), np.int64), [], [], []
    for i in range(size):
        row = rng.integers(FIRST_NOISE, VOCABULARY, size=rng.integers(3, 9)).astype(np.int32)
        begin = rng.integers(1, len(row))
        end = rng.integers(begin, len(row))
        if i % 4:
            row[[begin, end]] = (5, 6) if begin < end else 7
            labels[i] = begin, end
        words = [f"{token:02d}" for token in row[1:]]  # of the context, which begins behind the first token
        places = 3 * np.arange(len(words))[:, None] + np.array([0, 2])
        rows.append(row)
        spans.append(np.vstack([[-1, -1], places]).astype(np.int32))
        contexts.append(" ".join(words))
        answers.append((" ".join(words[begin - 1 : end]),) if i % 4 else ())
    passages = Passages(np.arange(size), spans, tuple(contexts), tuple(answers), unanswerable=True)
    return Split(rows, None, labels, per_token=True, passages=passages)


def toy_tags(size: int, rng: np.random.Generator) -> Split:
    """Return texts whose tokens 5 and 6 are of a class each; of the first token nothing is said."""
    rows, labels = [], []
    for count in rng.integers(3, 9, size=size):
        noise, marks = rng.integers(FIRST_NOISE, VOCABULARY, size=count), rng.integers(5, 7, size=count)
        row = np.where(rng.random(count) < 0.5, marks, noise).astype(np.int32)
        rows.append(row)
        labels.append(np.where(np.arange(count) == 0, -100, (row == 5) + 2 * (row == 6)))
    return Split(rows, None, labels, per_token=True, tags=("O", "B-X", "I-X"))


def toy_vectors(size: int, rng: np.random.Generator) -> Split:
    """Return texts, and vectors that depend on the class that a token names."""
    split = toy_split(size, rng)
    return replace(split, labels=np.eye(3, dtype=np.float32)[split.labels] + 0.1)


_KINDS = {
    "embedding": (toy_vectors, ("vector",), "agreement"),
    "classification": (toy_split, ("red", "green", "blue"), "accuracy"),
    "question-answering": (toy_spans, ("start", "end"), "squad_f1"),
    "token-classification": (toy_tags, ("O", "B-X", "I-X"), "token_accuracy"),
}


def toy_task(size: int = 50, kind: str = "classification") -> Task:
    rng = np.random.default_rng(0)
    split, label_names, metric = _KINDS[kind]
    return Task(
        name="toy",
        kind=KINDS[kind],
        label_names=label_names,
        metric=METRICS[metric],
        train=split(size, rng),
        selection=split(200, rng),
        report={"validation": split(10, rng)},
        pad_token_id=0,
        truncated=0,
        fingerprint="toy",
        is_pair=False,
    )


def as_numbers(task: Task, labels: np.ndarray | None = None) -> Task:
    """Return a task of classes as a regression on the classes' numbers, or on others for its training split."""
    train = replace(task.train, labels=(task.train.labels if labels is None else labels).astype(np.float32))
    return replace(task, train=train, kind=KINDS["regression"], label_names=("score",), metric=METRICS["pearson"])


SUPERNET = SupernetSettings(
    learning_rate=2e-3, batch_size=8, epochs=3, precision="float32", dropout="all", save_seconds=0, sampling="paper"
)
FINETUNE = FinetuneSettings(learning_rate=2e-3, batch_size=8, epochs=3, save_seconds=0)
STEPS = 21  # ceil(50 / 8) * 3


def train(
    stage: str,
    state: Path | None,
    report: Callable[[Progress], None] | None = None,
    settings: SupernetSettings | FinetuneSettings | None = None,
) -> PreTrainedModel:
    """Train a tiny BERT in one of the two stages, "finetune" or "supernet"; return it."""
    model = tiny_model("bert")
    if stage == "finetune":
        chosen = settings if isinstance(settings, FinetuneSettings) else FINETUNE
        finetune(model, toy_task(), chosen, seed=7, state=state, report=report)
    else:
        chosen = settings if isinstance(settings, SupernetSettings) else SUPERNET
        supernet = Supernet(model)
        train_supernet(
            supernet, SPACES["medium"](supernet.shape), toy_task(), chosen, seed=7, state=state, report=report
        )
    return model


def until_killed(stage: str, state: str) -> None:
    """Train with resume points, one line per step."""
    torch.set_num_threads(1)
    train(stage, Path(state), lambda progress: print(progress.done, flush=True))


TOGETHER = ("classification", "token-classification")  # kinds whose batches are shared by two processes


def _note(found: dict[str, torch.Tensor], kind: str, model: PreTrainedModel, progress: Progress) -> None:
    gradients = {f"{kind} {progress.done} {name}": p.grad for name, p in model.named_parameters()}
    found |= {name: gradient.clone() for name, gradient in gradients.items() if gradient is not None}


def both_stages(file: str) -> None:
    """Train in both stages without dropout; write the gradients of the supernet's steps and the weights of both."""
    torch.set_num_threads(1)
    state = Path(file).parent / f"state of {'two' if 'WORLD_SIZE' in os.environ else 'one'}"
    found: dict[str, torch.Tensor] = {}
    for kind in TOGETHER:
        task = toy_task(kind=kind)
        model = tiny_model("bert", task.kind.head)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        recipe = FINETUNE.model_copy(update={"epochs": 0.7})
        finetune(model, task, recipe, seed=7, state=state / f"{kind} finetune")
        found |= {f"{kind} fine-tuned {name}": p.detach().clone() for name, p in model.named_parameters()}

        model = tiny_model("bert", task.kind.head)
        supernet = Supernet(model)

        report = partial(_note, found, kind, model)
        settings = SUPERNET.model_copy(update={"dropout": "none", "epochs": 0.7})
        space = SPACES["medium"](supernet.shape)
        train_supernet(supernet, space, task, settings, seed=7, state=state / f"{kind} supernet", report=report)
        found |= {f"{kind} supernet {name}": p.detach() for name, p in model.named_parameters()}
    found["processes"] = torch.tensor(PartialState().num_processes)
    safetensors.torch.save_file(found, file)


if __name__ == "__main__":
    {"until killed": until_killed, "both stages": both_stages}[sys.argv[1]](*sys.argv[2:])
