"""The model of a nested checkpoint that is best within budgets, cut out as it is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from ...errors import InputError, unknown_name
from ...evaluation.choice import Candidate, choose
from ...evaluation.evaluation import SELECTION, Evaluation
from ...evaluation.latency.runtime import RUNTIMES, TORCH
from ...evaluation.weights import Weights
from .answer import budgets_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ...supernet.shipping.session import FileModel
    from ...supernet.stored.nested import Nested, NestedModel


@overload
def load(
    folder: str | Path, *, key: str | None = None, runtime: Literal["torch"] = "torch", **budgets: float
) -> PreTrainedModel: ...


@overload
def load(
    folder: str | Path,
    *,
    key: str | None = None,
    runtime: str,
    threads: int | None = None,
    texts: Iterable[str | tuple[str, str]] = (),
    **budgets: float,
) -> FileModel: ...


def load(
    folder: str | Path,
    *,
    key: str | None = None,
    runtime: str = TORCH,
    threads: int | None = None,
    texts: Iterable[str | tuple[str, str]] = (),
    **budgets: float,
) -> PreTrainedModel | FileModel:
    """Return a model of a nested checkpoint, as `secateur nest` writes it; the run that it is of is not needed.

    Of several models within budgets it is the one of the lowest error on the selection split; within a budget of that
    error alone the one of the smallest encoder. Without a budget it is the most accurate one.

    Args:
        folder: the nested checkpoint.
        key: the model's, as `front` prints it.
        runtime: what runs the model: `torch`, or `onnxruntime`, `onnxruntime-int8`, `openvino`, `openvino-int8`, which
            it is converted for, and quantised, as it is loaded.
        threads: of another runtime than torch; all cores if None.
        texts: texts or pairs that `openvino-int8` finds its scales on: some hundred that the model is going to read.
        **budgets: instead of a key, limits by objective: `latency_ms`, which a table predicts for the machine that the
            checkpoint names, `encoder_parameters`, `parameters`, `macs`, `memory_mb`, `disk_mb`, `error`.

    Returns:
        A model of transformers in float32, or the precision that it was trained in, on the CPU and in evaluation mode.
        It shares no memory with others. Of another runtime what is called like it, with arrays as well, and gives the
        same under the same names.

    Raises:
        InputError: no such checkpoint, a damaged one, no such key, budgets that no model keeps, an unknown runtime, or
            one that is not installed.

    Example:
        >>> model = secateur.load("family", latency_ms=8)
        >>> small = secateur.load("family", parameters=14e6, runtime="onnxruntime-int8", threads=1)
        >>> small(**tokenizer(["a good film"], return_tensors="np")).logits
    """
    from ...supernet.stored.nested import read_nested  # here: who looks the name up only needs no torch

    nested = read_nested(folder)
    chosen = chosen_of(nested, key, budgets)
    if runtime == TORCH:
        return nested.load(chosen)
    served = RUNTIMES.get(runtime)
    if served is None or served.engine is None:
        raise unknown_name("runtime", runtime, RUNTIMES)
    return _served(nested, chosen, served.engine, served.int8, threads, texts)


def _served(
    nested: Nested,
    chosen: NestedModel,
    name: str,
    int8: bool,
    threads: int | None,
    texts: Iterable[str | tuple[str, str]],
) -> FileModel:
    """Return a model as another program than PyTorch runs it, from a file that is gone by then."""
    from ...supernet.shipping.engines import ENGINES
    from ...supernet.shipping.texts import scale_batches
    from ...supernet.stored.storage import load_tokenizer, model_positions

    engine = ENGINES[name]
    engine.check_installed(int8=int8)
    pairs = [(text,) if isinstance(text, str) else tuple(text) for text in texts]
    if int8 and name == "openvino" and not pairs:
        raise InputError(
            "OpenVINO's int8 finds its scales on texts; give some hundred that the model is going to read as `texts`, "
            "or take onnxruntime-int8"
        )
    model = nested.load(chosen).float()
    batches = scale_batches(pairs, load_tokenizer(nested.folder), model_positions(model.config)) if pairs else []
    return engine.opened(model, int8=int8, threads=threads, texts=batches)


def chosen_of(nested: Nested, key: str | None, budgets: Mapping[str, float]) -> NestedModel:
    """Return the model that a key names, or the best within budgets.

    Raises:
        InputError: no such key, budgets that are none or that no model keeps, or both.
    """
    models = list(nested.models)
    if key is not None:
        if budgets:
            raise InputError("`key` names a model and budgets choose one; give one of the two")
        models = [model for model in models if model.key == key]
        if not models:
            known = ", ".join(dict.fromkeys(model.key for model in nested.models))
            raise InputError(f"{nested.folder} has no model {key!r}; its keys: {known}")
    _check_budgets(budgets, models)
    found = {id(one.evaluation): (one, model) for one, model in ((_candidate(model), model) for model in models)}
    chosen = choose([one for one, _ in found.values()], budgets)
    if chosen is None:
        raise _nothing_within(nested, budgets)
    return found[id(chosen.evaluation)][1]


def _check_budgets(budgets: Mapping[str, float], models: Sequence[NestedModel]) -> None:
    known = set.intersection(*(set(model.values) for model in models))
    for name, limit in budgets.items():
        if name not in known:
            raise unknown_name("budget", name, known)
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit < math.inf:
            raise InputError(f"`{name}` needs a number above 0; got {limit!r}")


def _candidate(model: NestedModel) -> Candidate:
    """Return what `pick` would choose among; of the evaluation nothing else is known here, nor asked."""
    evaluation = Evaluation(
        key=model.key,
        mask=model.mask,
        x=None,
        space="",
        method="",
        seed=0,
        split=SELECTION,
        values=model.values,
        seconds=0.0,
        asked=False,
        weights=Weights(model.weights),
    )
    return Candidate(evaluation, model.values)


def _nothing_within(nested: Nested, budgets: Mapping[str, float]) -> InputError:
    least = [f"{name} {min(model.values[name] for model in nested.models):.6g}" for name in budgets]
    each = " each by itself" if len(least) > 1 else ""
    machine = f" (latencies are predicted for {nested.conditions})" if "latency_ms" in budgets else ""
    return InputError(
        f"no model of {nested.folder} keeps {budgets_text(budgets)}; the least there is{each}: "
        f"{', '.join(least)}{machine}"
    )
