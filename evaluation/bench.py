"""Checkpoints side by side, as they would be served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel

from ..errors import InputError, unknown_name
from ..supernet.families import FAMILIES
from ..supernet.heads import stored_head
from ..supernet.stored.extracted import is_extracted
from ..supernet.stored.storage import find_source, load_model, model_positions, one_line_errors, quiet
from .latency import RUNTIMES, Bench, Latency, LatencyTarget, machine_name
from .latency.runtime import PRECISIONS, SHORT_NAMES
from .load import under_load
from .objectives.disk import MB
from .serving import peak_memory
from .work import Load, UnderLoad

_PRECISIONS = {name: name for name in PRECISIONS} | SHORT_NAMES


@dataclass(frozen=True)
class Served:
    """One checkpoint, served in one way.

    Attributes:
        latency: of a batch, in turn with the other checkpoints'.
        texts: texts per second, at the median.
        memory_mb: peak resident memory of a new process that serves it, in MB of 1e6 bytes; None if not asked for.
        under_load: what requests take in processes that serve it; None if not asked for.
    """

    latency: Latency
    texts: float
    memory_mb: float | None
    under_load: UnderLoad | None


def ways_to_serve(
    runtimes: str, precisions: str, batch_sizes: str, *, sequence_length: int, threads: int | None, device: str
) -> list[LatencyTarget]:
    """Return all ways of serving on this machine that are meant; of the texts each has commas between its parts.

    Args:
        runtimes: names of RUNTIMES; one that restricts the device and the precision is meant once.
        precisions: of the others.
        batch_sizes: texts per batch.
        sequence_length: tokens per text.
        threads: PyTorch's own number if None.
        device: `cpu`, `cuda`, or `auto`: CUDA where there is one.

    Raises:
        InputError: no such runtime, precision, batch size, or device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("`device` is cuda, but PyTorch finds no CUDA device here; give cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    names = _names("runtime", runtimes, RUNTIMES)
    free = [{"device": device, "precision": _PRECISIONS[name]} for name in _names("precision", precisions, _PRECISIONS)]
    return [
        LatencyTarget(
            machine=machine_name(way["device"]),
            device=way["device"],
            threads=threads or torch.get_num_threads(),
            batch_size=batch_size,
            sequence_length=sequence_length,
            precision=way["precision"],
            runtime=name,
        )
        for batch_size in _batch_sizes(batch_sizes)
        for name in names
        for way in ([RUNTIMES[name].restricts] if RUNTIMES[name].restricts else free)
    ]


def _names(what: str, text: str, known: Iterable[str]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise unknown_name(what, name, known)
    return names


def _batch_sizes(text: str) -> list[int]:
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise InputError(f"`batch_size` is one or several numbers of texts, comma-separated, got {text!r}; give 1,32")
    return sizes


def load_any(name: str, length: int) -> PreTrainedModel:
    """Load a checkpoint of any kind of encoder, with its head if it has one, in evaluation mode.

    Args:
        name: a folder, or a name on the hub.
        length: tokens of the texts that it is to read.

    Raises:
        InputError: no such model, a damaged one, or texts longer than it can read.
    """
    source = find_source(name)
    with quiet(progress=not source.local), one_line_errors(source):
        config = AutoConfig.from_pretrained(source.name, local_files_only=source.offline, trust_remote_code=False)
        ours = is_extracted(config) or config.model_type in FAMILIES
        positions = model_positions(config) if ours else int(getattr(config, "max_position_embeddings", length))
        if length > positions:
            raise InputError(f"`sequence_length` is {length}, but {name} has {positions} positions; give at most that")
        if ours and stored_head(config):
            return load_model(name)
        made = getattr(transformers, (config.architectures or [""])[0], transformers.AutoModel)
        return made.from_pretrained(source.name, dtype="auto", local_files_only=source.offline).eval()


def serve(
    models: list[PreTrainedModel], target: LatencyTarget, *, seconds: float, memory: bool, load: Load | None = None
) -> tuple[list[Served], float]:
    """Serve all models in one way; also return how much the first one's time varied.

    Args:
        models: timed in turn.
        target: the way.
        seconds: of timing, for each.
        memory: also measure a new process that serves it, where that is on the CPU.
        load: also ask processes that serve it, as so much does; one model after the other.
    """
    asked = [load and under_load(model, target, load, seconds=seconds) for model in models]
    wanted = memory and target.device == "cpu"
    peaks = [peak_memory(model, target) if wanted else None for model in models]  # before timing casts them
    timed = Bench(models[0], target)
    places = timed.add(*models, seconds=seconds * len(models), rounds=1000)
    latencies = [timed.latency(place) for place in places]
    texts = [target.batch_size / latency.median * 1e3 for latency in latencies]
    return [Served(*one) for one in zip(latencies, texts, peaks, asked, strict=True)], timed.spread


def sizes_of(name: str, model: PreTrainedModel) -> dict[str, float]:
    """Return a model's parameters, and the MB of its weights as they are stored."""
    folder = Path(name)
    files = list(folder.glob("*.safetensors")) if folder.is_dir() else []
    stored = sum(file.stat().st_size for file in files) or sum(p.nbytes for p in model.parameters())
    return {"parameters": sum(p.numel() for p in model.parameters()), "weights_mb": stored / MB}
