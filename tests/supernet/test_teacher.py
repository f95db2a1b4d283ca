"""Learning from a larger model: matched layers, widths, real tokens only."""

import copy

import numpy as np
import pytest
import torch
from secateur.evaluation.model_error import model_outputs
from secateur.search_space import SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.families import FAMILIES
from secateur.supernet.supernet import Supernet
from secateur.supernet.training.recovery import recover
from secateur.supernet.training.settings import RecoverySettings
from secateur.supernet.training.teacher import Teacher
from secateur.tasks.batches import collate
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model


def some_inputs(count=24, offset=0):
    task = toy.toy_task(80)
    return collate(task.train, np.arange(offset, offset + count), task.pad_token_id).inputs


def mask_of(model, heads, neurons, hidden=None):
    return SubnetMask.from_counts(Supernet(model).shape, list(heads), list(neurons), hidden)


def states_of(model, inputs):
    with torch.no_grad():
        return model.eval()(**inputs, output_hidden_states=True).hidden_states


@pytest.mark.parametrize(
    ("heads", "neurons", "pairs"),
    [
        ((1, 1, 1), (4, 4, 4), [(0, 0), (1, 1), (2, 2)]),
        ((1, 0, 1), (4, 0, 4), [(0, 1), (1, 2)]),  # ceil(3 / 2) = 2nd and 3rd layer
        ((0, 1, 0), (0, 0, 0), [(0, 2)]),
        ((0, 0, 0), (0, 0, 0), []),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_layers_that_are_left_learn_from_layers_evenly_spread(family, heads, neurons, pairs):
    model = tiny_model(family).eval()
    student = extract(model, mask_of(model, heads, neurons))
    teacher = Teacher(model, student, {})
    assert teacher.pairs == pairs
    assert len(Teacher(model, student, {}, [layer for layer in range(3) if heads[layer]]).pairs) == len(pairs)
    inputs = some_inputs()
    (outputs, loss), whole = teacher.teach(states_of(student, inputs), inputs), states_of(model, inputs)
    torch.testing.assert_close(outputs, model(**inputs).logits)
    own, keep = states_of(student, inputs), inputs["attention_mask"].bool()
    expected = [((own[s + 1][keep] - whole[t + 1][keep]) ** 2).mean() for s, t in pairs]
    assert loss.item() == pytest.approx(float(np.mean([e.item() for e in expected])) if expected else 0.0, rel=1e-5)


def test_padding_teaches_nothing():
    model = tiny_model("bert").eval()
    student = extract(model, mask_of(model, (1, 2, 1), (4, 9, 4)))
    teacher, inputs = Teacher(model, student, {}), some_inputs()
    loss = teacher.teach(states_of(student, inputs), inputs)[1]
    wider = {name: torch.nn.functional.pad(value, (0, 3)) for name, value in inputs.items()}
    torch.testing.assert_close(teacher.teach(states_of(student, wider), wider)[1], loss)


def test_a_narrower_model_is_compared_through_the_map_that_fits_best():
    model = tiny_model("bert").eval()
    mask = mask_of(model, (4, 4, 4), (24, 24, 24), model.config.hidden_size // 2)
    student = extract(model, mask)
    inputs = some_inputs(80)
    teacher = Teacher(model, student, inputs)
    whole, own, keep = states_of(model, inputs), states_of(student, inputs), inputs["attention_mask"].bool()
    rows = [(own[s + 1][keep].double().numpy(), whole[t + 1][keep].double().numpy()) for s, t in teacher.pairs]
    best = [np.mean((mine @ np.linalg.pinv(mine) @ theirs - theirs) ** 2) for mine, theirs in rows]
    assert teacher.teach(own, inputs)[1].item() == pytest.approx(np.mean(best), rel=1e-3)


def test_recovery_brings_the_states_nearer_and_leaves_the_teacher_alone():
    task, model = toy.toy_task(160), tiny_model("bert").eval()
    outputs = model_outputs(model, task.train, pad_token_id=0)
    before, inputs = copy.deepcopy(model.state_dict()), some_inputs(40)
    far = []
    for use in (False, True):
        student = extract(model, mask_of(model, (1, 2, 1), (6, 12, 6)))
        teacher = Teacher(model, student, inputs)
        start = teacher.teach(states_of(student, inputs), inputs)[1].item()
        recipe = RecoverySettings(learning_rate=4e-3, batch_size=16, epochs=2)
        recover(student, task, teacher if use else outputs, recipe, seed=0)
        far.append(teacher.teach(states_of(student, inputs), inputs)[1].item())
    assert far[1] < 0.7 * start
    assert far[1] < 0.7 * far[0]
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())
