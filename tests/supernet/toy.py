"""A task that tiny models learn in seconds: one token of each text names its class, the others are noise.

Run as a program it calls one of its functions, for tests that kill it or run two of it.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from accelerate import PartialState
from secateur.search_space import SPACES
from secateur.supernet import Supernet
from secateur.supernet.finetuning import finetune
from secateur.supernet.settings import FinetuneSettings, SupernetSettings
from secateur.supernet.training import Progress, train_supernet
from secateur.tasks.task import METRICS, Split, Task
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


def toy_task(size: int = 50) -> Task:
    rng = np.random.default_rng(0)
    return Task(
        name="toy",
        kind="classification",
        label_names=("red", "green", "blue"),
        metric=METRICS["accuracy"],
        train=toy_split(size, rng),
        selection=toy_split(200, rng),
        report={"validation": toy_split(10, rng)},
        pad_token_id=0,
        truncated=0,
        fingerprint="toy",
        is_pair=False,
    )


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


def both_stages(file: str) -> None:
    """Train in both stages without dropout; write the gradients of the supernet's steps and the weights of both."""
    torch.set_num_threads(1)
    model = tiny_model("bert")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    state = Path(file).parent / f"state of {'two' if 'WORLD_SIZE' in os.environ else 'one'}"
    finetune(model, toy_task(), FINETUNE.model_copy(update={"epochs": 0.7}), seed=7, state=state / "finetune")
    found = {f"fine-tuned {name}": p.detach().clone() for name, p in model.named_parameters()}

    model = tiny_model("bert")
    supernet = Supernet(model)

    def note(progress: Progress) -> None:
        gradients = {f"{progress.done} {name}": p.grad for name, p in model.named_parameters()}
        found.update({name: gradient.clone() for name, gradient in gradients.items() if gradient is not None})

    settings = SUPERNET.model_copy(update={"dropout": "none", "epochs": 0.7})
    space = SPACES["medium"](supernet.shape)
    train_supernet(supernet, space, toy_task(), settings, seed=7, state=state / "supernet", report=note)
    found["processes"] = torch.tensor(PartialState().num_processes)
    found |= {f"supernet {name}": p.detach() for name, p in model.named_parameters()}
    safetensors.torch.save_file(found, file)


if __name__ == "__main__":
    {"until killed": until_killed, "both stages": both_stages}[sys.argv[1]](*sys.argv[2:])
