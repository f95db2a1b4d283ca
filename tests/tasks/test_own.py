"""Losses and metrics of one's own, and classes that count alike."""

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.tasks import KINDS, Columns, Split, Teaching, load_task
from secateur.tasks.batches import collate
from secateur.tasks.class_order import in_order_of
from secateur.tasks.own import balanced_weights
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

HERE = "secateur.tests.tasks.test_own"


def hinge(outputs, labels):
    """A loss."""
    return functional.multi_margin_loss(outputs, labels)


def recall_of_no(outputs, labels):
    """A metric."""
    return float(np.mean(outputs.argmax(axis=1)[labels == 0] == 0))


def text(outputs, labels):
    return "good"


def none(outputs, labels):
    return float("nan")


def constant(outputs, labels):
    return torch.tensor(1.0, requires_grad=True)


def for_each(outputs, labels):
    return functional.cross_entropy(outputs, labels, reduction="none")


not_callable = 3


def load(tmp_path, tokenizer, name="local", teaching=None, rare=10, **columns):
    rows = [f"film {i},{'yes' if i % rare else 'no'}" for i in range(1, 101)]
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]))
    where = {"seed": 0, "max_length": 24, "data": tmp_path / "data.csv"}
    return load_task(name, tokenizer, columns=Columns(**columns), teaching=teaching, **where)


def test_a_metric_of_ones_own_is_called_with_outputs_and_labels(tmp_path, tiny_tokenizer):
    task = load(tmp_path, tiny_tokenizer, metric=f"{HERE}:recall_of_no")
    assert task.metric_title == f"{HERE}:recall_of_no"
    outputs = np.tile([1.0, 0.0], (len(task.selection), 1))
    assert task.metric.score(outputs, task.selection) == 1.0
    assert task.metric.score(-outputs, task.selection) == 0.0


def test_a_loss_of_ones_own_is_what_labels_teach(tmp_path, tiny_tokenizer):
    task = load(tmp_path, tiny_tokenizer, teaching=Teaching(loss=f"{HERE}:hinge"))
    batch, outputs = collate(task.train, np.arange(4), 0), torch.randn(4, 2)
    assert torch.equal(task.kind.loss(outputs, batch), functional.multi_margin_loss(outputs, batch.labels))
    equal = task.kind.distillation(outputs, outputs, batch, temperature=2.0, label_weight=1.0)
    torch.testing.assert_close(equal, hinge(outputs, batch.labels), atol=1e-6, rtol=0)


def test_balanced_weights_are_those_of_scikit_learn(tmp_path, tiny_tokenizer):
    task = load(tmp_path, tiny_tokenizer, teaching=Teaching(class_weights="balanced"))
    labels = task.train.labels
    expected = compute_class_weight("balanced", classes=np.arange(2), y=labels)
    assert task.kind.class_weights == pytest.approx(expected)
    rows = np.arange(len(labels))
    outputs = torch.randn(len(labels), 2)
    by_hand = functional.cross_entropy(outputs, torch.from_numpy(labels), weight=torch.tensor(expected).float())
    assert float(task.kind.loss(outputs, collate(task.train, rows, 0))) == pytest.approx(float(by_hand))
    # What classes count goes with them where a model has them in another order.
    assert in_order_of(task, ("yes", "no")).kind.class_weights == pytest.approx(expected[::-1])


def test_weights_of_labels_balance_those_that_have_one_and_have_none():
    split = Split([np.ones(1, np.int32)] * 4, None, np.array([[1, 0], [1, 1], [0, 0], [1, 0]]))
    assert balanced_weights(split, 2) == pytest.approx((1 / 3, 3.0))
    kind, outputs = KINDS["multilabel"], torch.randn(4, 2)
    weighted = type(kind)(class_weights=(1 / 3, 3.0))
    each = functional.binary_cross_entropy_with_logits(
        outputs, torch.from_numpy(split.labels).float(), reduction="none"
    )
    by_hand = (each * torch.where(torch.from_numpy(split.labels) > 0, torch.tensor([1 / 3, 3.0]), 1.0)).mean()
    assert float(weighted.loss(outputs, collate(split, np.arange(4), 0))) == pytest.approx(float(by_hand))


def test_parts_of_a_weighted_batch_add_up(tmp_path, tiny_tokenizer):
    task = load(tmp_path, tiny_tokenizer, rare=3, teaching=Teaching(class_weights="balanced"))
    outputs, rows = torch.randn(12, 2), np.arange(12)
    whole = task.kind.loss(outputs, collate(task.train, rows, 0))
    parts = [task.kind.loss(outputs[i::2], collate(task.train, rows[i::2], 0)) for i in range(2)]
    assert float(whole) == pytest.approx(float(sum(parts)) / 2)


@pytest.mark.parametrize(
    ("metric", "loss", "message"),
    [
        (
            "nowhere.at_all:f",
            None,
            r"the metric nowhere.at_all:f cannot be imported \(ModuleNotFoundError: .* PYTHONPATH",
        ),
        (f"{HERE}:missing", None, f"the module {HERE} has no function missing; name the metric as it is called there"),
        (f"{HERE}:not_callable", None, "has no function not_callable"),
        ("a b:c", None, "a metric of your own is given as mypackage.module:function, got 'a b:c'"),
        (f"{HERE}:text", None, r"fails on outputs \(\d+, 2\) and labels \(\d+,\) \(ValueError: .*returns a number"),
        (f"{HERE}:none", None, "returned nan; it must return a finite number, higher is better"),
        (None, "hinge", "a loss of your own is given as mypackage.module:function, got 'hinge'"),
        (None, f"{HERE}:missing", "has no function missing; name the loss"),
        (None, f"{HERE}:recall_of_no", r"the loss .* fails on outputs \(64, 2\) and labels \(64,\)"),
        (None, f"{HERE}:for_each", "must return a finite scalar tensor that depends on the outputs"),
        (None, f"{HERE}:constant", "must return a finite scalar tensor that depends on the outputs"),
    ],
)
def test_functions_that_do_not_serve_are_refused(tmp_path, tiny_tokenizer, metric, loss, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, tiny_tokenizer, metric=metric, teaching=Teaching(loss=loss))


def test_weights_need_classes_and_no_loss_of_ones_own(tmp_path, tiny_tokenizer):
    both = Teaching(loss=f"{HERE}:hinge", class_weights="balanced")
    with pytest.raises(InputError, match="is your own, and weighs classes itself; leave the class weights out"):
        load(tmp_path, tiny_tokenizer, teaching=both)
    (tmp_path / "numbers.csv").write_text("\n".join(["text,label", *(f"film {i},{i / 7}" for i in range(50))]))
    where = {"seed": 0, "max_length": 24, "data": tmp_path / "numbers.csv"}
    with pytest.raises(InputError, match="class weights are for classes, but the labels are a regression"):
        load_task("local", tiny_tokenizer, teaching=Teaching(class_weights="balanced"), **where)
