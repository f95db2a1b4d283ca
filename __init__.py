"""Secateur finds, inside one fine-tuned BERT, the Pareto front of its subnetworks.

The names a notebook needs are here; they are imported when they are first used, so that `import secateur` is quick and
`secateur.searchers` can be used without torch. Importing this package also teaches transformers' Auto classes to load
extracted models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import starting

starting.listen()  # before what takes a moment to import

from .registration import register  # noqa: E402
from .registry import importer  # noqa: E402

if TYPE_CHECKING:
    from .evaluation.archive import Archive
    from .evaluation.error import SplitError
    from .evaluation.evaluation import Evaluation
    from .evaluation.evaluator import Evaluator
    from .evaluation.latency import LatencyTable, LatencyTarget
    from .pruners import PRUNERS, make_pruner
    from .pruners.importance import IMPORTANCES
    from .run.bars import Bars
    from .run.choice.nested import load
    from .run.run import Run
    from .search_space import SPACES, EncoderShape, SubnetMask
    from .searchers import SEARCHERS, Box, make_searcher
    from .supernet import Supernet
    from .supernet.extraction import extract
    from .supernet.training.supernet_training import train_supernet
    from .tasks import Task, load_task

__version__ = "0.1.0"

_PLACES = {
    "Archive": "evaluation.archive",
    "Bars": "run.bars",
    "Box": "searchers",
    "EncoderShape": "search_space",
    "Evaluation": "evaluation.evaluation",
    "Evaluator": "evaluation.evaluator",
    "IMPORTANCES": "pruners.importance",
    "LatencyTable": "evaluation.latency",
    "LatencyTarget": "evaluation.latency",
    "PRUNERS": "pruners",
    "Run": "run.run",
    "SEARCHERS": "searchers",
    "SPACES": "search_space",
    "SplitError": "evaluation.error",
    "SubnetMask": "search_space",
    "Supernet": "supernet",
    "Task": "tasks",
    "extract": "supernet.extraction",
    "load": "run.choice.nested",
    "load_task": "tasks",
    "make_pruner": "pruners",
    "make_searcher": "searchers",
    "train_supernet": "supernet.training.supernet_training",
}

__all__ = [
    "IMPORTANCES",
    "PRUNERS",
    "SEARCHERS",
    "SPACES",
    "Archive",
    "Bars",
    "Box",
    "EncoderShape",
    "Evaluation",
    "Evaluator",
    "LatencyTable",
    "LatencyTarget",
    "Run",
    "SplitError",
    "SubnetMask",
    "Supernet",
    "Task",
    "extract",
    "load",
    "load_task",
    "make_pruner",
    "make_searcher",
    "train_supernet",
]


__getattr__ = importer(__name__, _PLACES)

register()
