"""Block-structured pruning: a penalty, a percentile, and training what is left."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from ...errors import InputError
from ...evaluation.latency import LatencyTarget
from ...evaluation.model_error import model_outputs
from ...search_space import SubnetMask
from ...supernet import Supernet
from ...supernet.packed.packed import mark_slabs
from ...supernet.packed.packed_storage import compression
from ...supernet.packed.slabs import Slabs
from ...supernet.precision import resolve_precision
from ...supernet.training.checkpoint import damaged
from ...supernet.training.resume_files import load_tensors, save_tensors
from ...supernet.training.supernet_training import Progress
from ...tasks import Task
from ..base import Cost, Outcome, TrainedPruner
from ..deepcuts import retrain_masked
from .fastest import fastest
from .groups import cut, kept_groups, share_of_weights
from .settings import BlockLassoSettings
from .training import train_reweighted

_REWEIGHTED = "reweighted.safetensors"
Report = Callable[[Progress], None] | None


@dataclass(frozen=True)
class Compressed:
    """A model without its weakest groups of weights.

    Attributes:
        model: independent, in evaluation mode, in the form `form`.
        density: the share of the weights in groups that is left.
        form: a name of `FORMS`.
        epochs: passes over the training split, of both trainings.
    """

    model: PreTrainedModel
    density: float
    form: str
    epochs: float


class BlockLasso(TrainedPruner):
    """Removes groups of weights, rows or columns inside slabs of each matrix, that a reweighted group Lasso found weak.

    A density is the share of groups that stay, in all linear maps of the encoder's layers; their compression is its
    inverse. It is met up to one group of each matrix. Nothing becomes smaller but what is stored: whether it becomes
    faster too is measured, and the model returned is in the form that is fastest. Training starts from the fine-tuned
    weights, and these may teach it, which the authors leave out. That under the penalty is the same for all densities
    and is done once for them. With a penalty of 0 it is plain fine-tuning as long: the control that tells what the
    penalty brings over the groups' norms as they are.

    Args:
        settings: the recipe.
        cost: must be None: what a removed group saves depends on how it is run.

    Attributes:
        target: what forms are timed for; None leaves the zeros where they are, as the same seed gives the same model.
        state: folder for resume points, removed by the caller; the same `rng` must come with it. Densities may share
            one, and then share the training under the penalty even if the process is killed between them.

    Raises:
        InputError: a cost.

    Source: Li et al., "Efficient Transformer-based large scale language representations using hardware-friendly block
    structured pruning", Findings of EMNLP 2020, and their code.
    """

    makes_zeros: ClassVar[bool] = True
    why_no_cost: ClassVar[str] = "what removed groups of weights save depends on how they are run"
    needs_labels = needs_gradients = True
    name = "block_lasso"

    def __init__(
        self,
        settings: BlockLassoSettings | None = None,
        *,
        target: LatencyTarget | None = None,
        state: Path | None = None,
        report: Report = None,
        cost: Cost | None = None,
    ) -> None:
        super().__init__(state=state, report=report, cost=cost)
        self.target = target
        self._settings = settings or BlockLassoSettings()

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Train under the penalty, remove groups, train the rest; the model has all units it had."""
        made = self.compress(supernet.model, task, density, rng)
        settings = self._settings
        texts = self._seen(task, made.epochs)
        given = settings.model_dump(exclude={"save_seconds", "epochs"}, exclude_none=True)
        options = given | {"compression": compression(made.model), "form": made.form}
        return Outcome(SubnetMask.full(supernet.shape), made.model, options, texts, made.epochs, made.density)

    def prepare(self, own: Path, shared: Path, target: LatencyTarget) -> None:
        """Take the shared folder, so that the training under the penalty is one for all densities."""
        self.state, self.target = shared, target

    def compress(self, model: PreTrainedModel, task: Task, density: float, rng: np.random.Generator) -> Compressed:
        """Do the same to any model of the task, an extracted one too.

        Args:
            model: of a supported family, in evaluation mode; left as it is.
            task: its training split.
            density: share of groups to keep, above 0 and at most 1.
            rng: of batches and dropout.

        Raises:
            InputError: a density out of range, slabs that do not fit the model, another task's labels, or nothing to
                train on.
        """
        if not 0 < density <= 1:
            raise InputError(f"a density is a share above 0 and at most 1, got {density:g}; give one such as 0.5")
        if not len(task.train):
            raise InputError("block_lasso needs at least 1 text of the training split, got 0; give a task with some")
        settings, seed = self._settings.stretched(len(task.train)), int(rng.integers(2**31))
        cuts = self._cuts(model)
        trained, teacher = self._once(model, task, seed, lambda: self._reweighted(model, cuts, task, settings, seed))
        self._keep(trained)
        made = copy.deepcopy(model).float()
        made.load_state_dict(trained, strict=False)
        norms = {path: one.norms(made.get_parameter(f"{path}.weight").detach()) for path, one in cuts.items()}
        kept = kept_groups(norms, cuts, density, settings.selection)
        retrain_masked(
            made,
            {f"{path}.weight": one.spread(kept[path]) for path, one in cuts.items()},
            task,
            settings.retraining,
            seed=seed,
            teacher=teacher,
            state=None if self.state is None else self.state / f"retraining-{density:g}",
            report=self.report,
        )
        mark_slabs(made, cuts)
        form = "dense"
        if self.target is not None:
            found = fastest(made, self.target)
            made, form = found.model, found.form
        epochs = settings.epochs + settings.retraining_epochs
        return Compressed(made.eval(), share_of_weights(kept, cuts), form, epochs)

    def floor(self, supernet: Supernet) -> float:
        """Return the least density: one group of each matrix."""
        cuts = self._cuts(supernet.model)
        weights = sum(supernet.parameters[f"{path}.weight"].numel() for path in cuts)
        return sum(max(one.widths) for one in cuts.values()) / weights

    def _cuts(self, model: PreTrainedModel) -> dict[str, Slabs]:
        one = self._settings
        return cut(model, scheme=one.scheme, width=one.width, slabs=one.slabs, head=one.head)

    def _reweighted(
        self, model: PreTrainedModel, cuts: dict[str, Slabs], task: Task, settings: BlockLassoSettings, seed: int
    ) -> tuple[dict[str, Tensor], np.ndarray | None]:
        """Return the parameters after the training under the penalty, of the state folder or trained, and the teacher.

        The teacher is the model's outputs `(R, C)` on the training split, None without distillation.
        """
        teacher = None
        if settings.distillation:
            dtype = resolve_precision("auto", model.device)
            teacher = model_outputs(model, task.train, pad_token_id=task.pad_token_id, dtype=dtype)
        kept = None if self.state is None else self.state / _REWEIGHTED
        if kept is not None and kept.is_file():
            try:
                return load_tensors(kept), teacher
            except Exception as error:
                raise damaged(kept, error) from error
        made = copy.deepcopy(model)
        state = None if self.state is None else self.state / "reweighting"
        train_reweighted(made, cuts, task, settings, seed=seed, teacher=teacher, state=state, report=self.report)
        return {name: parameter.detach().cpu() for name, parameter in made.named_parameters()}, teacher

    def _keep(self, trained: dict[str, Tensor]) -> None:
        """Write the parameters down, so that neither a kill nor another density trains them again."""
        if self.state is None or (self.state / _REWEIGHTED).is_file():
            return
        save_tensors(self.state / _REWEIGHTED, trained)
        shutil.rmtree(self.state / "reweighting", ignore_errors=True)
