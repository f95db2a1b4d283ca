"""What each step of an export came to."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from ...digests import read_json, seal, write_json
from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import SELECTION, Evaluation
from ...evaluation.latency import RUNTIMES, Bench, Latency, LatencyTarget, busy
from ...evaluation.latency.runtime import TORCH
from ...evaluation.model import rounded
from ...evaluation.model_error import few_inputs
from ...evaluation.objectives import ERROR
from ...evaluation.objectives.disk import MB
from ...supernet import Supernet
from ...supernet.shipping.checkpoint import write_card
from ...supernet.shipping.files import EngineFile, engine_files, int8_sections, too_far, write_engine_files
from ...supernet.shipping.hub import check_hub, check_name, push_to_hub
from ...supernet.shipping.layouts import check_readable, layout_of, write_layout
from ...supernet.shipping.model_card import SERVED, CardFacts, markdown_table
from ...supernet.shipping.onnx import TOLERANCE
from ...supernet.shipping.vocabulary import VOCABULARY
from ...supernet.stored.replacing import check_replaceable, replacing
from ...supernet.stored.storage import load_model, load_tokenizer, quiet
from ...supernet.vocabulary.cutting import cut_embeddings
from ...tasks import Task
from ..choice.columns import Column
from ..choice.front import open_archive
from ..constant import constant_note
from ..folder import RunFolder
from ..gate import Int8Judge, quantise_within
from ..latency import latency_table_here
from ..model import on_report, open_subnet
from ..project import load_supernet, open_encoder
from ..recipes import can_refit
from ..scores import few_texts, file_errors, report_errors
from ..settings.parsing import parse_vocabulary
from ..settings.ship import ExportSettings
from ..vocabulary import CutVocabulary, Vocabularies
from .checkpoint import Extracted, card_facts, chosen_evaluations, save
from .recovery import recovered, recovery_line
from .refit import refit_line, refitted
from .request import Request
from .thresholds import as_served, threshold_section

# Of the settings: what is done with a model that is made.
_LATER = {"to", "vocabulary", "onnx", "int8", "openvino", "layouts", "form", "push", "private"}
_SECONDS, _ROUNDS = 3.0, 100  # of timing, for each runtime
WHOLE, CUT, REFITTED, RECOVERED, RESPELLED = "whole model", "cut out", "refitted", "recovered", "fewer tokens"


@dataclass(frozen=True)
class Row:
    """What one form of a model is worth.

    Attributes:
        model: the whole one, what was cut out of it, or that after a refit, a recovery or with fewer tokens.
        runtime: what runs it.
        score: the task's metric on the report split.
        megabytes: of its file, in 1e6 bytes; NaN if it is in none.
        latency: of a batch of the run's target; None if not measured.
    """

    model: str
    runtime: str
    score: float
    megabytes: float
    latency: Latency | None = None


@dataclass(frozen=True)
class Exported:
    """What was exported, step by step.

    Attributes:
        checkpoint: where it is, and in which form.
        rows: what each step came to.
        facts: those of the card.
        target: how the models were timed.
        vocabulary: the tokens that are kept; None if it has all.
    """

    checkpoint: Extracted
    rows: tuple[Row, ...]
    facts: CardFacts
    target: LatencyTarget
    vocabulary: CutVocabulary | None = None

    @property
    def columns(self) -> list[Column]:
        """The steps as a table."""
        return _columns(self.rows, self.facts.metric)

    def to_json(self) -> dict[str, Any]:
        """Return all of it, JSON-ready."""
        known = {"folder": str(self.checkpoint.folder), "key": self.facts.mask.key, "parameters": self.facts.parameters}
        known["constant"] = self.facts.constant is not None
        known |= {} if self.vocabulary is None else {"vocabulary": self.vocabulary.to_json()}
        steps = [rounded(asdict(row)) for row in self.rows]
        return {**known, "metric": self.facts.metric, "target": self.target.model_dump(mode="json"), "steps": steps}


def export(folder: RunFolder, settings: ExportSettings) -> Exported:
    """Pick a model, cut it out, recover, save and convert it, and check each step on the report split.

    The model is given by its key, or by budgets as in `pick`. An export that was killed goes on where it was.

    Raises:
        InputError: no such model, contradictions, a place that holds something else, packages that are not installed.
    """
    to = settings.to
    _check(settings)
    request = Request.of(folder, "export", to, settings.model_dump(mode="json", exclude=_LATER))
    state = request.state
    target = latency_table_here(folder, settings.runtime).target
    with open_archive(folder) as archive:
        selection, report = _chosen(folder, archive, settings, request)
        supernet = open_encoder(folder)
    if settings.recovers and selection.values.get("nonzero", 1.0) < 1:
        raise InputError(f"{selection.method} removes single weights, which a recovery would fill; leave `recover` out")
    vocabularies, tokens = Vocabularies(folder), selection.mask.tokens
    task, whole = vocabularies.task, load_supernet(folder.finetuned).model.float()
    for name in _layouts(settings):
        check_readable(name, whole)
    vocabulary = None if tokens is None else vocabularies.of(tokens)
    if settings.vocabulary is not None:  # before the rest, which takes longer
        if tokens is not None:
            raise InputError(
                f"{selection.key} was searched with a vocabulary of its own, of {tokens.count:,} tokens, which it is "
                "exported with; leave `vocabulary` out"
            )
        vocabulary = vocabularies.chosen(parse_vocabulary(settings.vocabulary))
    model, rows, sections = _made(folder, vocabularies.uncut_task(tokens), supernet, selection, settings, state)
    tasks = {WHOLE: task, rows[-1].model: task}
    if tokens is not None:
        model, tasks[rows[-1].model] = vocabularies.cut(model, selection.mask), vocabularies.own_task(tokens)
    elif vocabulary is not None:
        model, tasks[RESPELLED] = cut_embeddings(model, vocabulary.kept), vocabulary.task
        rows.append(_scored(RESPELLED, model, vocabulary.task))
    if vocabulary is not None:
        sections[VOCABULARY] = vocabulary.line
    facts = card_facts(folder, supernet, model, selection, report, None, settings.push or to.name)
    form = save(folder, model, to, facts, settings.form, None if vocabulary is None else vocabulary.tokenizer)
    _check_saved(model, to, few_inputs(supernet, tasks[rows[-1].model]))
    files = _files(settings)
    gated = _Gated(folder, model, tasks[rows[-1].model], settings.gate)
    write_engine_files(model, to, files, quantise=gated.quantise)
    for name in _layouts(settings):
        write_layout(name, model, load_tokenizer(to), to / name, int8=settings.int8, quantise=gated.quantise)
    sections |= int8_sections(files, gated.lines)
    for file in files:
        if file.int8 and (warning := too_far(model, file, to)):
            folder.tell.say(f"warning: {warning}")
    rows = _rows(folder, rows, whole, model, tasks, to, settings, target)
    sections |= threshold_section(model, tasks[rows[-1].model])
    sections[SERVED] = _markdown(rows, facts.metric, target)
    served = next(row for row in reversed(rows) if row.model != WHOLE and row.runtime == TORCH)
    assert served.latency is not None
    scores = {"report": {"report": served.score}, "parent_report": {"report": rows[0].score}}
    if served.model != CUT:  # what was scored on the selection split is the model before it
        facts = replace(facts, selection=None, constant=constant_note(folder, -math.inf, 1 - served.score))
    measured = {"latency_ms": served.latency.median, "latency_conditions": str(target)}
    write_card(to, replace(facts, **scores, **measured, sections=sections))
    shutil.rmtree(state, ignore_errors=True)
    address = None if settings.push is None else push_to_hub(to, settings.push, private=settings.private)
    checkpoint = Extracted(to, selection.key, form, facts.head, address, facts.constant)
    return Exported(checkpoint, tuple(rows), facts, target, vocabulary)


def _check(settings: ExportSettings) -> None:
    """Refuse what would fail in the end, before anything is computed."""
    check_replaceable(settings.to)
    if settings.recover is not None and settings.recover_minutes is not None:
        raise InputError("`recover` and `recover_minutes` are two ways to say how long; give one")
    if settings.vocabulary is not None:
        parse_vocabulary(settings.vocabulary)
    for file in _files(settings):
        file.engine.check_installed(int8=file.int8)
    for name in _layouts(settings):
        layout_of(name).check_installed(int8=settings.int8)
    if settings.push is not None:
        check_name(settings.push)
        check_hub()


def _chosen(
    folder: RunFolder, archive: Archive, settings: ExportSettings, request: Request
) -> tuple[Evaluation, Evaluation | None]:
    """Return the model that is asked for, as it was scored on the two splits.

    What budgets choose is measured, so an attempt that was killed has written down its choice.
    """
    path = request.state / "choice.json"
    if request.is_begun and path.is_file() and settings.key is None:
        chosen = read_json(path, f"delete {request.state}").get("model")
        found = next((one for one in archive.evaluations(split=SELECTION) if list(one.model) == chosen), None)
        if found is not None:
            return found, on_report(archive, found)
    found, report = chosen_evaluations(folder, archive, settings, settings.runtime)
    request.begin()
    write_json(path, {"model": found.model})
    return found, report


def _made(
    folder: RunFolder, task: Task, supernet: Supernet, selection: Evaluation, settings: ExportSettings, state: Path
) -> tuple[PreTrainedModel, list[Row], dict[str, str]]:
    """Cut a model out, refit and recover it; return it, what each step came to, and what its card says of them."""
    model = open_subnet(folder, supernet, selection).float()
    rows, sections = [_scored(CUT, model, task)], {}
    if settings.refit and can_refit(selection):
        done = refitted(folder, task, supernet, model, selection)
        model, sections["Refit"] = done.model, refit_line(folder.record["facts"]["metric"], done)
        if done.kept:
            rows.append(_scored(REFITTED, model, task))
    if settings.recovers:
        model, sections["Recovery"] = _recovered(folder, task, model, settings, state)
        rows.append(_scored(RECOVERED, model, task))
    return model, rows, sections


def _scored(name: str, model: PreTrainedModel, task: Task) -> Row:
    return Row(name, TORCH, 1 - report_errors(model, as_served(model, task))[ERROR], float("nan"))


def _recovered(
    folder: RunFolder, task: Task, model: PreTrainedModel, settings: ExportSettings, state: Path
) -> tuple[PreTrainedModel, str]:
    """Recover a model, or load what an attempt that was killed later had recovered; also say what it brought."""
    done, note = state / "recovered", state / "recovered.json"
    if not note.is_file():
        found = recovered(folder, task, model, settings.recovery, state / "recover")
        with quiet(progress=False), replacing(done) as part:
            model.save_pretrained(part)
            seal(part)
        write_json(note, {"line": recovery_line(folder, found)})
    return load_model(done), str(read_json(note, f"delete {state}")["line"])


@torch.inference_mode()
def _check_saved(model: PreTrainedModel, to: Path, inputs: dict[str, torch.Tensor]) -> None:
    """Check that what was written computes what was to be written.

    Not bit for bit: weights that were loaded lie at another alignment, and some processors add in another order then.

    Raises:
        RuntimeError: it does not.
    """
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    written = load_model(to).to(model.device)  # pyright: ignore[reportArgumentType]
    for name, expected in model.eval()(**inputs).items():
        if not torch.allclose(written(**inputs)[name], expected, rtol=0, atol=TOLERANCE):
            raise RuntimeError(f"the checkpoint in {to} does not compute what was saved; this must not happen")


def _rows(
    folder: RunFolder,
    before: list[Row],
    whole: PreTrainedModel,
    model: PreTrainedModel,
    tasks: Mapping[str, Task],
    to: Path,
    settings: ExportSettings,
    target: LatencyTarget,
) -> list[Row]:
    """Return what each step came to: the whole model and this one, in each runtime that was asked for.

    Each is scored on the task in its own tokens, which is in `tasks` by its name.
    """
    files = {_runtime_of(file): file for file in _files(settings)}
    runtimes = [TORCH, *files]
    last = before[-1]
    rows: dict[tuple[str, str], Row] = {}
    served = {name: as_served(one, tasks[name]) for name, one in ((WHOLE, whole), (last.model, model))}
    with tempfile.TemporaryDirectory() as temporary:
        write_engine_files(whole, Path(temporary), list(files.values()), texts=few_texts(tasks[WHOLE]))
        for place, name in ((Path(temporary), WHOLE), (to, last.model)):
            for runtime, file in files.items():
                score = 1 - file_errors(file.open(place), served[name])[ERROR]
                size = sum(part.stat().st_size for part in file.engine.parts(file.path(place)))
                rows[name, runtime] = Row(name, runtime, score, size / MB)
    rows[last.model, TORCH] = replace(last, megabytes=_weights_mb(model))
    rows[WHOLE, TORCH] = Row(WHOLE, TORCH, 1 - report_errors(whole, served[WHOLE])[ERROR], _weights_mb(whole))
    for runtime in runtimes:
        first, second = _timed(folder, whole, model, runtime, target)
        rows[WHOLE, runtime] = replace(rows[WHOLE, runtime], latency=first)
        rows[last.model, runtime] = replace(rows[last.model, runtime], latency=second)
    names = [(WHOLE, runtime) for runtime in runtimes], [(last.model, runtime) for runtime in runtimes]
    return [*(rows[name] for name in names[0]), *before[:-1], *(rows[name] for name in names[1])]


def _files(settings: ExportSettings) -> list[EngineFile]:
    return engine_files(onnx=settings.onnx, int8=settings.int8, openvino=settings.openvino)


class _Gated:
    """Writes files of a model in int8 within a gate.

    Attributes:
        lines: what there is to say of each.
    """

    def __init__(self, folder: RunFolder, model: PreTrainedModel, task: Task, gate: float) -> None:
        self._folder, self._model, self._task, self._gate = folder, model, task, gate
        self.lines: dict[EngineFile, str] = {}

    @cached_property
    def _judge(self) -> Int8Judge:
        return Int8Judge(self._model, self._task)

    def quantise(self, file: EngineFile, path: Path, to: Path) -> None:
        """Write a float32 file in int8, and say what that did to the model's answers."""
        with self._folder.tell.progress(f"{file.engine.title}, int8") as tick:
            done = quantise_within(file.engine, path, to, few_texts(self._task), self._judge, self._gate, tick)
        self.lines[file] = done.line
        self._folder.tell.say(f"{to.name}: {done.line}")


