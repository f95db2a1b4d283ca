"""The fine-tuned model made ready for a search of subnetworks with solved outgoing maps: nothing is trained."""

from __future__ import annotations

import numpy as np
import torch

from ...digests import seal
from ...pruners.block_errors import unit_scores
from ...pruners.sensitivity import sensitivities
from ...search_space import SearchSpace
from ...supernet import Supernet
from ...supernet.blocks import Block
from ...supernet.products import UnitProducts, unit_products
from ...supernet.reordering import head_order, reorder
from ...supernet.solved import PRODUCTS, SolvedSupernet, save_products
from ...supernet.stored.replacing import replacing
from ...supernet.stored.storage import load_tokenizer, write_model
from ...tasks import Task
from ..folder import RunFolder
from ..project import device, load_solved, load_supernet, make_space, on_device
from ..settings.recovery import RefitSettings
from ..ship.refit import whole_sums
from ..telling import duration
from .supernet import layer_order

STAGE = "solved"
_SIGNS = 8  # what a seed is drawn for


def open_solved(folder: RunFolder, task: Task, space: str | None) -> tuple[SolvedSupernet, SearchSpace]:
    """Return the fine-tuned model with products of its units, made and written into `solved/` if it is not there.

    Args:
        folder: the run.
        task: its task.
        space: what is to be searched; the supernet's, or else small, if None.

    Raises:
        InputError: nothing was fine-tuned, or a damaged checkpoint.
    """
    if not folder.complete(STAGE):
        _make(folder, task)
    solved = load_solved(folder.solved, device())
    usual: str = folder.record["stages"].get("supernet", {}).get("settings", {}).get("space", "small")
    return solved, make_space(space or usual, solved, elastic_hidden=False)


def _make(folder: RunFolder, task: Task) -> None:
    folder.check_complete("finetune")
    net = on_device(load_supernet(folder.finetuned))
    settings = RefitSettings()
    with folder.stage(STAGE, settings):
        net.layer_order = layer_order(folder, net, task)
        with folder.tell.progress("products of units") as tick:
            tick(0, 1)
            solved = made_ready(net, task, folder.project.seed)
            with replacing(folder.solved) as part:
                save_products(solved.products, part / PRODUCTS)
                write_model(net.model, load_tokenizer(folder.finetuned), part)
                seal(part)
            tick(1, 1)
    folder.tell.say(f"solved: {duration(folder.seconds(STAGE))}, in {folder.solved}")


def made_ready(net: Supernet, task: Task, seed: int) -> SolvedSupernet:
    """Put a model's units in order, in place, and return it with their products.

    The best k units of a block are those that are left when the others have gone one by one, each time the one that
    the rest can least do without by solving for its outgoing map, outputs being what counts (`pruners.block_errors`).

    Args:
        net: the fine-tuned model.
        task: on whose training texts, without labels.
        seed: of texts and signs.
    """
    target = whole_sums(net, task, seed)
    products = {block: found for block, found, _ in unit_products(target)}
    scores = unit_scores(net, products, sensitivities(target, np.random.default_rng([seed, _SIGNS])))
    reorder(net, scores)
    heads = head_order(net, scores)

    def ordered(block: Block, found: UnitProducts) -> UnitProducts:
        units = (heads if block.kind == "attention" else scores.neuron_order)[block.layer]
        size = net.shape.head_size if block.kind == "attention" else 1
        columns = torch.from_numpy((units[:, None] * size + np.arange(size)).ravel()).to(net.device)
        moved = found.ordered(columns)
        return UnitProducts(moved.means.float(), moved.products.float())  # as they are stored

    moved = {block.outgoing: ordered(block, found) for block, found in products.items()}
    return SolvedSupernet(net.model, moved)
