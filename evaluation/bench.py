"""Checkpoints side by side, as they would be served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import transformers
from transformers import AutoConfig, PreTrainedModel

from ..errors import InputError
from ..supernet.families import FAMILIES
from ..supernet.heads import stored_head
from ..supernet.stored.extracted import is_extracted
from ..supernet.stored.storage import find_source, load_model, model_positions, one_line_errors, quiet
from .latency import Bench, Latency, LatencyTarget
from .objectives.disk import MB
from .serving import peak_memory


@dataclass(frozen=True)
class Served:
    """One checkpoint, served in one way.

    Attributes:
        latency: of a batch, in turn with the other checkpoints'.
        texts: texts per second, at the median.
        memory_mb: peak resident memory of a new process that serves it, in MB of 1e6 bytes; None if not asked for.
    """

    latency: Latency
    texts: float
    memory_mb: float | None


def load_any(name: str) -> PreTrainedModel:
    """Load a checkpoint of any kind of encoder, with its head if it has one, in evaluation mode.

    Raises:
        InputError: no such model, or a damaged one.
    """
    source = find_source(name)
    with quiet(progress=not source.local), one_line_errors(source):
        config = AutoConfig.from_pretrained(source.name, local_files_only=source.offline, trust_remote_code=False)
        ours = is_extracted(config) or config.model_type in FAMILIES
        if ours and stored_head(config):
            return load_model(name)
        made = getattr(transformers, (config.architectures or [""])[0], transformers.AutoModel)
        return made.from_pretrained(source.name, dtype="auto", local_files_only=source.offline).eval()


def check_positions(name: str, model: PreTrainedModel, length: int) -> None:
    """Refuse texts that are longer than a model can read.

    Raises:
        InputError: they are.
    """
    config = model.config
    ours = is_extracted(config) or config.model_type in FAMILIES
    positions = model_positions(config) if ours else int(getattr(config, "max_position_embeddings", length))
    if length > positions:
        raise InputError(f"`sequence_length` is {length}, but {name} has {positions} positions; give at most that")


def serve(
    models: list[PreTrainedModel], target: LatencyTarget, *, seconds: float, memory: bool
) -> tuple[list[Served], float]:
    """Serve all models in one way; also return how much the first one's time varied.

    Args:
        models: timed in turn.
        target: the way.
        seconds: of timing, for each.
        memory: also measure a new process that serves it, where that is on the CPU.
    """
    wanted = memory and target.device == "cpu"
    peaks = [peak_memory(model, target) if wanted else None for model in models]  # before timing casts them
    timed = Bench(models[0], target)
    places = timed.add(*models, seconds=seconds * len(models), rounds=1000)
    latencies = [timed.latency(place) for place in places]
    texts = [target.batch_size / latency.median * 1e3 for latency in latencies]
    return [Served(*one) for one in zip(latencies, texts, peaks, strict=True)], timed.spread


def sizes_of(name: str, model: PreTrainedModel) -> dict[str, float]:
    """Return a model's parameters, and the MB of its weights as they are stored."""
    folder = Path(name)
    files = list(folder.glob("*.safetensors")) if folder.is_dir() else []
    stored = sum(file.stat().st_size for file in files) or sum(p.nbytes for p in model.parameters())
    return {"parameters": sum(p.numel() for p in model.parameters()), "weights_mb": stored / MB}
