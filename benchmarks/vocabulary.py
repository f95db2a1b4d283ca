"""What a fine-tuned model is worth with the tokens that its training texts need, or so many of the most frequent.

    python -m secateur.benchmarks.vocabulary RUN ... [--keep corpus,8000,4000] [--json]

Of the fine-tuned model of each run: tokens, parameters, megabytes of float32, the score on the report split in the
tokens that are left, and the share of that split's tokens (special ones aside) that are gone and spelled with others.
Nothing is trained after the cut.
"""

from __future__ import annotations

import json as to_json
from pathlib import Path
from typing import Annotated, Any

import typer
from transformers import PreTrainedModel

from ..cli.console import progress
from ..evaluation.latency import machine_name
from ..evaluation.objectives import ERROR
from ..evaluation.objectives.disk import MB
from ..run.folder import RunFolder
from ..run.project import load_supernet, open_task
from ..run.scores import report_errors
from ..run.settings.parsing import parse_vocabulary
from ..run.vocabulary import Vocabularies
from ..supernet.vocabulary.cutting import cut_embeddings
from ..tasks import Task
from .common import JsonOption, show

_ALL = "all"


def main(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs whose model is fine-tuned")],
    keep: Annotated[str, typer.Option(help="comma-separated, as --vocabulary of export has it")] = "corpus,8000,4000",
    json: JsonOption = False,
) -> None:
    """Cut, score, print."""
    asked = {part.strip(): parse_vocabulary(part.strip()) for part in keep.split(",")}
    found = {str(path): _compared(RunFolder.open(path), asked) for path in runs}
    if json:
        print(to_json.dumps({"machine": machine_name(), "runs": found}))
        return
    for path, (metric, rows) in found.items():
        cells = [
            (
                row["keep"],
                f"{row['tokens']:,}",
                f"{row['parameters'] / 1e6:.2f} M",
                f"{row['megabytes']:.1f}",
                f"{row['score']:.4f}",
                f"{row['outside']:.1%}",
            )
            for row in rows
        ]
        show(path, ("kept", "tokens", "parameters", "MB", f"{metric}, report", "spelled with others"), cells)


def _compared(folder: RunFolder, asked: dict[str, int | None]) -> tuple[str, list[dict[str, Any]]]:
    """Return the metric of a run, and what its model is worth with all tokens and with those that are kept."""
    task, model = open_task(folder), load_supernet(folder.finetuned).model.float()
    rows = [{"keep": _ALL, "tokens": int(model.config.vocab_size), **_worth(model, task), "outside": 0.0}]
    with progress(f"{folder.path}") as tick:
        for done, (name, most) in enumerate(asked.items()):
            tick(done, len(asked), name)
            cut = Vocabularies(folder, task).chosen(most)
            values = _worth(cut_embeddings(model, cut.kept), cut.task)
            rows.append({"keep": name, "tokens": len(cut.kept.ids), **values, "outside": cut.outside})
        tick(len(asked), len(asked))
    return task.metric_title, rows


def _worth(model: PreTrainedModel, task: Task) -> dict[str, float]:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "megabytes": parameters * 4 / MB, "score": 1 - report_errors(model, task)[ERROR]}


if __name__ == "__main__":
    typer.run(main)
