"""How long KCM takes from a fine-tuned model and unlabeled texts to a pruned model.

    python -m secateur.benchmarks.kcm_cost RUN [--texts 2000] [--density 0.6] [--bert-base] [--json]

RUN is a run folder: its training texts are looked at, its fine-tuned model is pruned. With `--bert-base` a model of
BERT-base's size with random weights is pruned instead: what it has learnt does not matter to the time. The paper states
less than 7 minutes on one GPU for every task.
"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from transformers import BertConfig, BertForSequenceClassification

from ..pruners import KCM
from ..run.folder import RunFolder
from ..run.project import load_supernet, on_device, open_task
from ..supernet import Supernet
from .common import JsonOption, show


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned model")],
    texts: Annotated[int, typer.Option(min=1, help="unlabeled texts")] = 2000,
    density: Annotated[float, typer.Option(help="share of the encoder's parameters to keep")] = 0.6,
    bert_base: Annotated[bool, typer.Option("--bert-base", help="a random model of that size")] = False,
    json: JsonOption = False,
) -> None:
    """Time it."""
    folder = RunFolder.open(run)
    task = open_task(folder)
    if bert_base:
        torch.manual_seed(0)
        config = BertConfig()
        config.num_labels = task.num_labels
        supernet = Supernet(BertForSequenceClassification(config).eval())
    else:
        supernet = load_supernet(folder.finetuned)
    on_device(supernet)
    pruned = KCM(texts=texts).prune(supernet, task, density, np.random.default_rng(0))
    found = {"seconds": pruned.provenance.seconds, "texts": pruned.provenance.texts, "density": pruned.density}
    if json:
        print(json_module.dumps(found))
        return
    name = "BERT-base's size, random weights" if bert_base else str(folder.project.model)
    show(f"KCM, {name}, {folder.project.task}", tuple(found), [[f"{value:.4g}" for value in found.values()]])


if __name__ == "__main__":
    typer.run(main)
