"""Fewer residual dimensions, or fewer heads and neurons? Models of the same encoder size, after the same training.

    python -m secateur.benchmarks.residual_width RUN [--shares 1/2,1/4] [--steps 200] [--json]

Of the fine-tuned model of a run there are made, for each share of the encoder's parameters,

- `width`: the residual dimensions of the highest scores (`pruners.importance.width`, as the supernet of
  `--elastic-hidden` sorts them), all heads and neurons kept;
- `units`: heads and neurons as `ziplm` chooses them, refitted, all dimensions kept;

and both are distilled from the fine-tuned model as a rung of the ladder is. Printed are parameters, the word table
included, which the width alone makes smaller; scores on the report split before and after the training; and what the
units are better by afterwards, with the 95 % interval of a paired bootstrap over rows.
"""

from __future__ import annotations

import json as json_module
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from transformers import PreTrainedModel

from ..evaluation.answers import Answers, mean_difference_interval
from ..evaluation.latency import machine_name
from ..evaluation.model_error import model_outputs
from ..pruners import make_pruner
from ..pruners.importance.width import width_scores
from ..run.folder import RunFolder
from ..run.project import load_supernet, on_device, open_task
from ..run.settings.ladder import LadderSettings
from ..run.settings.parsing import parse_shares
from ..run.settings.recovery import RecoverOptions
from ..run.ship.recovery import distilled
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract, kept_layers
from ..supernet.stored.storage import load_model
from ..tasks import Task
from .common import JsonOption, console, show


def narrow(whole: Supernet, task: Task, share: float, rng: np.random.Generator) -> SubnetMask:
    """Return the mask of the dimensions that score highest, as many as fit into a share of the encoder."""
    shape, full = whole.shape, SubnetMask.full(whole.shape)
    order = np.argsort(-width_scores(whole, task, rng), kind="stable")
    for count in range(shape.hidden_size, 0, -1):
        mask = SubnetMask(full.heads, full.neurons, np.isin(np.arange(shape.hidden_size), order[:count]))
        if mask.encoder_parameters(shape) <= share * shape.encoder_parameters:
            return mask
    raise ValueError(f"one dimension exceeds a share of {share:g}")


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned model")],
    shares: Annotated[str, typer.Option(help="of the encoder's parameters")] = "1/2,1/4",
    steps: Annotated[int, typer.Option(help="of distillation, each model")] = LadderSettings().steps,
    json: JsonOption = False,
) -> None:
    """Make, train, print."""
    folder = RunFolder.open(run)
    task, seed = open_task(folder), folder.project.seed
    options = RecoverOptions(steps=steps, learning_rate=LadderSettings().learning_rate)

    def answers(model: PreTrainedModel) -> Answers:
        splits = list(task.report.values())
        outputs = [model_outputs(model.eval(), split, pad_token_id=task.pad_token_id) for split in splits]
        return Answers.of(task.metric, outputs, splits)

    def trained(model: PreTrainedModel, layers: list[int]) -> PreTrainedModel:
        with tempfile.TemporaryDirectory() as state:
            whole = load_model(folder.finetuned)
            distilled(whole, model, task, options, seed, Path(state), lambda _: None, layers)
        return model

    fine_tuned = load_model(folder.finetuned)
    size, score = sum(one.numel() for one in fine_tuned.parameters()), 1 - answers(fine_tuned).error()
    rows: list[dict[str, Any]] = [{"share": "1", "kept": "all", "parameters": size, "before": score, "after": score}]
    for title, share in zip(shares.split(","), map(float, parse_shares(shares)), strict=True):
        whole, found = on_device(load_supernet(folder.finetuned)), {}
        mask = narrow(whole, task, share, np.random.default_rng(seed))
        pruned = make_pruner("ziplm").prune(whole, task, share, np.random.default_rng(seed))
        made = {"width": (extract(whole.model, mask), mask), "units": (pruned.model, pruned.mask)}
        for name, (model, kept) in made.items():
            before = 1 - answers(model).error()
            found[name] = answers(trained(model, kept_layers(kept)))
            parameters = sum(one.numel() for one in model.parameters())
            row = {"share": title, "kept": name, "parameters": parameters, "before": before}
            rows.append(row | {"after": 1 - found[name].error()})
            console.print(f"{title} {name}: {before:.4f}, {rows[-1]['after']:.4f}")
        rows[-1]["better_by"] = rows[-1]["after"] - rows[-2]["after"]
        rows[-1]["interval"] = mean_difference_interval([found["width"]], [found["units"]], seed=0)
    if json:
        print(json_module.dumps({"machine": machine_name(), "rows": rows}))
        return
    cells = [
        (
            row["share"],
            row["kept"],
            f"{row['parameters'] / 1e6:.2f} M",
            f"{100 * row['before']:.1f}",
            f"{100 * row['after']:.1f}",
            f"{100 * row['better_by']:+.1f}" if "better_by" in row else "",
            "{:+.1f} to {:+.1f}".format(*(100 * end for end in row["interval"])) if "interval" in row else "",
        )
        for row in rows
    ]
    header = ("encoder", "cut by", "parameters", "cut", "trained", "units better by", "95 %")
    show(f"{run}: {task.metric_title} x 100, report split, {steps} steps", header, cells)


if __name__ == "__main__":
    typer.run(main)
