"""What it costs to cut the encoders that people deploy, at their published sizes.

    python -m secateur.benchmarks.encoders [--only NAME] [--length 128] [--rounds 7] [--threads 1] [--json]

Of each a model with random weights is made from the sizes in its published configuration, and a subnetwork of half its
heads and half its neurons, scattered at random, is run on slices, extracted, and written as an ONNX file. Printed are
millions of parameters (all, the word table's share, and what is left of all), the largest difference of the outputs of
slices and of the ONNX file from those of the extracted model, seconds of extraction and of the file, and milliseconds
of one text in PyTorch, whole and half, and of the half in ONNX Runtime: medians of rounds in turn, float32. Nothing is
trained: scores are not to be had here.
"""

from __future__ import annotations

import json as to_json
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import transformers
import typer
from transformers import PreTrainedModel

from ..errors import unknown_name
from ..evaluation.latency import machine_name
from ..search_space import EncoderShape, SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.shipping.onnx import write_onnx
from ..supernet.shipping.session import OnnxModel
from ..supernet.stored.storage import known_segments
from ..tasks.batches import Batch
from .common import JsonOption, in_turn, seconds, show

_BASE = {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12, "intermediate_size": 3072}


@dataclass(frozen=True)
class Encoder:
    """A published encoder.

    Attributes:
        classes: how the names of transformers' classes begin.
        sizes: of its configuration, where they are not the class's own.
    """

    classes: str
    sizes: Mapping[str, Any]


ENCODERS = {
    "bge-reranker-base": Encoder(
        "XLMRoberta", {**_BASE, "vocab_size": 250_002, "max_position_embeddings": 514, "type_vocab_size": 1}
    ),
    "multilingual-e5-small": Encoder(
        "Bert", {**_BASE, "vocab_size": 250_037, "hidden_size": 384, "intermediate_size": 1536}
    ),
    "all-mpnet-base-v2": Encoder("MPNet", {**_BASE, "vocab_size": 30_527, "max_position_embeddings": 514}),
    "nomic-embed-text-v1.5": Encoder("NomicBert", {**_BASE, "vocab_size": 30_528}),
    "gte-modernbert-base": Encoder("ModernBert", {}),
    "mmBERT-small": Encoder(
        "ModernBert", {"vocab_size": 256_000, "hidden_size": 384, "num_attention_heads": 6, "pad_token_id": 0}
    ),
    "deberta-v3-base": Encoder(
        "DebertaV2",
        {
            **_BASE,
            "vocab_size": 128_100,
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
        },
    ),
}


def main(
    only: Annotated[list[str] | None, typer.Option(help="encoders wanted; all if not given")] = None,
    length: Annotated[int, typer.Option(min=2, help="tokens of the text")] = 128,
    rounds: Annotated[int, typer.Option(min=1, help="of timing")] = 7,
    threads: Annotated[int, typer.Option(min=1, help="within an operator")] = 1,
    json: JsonOption = False,
) -> None:
    """Make, cut, compare, time, print."""
    torch.set_num_threads(threads)
    for name in only or ():
        if name not in ENCODERS:
            raise unknown_name("encoder", name, ENCODERS)
    found = {name: _measured(name, length, rounds, threads) for name in only or ENCODERS}
    if json:
        print(to_json.dumps({"machine": machine_name(), "length": length, "encoders": found}))
        return
    forms = {
        "millions": ".1f",
        "words": ".0%",
        "half": ".1f",
        "slices": ".0e",
        "onnx": ".0e",
        "cut s": ".2f",
        "file s": ".1f",
        "ms whole": ".1f",
        "ms half": ".1f",
        "ms onnx": ".1f",
    }
    rows = [(name, *(format(row[key], form) for key, form in forms.items())) for name, row in found.items()]
    show(f"one text of {length} tokens, float32", ("", *forms), rows)


def _measured(name: str, length: int, rounds: int, threads: int) -> dict[str, float]:
    torch.manual_seed(0)
    model = _random_model(ENCODERS[name])
    net, batch = Supernet(model), _text(model, length)
    mask = half(net.shape, np.random.default_rng(0))
    small: list[PreTrainedModel] = []
    found = {"millions": _millions(model), "cut s": seconds(lambda: small.append(extract(model, mask)))}
    found |= {
        "words": net.parameters[f"{net.embeddings.word}.weight"].numel() / 1e6 / found["millions"],
        "half": _millions(small[0]),
    }
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        path = Path(folder) / "model.onnx"
        found["file s"] = seconds(lambda: write_onnx(small[0], path))
        session = OnnxModel(path, threads=threads)
        expected = small[0](**batch.inputs).logits
        sliced = net.subnet(mask).outputs(**batch.inputs)
        found["slices"] = float((sliced - expected).abs().max())
        found["onnx"] = float(np.abs(session.outputs(batch) - expected.numpy()).max())
        ways: dict[str, Callable[[int], object]] = {
            "ms whole": lambda turn: model(**batch.inputs),
            "ms half": lambda turn: small[0](**batch.inputs),
            "ms onnx": lambda turn: session.outputs(batch),
        }
        times = in_turn(list(ways.values()), rounds, name)
    return found | {way: 1e3 * statistics.median(one) for way, one in zip(ways, times, strict=True)}


def _random_model(encoder: Encoder) -> PreTrainedModel:
    config = getattr(transformers, f"{encoder.classes}Config")(**encoder.sizes)
    return getattr(transformers, f"{encoder.classes}ForSequenceClassification")(config).eval()


def half(shape: EncoderShape, rng: np.random.Generator) -> SubnetMask:
    """Return a mask of half the heads and half the neurons of each layer, drawn at random."""

    def drawn(units: int) -> np.ndarray:
        order = rng.permuted(np.tile(np.arange(units), (shape.num_layers, 1)), axis=1)
        return order < units // 2

    return SubnetMask(drawn(shape.num_heads), drawn(shape.intermediate_size), np.ones(shape.hidden_size, bool))


def _text(model: PreTrainedModel, length: int) -> Batch:
    ids = torch.randint(5, 1000, (1, length))
    types = torch.zeros_like(ids) if known_segments(model.config) > 1 else None
    return Batch(ids, types, torch.ones(1, length, dtype=torch.bool), torch.zeros(1), np.arange(1))


def _millions(model: PreTrainedModel) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


if __name__ == "__main__":
    typer.run(main)
