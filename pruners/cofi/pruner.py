"""CoFi as a pruner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
from transformers import PreTrainedModel

from ...errors import InputError
from ...supernet import Supernet
from ...supernet.extraction import extract
from ...supernet.training.supernet_training import Progress
from ...tasks import Task
from ..base import Cost, Outcome, TrainedPruner
from .hard_concrete import LARGEST
from .masks import MaskValues
from .settings import CoFiSettings
from .sparsity import expected_sparsity
from .training import CoFiTraining


class CoFi(TrainedPruner):
    """Learns masks of blocks, heads, neurons and residual dimensions together with the weights, then trains on.

    The fine-tuned model teaches throughout: its predictions, and its layers' states. The sparsity expected of the masks
    is brought to the target by a Lagrangian. Each step runs on what its masks leave, so that steps become cheap as the
    model becomes small. One training per density. In the last phase the rate falls to 0, where the authors' is
    constant, and the weights that do best on the selection split are kept, so that its error there is a chosen one.

    Args:
        settings: the recipe; the defaults are for small models and short trainings.
        cost: must be None: the expected sparsity counts parameters.

    Raises:
        InputError: a cost.

    Source: Xia et al., "Structured pruning learns compact and accurate models", ACL 2022.
    """

    name = "cofi"
    why_no_cost: ClassVar[str] = "CoFi's expected sparsity counts the encoder's parameters"
    needs_gradients = True

    def __init__(
        self,
        settings: CoFiSettings | None = None,
        *,
        rewind: PreTrainedModel | None = None,
        state: Path | None = None,
        report: Callable[[Progress], None] | None = None,
        cost: Cost | None = None,
    ) -> None:
        super().__init__(rewind=rewind, state=state, report=report, cost=cost)
        self.settings = settings or CoFiSettings()
        self.needs_labels = self.settings.distillation == "none"

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Train a copy and cut out what its masks leave.

        Raises:
            InputError: also for masks that do not come to the density; their state is kept.
        """
        if not len(task.train):
            raise InputError("CoFi needs at least 1 text of the training split, got 0; give a task with some")
        student = Supernet(self._start(supernet))
        training = CoFiTraining(student, supernet, task, density, self.settings, seed=int(rng.integers(2**31)))
        mask = training.run(self.state, self.report)
        settings, schedule = self.settings, training.schedule
        epochs = schedule.total / schedule.per_epoch
        options = {
            "rewound": self.rewind is not None,
            "distillation": settings.distillation,
            "matching": settings.matching,
            "steps": schedule.total,
            "expected_density": 1 - training.sparsity,
        }
        return Outcome(mask, extract(student.model, mask), options, self._seen(task, epochs), epochs)

    def floor(self, supernet: Supernet) -> float:
        """Return the least density the expected sparsity can come to: every logit as low as it gets."""
        shape = supernet.shape
        lowest = MaskValues.full(shape, -LARGEST)
        return 1 - float(expected_sparsity(lowest, shape))