def _layouts(settings: ExportSettings) -> list[str]:
    return [] if settings.layouts is None else [name.strip() for name in settings.layouts.split(",")]


def _runtime_of(file: EngineFile) -> str:
    return next(name for name, one in RUNTIMES.items() if (one.engine, one.int8) == (file.name, file.int8))


def _timed(
    folder: RunFolder, whole: PreTrainedModel, model: PreTrainedModel, runtime: str, target: LatencyTarget
) -> tuple[Latency, ...]:
    """Time both models in turn, as the run's target has it but in a runtime."""
    bench = Bench(whole, target.model_copy(update={"runtime": runtime, **RUNTIMES[runtime].restricts}))
    places = bench.add(whole, model, seconds=_SECONDS, rounds=_ROUNDS)
    if warning := busy(bench.spread):
        folder.tell.say(f"warning: {RUNTIMES[runtime]}: {warning}")
    return tuple(bench.latency(place) for place in places)


def _weights_mb(model: PreTrainedModel) -> float:
    return sum(p.numel() * 4 for p in model.parameters()) / MB


def _columns(rows: Sequence[Row], metric: str) -> list[Column]:
    return [
        Column("model", [row.model for row in rows], left=True),
        Column("runtime", [str(RUNTIMES[row.runtime]) for row in rows], left=True),
        Column(f"{metric}, report split", [f"{row.score:.4f}" for row in rows]),
        Column("MB", ["" if np.isnan(row.megabytes) else f"{row.megabytes:.1f}" for row in rows]),
        Column("latency ms (quartiles)", [_time(row.latency) for row in rows]),
    ]


def _time(latency: Latency | None) -> str:
    return "" if latency is None else f"{latency.median:.2f} ({latency.low:.2f}-{latency.high:.2f})"


def _markdown(rows: list[Row], metric: str, target: LatencyTarget) -> str:
    columns = _columns(rows, metric)
    table = markdown_table([column.head for column in columns], zip(*(column.cells for column in columns)))
    conditions = str(target.model_copy(update={"runtime": TORCH}))
    return f"{table}\n\nMeasured end to end, the two models in turn, on {conditions}, and so in the other\nruntimes."
