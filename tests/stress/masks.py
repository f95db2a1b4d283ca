"""Random masks over families, heads, activations, spaces and widths: slices = extracted = reloaded = ONNX.

    python -m secateur.tests.stress.masks --count 10000 --seed 0

float32 within 1e-5 (ONNX 1e-4), or, where two dimensions are left whose mean is far larger than their spread, what
rounding makes of that: then slices and the extracted model must be the same in float64, within 1e-12. In bfloat16,
slices and the extracted model round at other places, so that they are not compared with each other: slices must not be
further from float32 than three times as far as transformers' own forward pass of the extracted model, and four steps
of a number with 8 bits more.
Rounds are independent of each other: `--first N` leaves the ones before out.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import transformers
import typer
from secateur.search_space import SPACES, EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.families.activations import ACTIVATIONS
from secateur.supernet.heads import auto_class, head_of, read_outputs
from secateur.supernet.shipping.onnx import export_onnx
from secateur.supernet.shipping.session import OnnxModel
from secateur.tasks.batches import Batch
from secateur.tests.tiny import random_batch, tiny_model
from transformers import PreTrainedModel

from .common import Summary

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
FAMILIES = (
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "distilbert",
    "electra",
    "electra with projection",
    "mpnet",
    "nomic_bert",
    "gte",
    "jina_embeddings_v3",
    "modernbert",
    "deberta-v2",
)
NO_ANSWERS = ("nomic_bert", "gte")  # transformers has no model of these families that answers questions
ACTIVATION = {"distilbert": "activation", "modernbert": "hidden_activation"}  # where a family's configuration has it
ANSWERS = "question-answering"
HEADS = ("sequence-classification", ANSWERS, "token-classification")
TOLERANCE, ONNX_TOLERANCE, DOUBLE_TOLERANCE = 1e-5, 1e-4, 1e-12
FURTHER, STEPS = 3.0, 4 * 2.0**-7  # than the extracted model in bfloat16; of the largest output


def main(
    count: Annotated[int, typer.Option(help="masks")] = 10_000,
    seed: Annotated[int, typer.Option(help="of the masks and texts")] = 0,
    first: Annotated[int, typer.Option(help="the number of the first mask")] = 0,
    onnx: Annotated[bool, typer.Option(help="compare ONNX files too, which takes most of the time")] = True,
) -> None:
    """Compare all ways to run a subnetwork."""
    pairs = [(family, head) for head, family in product(HEADS, FAMILIES) if head != ANSWERS or family not in NO_ANSWERS]
    models = {(family, head): of(family, head, place) for place, (family, head) in enumerate(pairs)}
    nets = {name: Supernet(model) for name, model in models.items()}
    summary, worst = Summary("masks", count), dict.fromkeys(("slices", "reloaded", "onnx", "bfloat16"), 0.0)
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        name = pairs[number % len(pairs)]
        kind, mask = random_mask(rng)
        batch = random_batch(models[name], rng)
        found = differences(models[name], nets[name], mask, batch, onnx=onnx)
        limits = {"slices": TOLERANCE, "reloaded": TOLERANCE, "onnx": ONNX_TOLERANCE, "bfloat16": 1.0}
        if not found["slices"] <= TOLERANCE and in_doubles(models[name], mask, batch) <= DOUBLE_TOLERANCE:
            print(f"ROUNDING: mask {number}, {' '.join(name)}, {mask}: slices {found['slices']:.3g}", file=sys.stderr)
            found["slices"] = 0.0
        over = [f"{way} {value:.3g}" for way, value in found.items() if not value <= limits[way]]
        summary.add(kind, f"mask {number}, {' '.join(name)}, {mask}: {', '.join(over)}" if over else None)
        worst = {way: max(value, found.get(way, 0.0)) for way, value in worst.items()}
    raise typer.Exit(summary.close(", ".join(f"largest of {way} {value:.2g}" for way, value in worst.items())))


def of(family: str, head: str, place: int) -> PreTrainedModel:
    """Return a tiny model, its activation one after the other of those that are supported."""
    changes = {ACTIVATION.get(family, "hidden_act"): list(ACTIVATIONS)[place % len(ACTIVATIONS)]}
    return tiny_model(family, head, **changes)


def random_mask(rng: np.random.Generator) -> tuple[str, SubnetMask]:
    """Return a point of a space, or scattered units of any width."""
    names = list(SPACES)
    draw = int(rng.integers(len(names) + 1))
    if draw == len(names):
        keep = rng.uniform(0.0, 1.0, 3)
        hidden = rng.random(16) < max(0.1, keep[2])
        hidden[rng.integers(16)] = True
        return "scattered", SubnetMask(rng.random((3, 4)) < keep[0], rng.random((3, 24)) < keep[1], hidden)
    space = SPACES[names[draw]](SHAPE, elastic_hidden=bool(rng.integers(2)))
    points = (space.sample if rng.integers(2) else space.sample_by_size)(1, rng)
    return names[draw], space.mask(points[0])


@torch.inference_mode()
def differences(
    model: PreTrainedModel, net: Supernet, mask: SubnetMask, batch: Batch, *, onnx: bool
) -> dict[str, float]:
    """Return by how much each way differs from the extracted model."""
    inputs = batch.input_ids, batch.attention_mask, batch.token_type_ids
    extracted = extract(model, mask)
    expected = outputs(extracted, batch)
    found = {"slices": gap(net.subnet(mask).outputs(*inputs), expected)}
    with tempfile.TemporaryDirectory() as folder:
        extracted.save_pretrained(folder)
        auto = getattr(transformers, auto_class(head_of(extracted)))
        found["reloaded"] = gap(outputs(auto.from_pretrained(folder), batch), expected)
        if onnx:
            path = Path(folder) / "model.onnx"
            export_onnx(extracted, path)
            found["onnx"] = float(np.abs(OnnxModel(path).outputs(batch) - expected.numpy()).max(initial=0.0))
    short = outputs(extract(model, mask).to(torch.bfloat16), batch).float()
    sliced = net.subnet(mask, torch.bfloat16).outputs(*inputs).float()
    allowed = FURTHER * gap(short, expected) + STEPS * max(1.0, float(expected.abs().max()))
    found["bfloat16"] = gap(sliced, expected) / allowed
    return found


@torch.inference_mode()
def in_doubles(model: PreTrainedModel, mask: SubnetMask, batch: Batch) -> float:
    """Return by how much slices differ from the extracted model in float64."""
    wide = copy.deepcopy(model).double()
    sliced = Supernet(wide).subnet(mask, torch.float64)
    expected = outputs(extract(wide, mask), batch)
    return float((sliced.outputs(batch.input_ids, batch.attention_mask, batch.token_type_ids) - expected).abs().max())


def outputs(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Return a model's outputs without padding."""
    return read_outputs(model(**batch.inputs), batch.attention_mask)


def gap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference; infinite where one is no number."""
    difference = float((one.float() - other.float()).abs().max()) if one.numel() else 0.0
    return difference if np.isfinite(difference) else float("inf")


if __name__ == "__main__":
    sys.exit(typer.run(main))
