"""One of each kind, added to the registries from outside: an objective, a runtime, a trained pruner and a family."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, ClassVar

from huggingface_hub.dataclasses import strict
from pydantic import Field
from secateur.evaluation.latency.runtime import RUNTIMES, Runtime
from secateur.evaluation.latency.runtimes import pytorch
from secateur.evaluation.objectives import OBJECTIVES
from secateur.evaluation.objectives.objective import Objective
from secateur.pruners import PRUNERS, RECIPES
from secateur.pruners.base import Provenance, Pruned, TrainedPruner
from secateur.search_space import SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.families import FAMILIES
from secateur.supernet.modeling_secateur import PREFIX, ExtractedFields, ExtractedModel
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.settings import FinetuneSettings
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
)

OBJECTIVES["kept_heads"] = lambda supernet, table: Objective(
    "kept_heads", "heads", lambda mask: float(sum(mask.heads_per_layer))
)


@contextmanager
def run_twice(model, target):
    """Time two passes as one."""
    with pytorch(model, target) as run:
        yield lambda: run() + run()


RUNTIMES["twice"] = Runtime("PyTorch, twice", f"{__name__}:run_twice")


class HalvingSettings(FinetuneSettings):
    """How what is left is trained."""

    epochs: Annotated[float, Field(gt=0, description="passes after the halving")] = 1.0


class Halving(TrainedPruner):
    """Keeps the first heads and neurons of every layer, and trains them."""

    needs_labels = needs_gradients = True
    why_no_cost: ClassVar[str] = "halving keeps shares of units"

    def __init__(self, settings: HalvingSettings | None = None, **options) -> None:
        super().__init__(**options)
        self._settings = settings or HalvingSettings()

    def prune(self, supernet, task, density, rng):
        begin, shape = time.perf_counter(), supernet.shape
        heads, neurons = max(1, int(density * shape.num_heads)), max(1, int(density * shape.intermediate_size))
        mask = SubnetMask.from_counts(shape, [heads] * shape.num_layers, [neurons] * shape.num_layers)
        model = extract(self._start(supernet), mask)
        finetune(model, task, self._settings, seed=int(rng.integers(2**31)), state=self.state, report=self.report)
        texts, seconds = len(task.train), time.perf_counter() - begin
        provenance = Provenance("halving", {}, texts, texts, True, self._settings.epochs, seconds)
        return Pruned(mask, model.eval(), self.density_of(supernet, mask), provenance)


PRUNERS["halving"] = Halving
RECIPES["halving"] = HalvingSettings


class MyBertConfig(BertConfig):
    """BERT under another name."""

    model_type = "mybert"


class MyBertModel(BertModel):
    config_class = MyBertConfig


class MyBertForSequenceClassification(BertForSequenceClassification):
    config_class = MyBertConfig


@strict
class ExtractedMyBertConfig(ExtractedFields, MyBertConfig):
    model_type = PREFIX + "mybert"


class ExtractedMyBertForSequenceClassification(ExtractedModel, MyBertForSequenceClassification):
    config_class = ExtractedMyBertConfig
    wide = ("bert.pooler.dense", "classifier")


AutoConfig.register("mybert", MyBertConfig)
AutoModel.register(MyBertConfig, MyBertModel)
AutoModelForSequenceClassification.register(MyBertConfig, MyBertForSequenceClassification)
_BERT, _HEAD = FAMILIES["bert"], "sequence-classification"
FAMILIES["mybert"] = replace(
    _BERT,
    model_type="mybert",
    extracted=f"{__name__}:ExtractedMyBertConfig",
    heads={_HEAD: _BERT.heads[_HEAD]},
)
