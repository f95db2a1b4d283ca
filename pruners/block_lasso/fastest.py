"""Which way of running removed groups is the fastest: measured, not derived."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from ...evaluation.latency import Bench, Latency, LatencyTarget
from ...supernet.packed.packed import FORMS, in_form


@dataclass(frozen=True)
class Fastest:
    """A model in the form that it runs fastest in.

    Attributes:
        model: independent, in the precision and on the device of the one it was made of.
        form: a name of FORMS.
        latencies: of all forms that run on the target, by name.
        spread: how much the machine's speed varied meanwhile.
    """

    model: PreTrainedModel
    form: str
    latencies: dict[str, Latency]
    spread: float


def fastest(model: PreTrainedModel, target: LatencyTarget, *, seconds: float = 5.0) -> Fastest:
    """Time a model in every form that runs, in turn, and return the fastest.

    Args:
        model: whose slabs are marked, in any form; left as it is.
        target: device, threads, batch size, length and precision.
        seconds: to spend, at least one turn of each.
    """
    bench = Bench(in_form(model, "dense"), target)
    forms = {form: made for form in FORMS if (made := _running(model, form, target)) is not None}
    places = dict(zip(forms, bench.add(*forms.values(), seconds=seconds), strict=True))
    latencies = {form: bench.latency(place) for form, place in places.items()}
    best = min(latencies, key=lambda form: latencies[form].median)
    return Fastest(in_form(model, best), best, latencies, bench.spread)


@torch.inference_mode()
def _running(model: PreTrainedModel, form: str, target: LatencyTarget) -> PreTrainedModel | None:
    """Return a copy in a form, on the target's device and in its precision; None where PyTorch does not run it."""
    try:
        made = in_form(model, form).eval().to(device=target.device, dtype=getattr(torch, target.precision))  # pyright: ignore[reportArgumentType, reportCallIssue]
        made(input_ids=torch.zeros(1, 1, dtype=torch.long, device=target.device))
    except RuntimeError:
        if form != "bsr":
            raise
        return None
    return made
