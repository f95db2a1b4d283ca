"""The memory of a fresh process that serves a model: this module is also the program of that process."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the process that is measured imports only what serving needs
    from transformers import PreTrainedModel

    from .latency import LatencyTarget

_PASSES = 3


def peak_memory(model: PreTrainedModel, target: LatencyTarget) -> float:
    """Return the peak resident memory, in MB of 1e6 bytes, of a new process that loads the model and runs batches.

    Args:
        model: an extracted model in the precision it is stored in.
        target: device, threads, batch size, longest length and precision.

    Raises:
        RuntimeError: the process failed; with what it said.
    """
    from ..supernet.heads import auto_class, head_of
    from ..supernet.storage import quiet

    with tempfile.TemporaryDirectory() as folder:
        with quiet(progress=False):
            model.save_pretrained(folder)
        wanted = {
            "folder": folder,
            "auto_class": auto_class(head_of(model)),
            "device": target.device,
            "threads": target.threads,
            "precision": target.precision,
            "size": (target.batch_size, max(target.request_lengths)),
        }
        command = [sys.executable, "-m", __name__, json.dumps(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the process whose memory was to be measured failed: {done.stderr.strip()[-500:]}")
    return float(done.stdout.split()[-1])


def _peak_megabytes() -> float:
    """Return this process's own peak."""
    # On Linux ru_maxrss begins with the peak of the process that started this one; VmHWM does not.
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _serve(folder: str, auto_class: str, device: str, threads: int, precision: str, size: tuple[int, int]) -> None:
    import torch
    import transformers

    torch.set_num_threads(threads)
    model = getattr(transformers, auto_class).from_pretrained(folder, dtype=getattr(torch, precision))
    model.eval().to(device)
    ids = torch.randint(0, model.config.vocab_size, tuple(size), device=device)
    with torch.inference_mode():
        for _ in range(_PASSES):
            model(input_ids=ids, attention_mask=torch.ones_like(ids))


if __name__ == "__main__":
    _serve(**json.loads(sys.argv[1]))
    print(_peak_megabytes())
