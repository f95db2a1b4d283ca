"""What a training is if nobody says how long and how fast."""

import math

import pytest
from secateur.run.settings.training import FinetuneOptions


@pytest.mark.parametrize(("texts", "epochs"), [(100, 10), (1600, 10), (4800, 10 / 3), (5333, 3), (100_000, 3)])
def test_few_texts_get_more_passes(texts, epochs):
    recipe = FinetuneOptions().recipe(texts, 768)
    assert recipe.epochs == pytest.approx(epochs, rel=1e-2)
    steps = recipe.epochs * math.ceil(texts / recipe.batch_size)
    assert steps >= 499 or recipe.epochs == 10


def test_small_models_are_trained_faster():
    assert FinetuneOptions().recipe(1000, 384).learning_rate == 2 * FinetuneOptions().recipe(1000, 385).learning_rate


def test_what_is_told_is_done():
    told = FinetuneOptions(epochs=0.5, learning_rate=3e-5, warmup=0.2, batch_size=8, minutes=7)
    for texts, hidden in ((10, 32), (100_000, 1024)):
        assert told.recipe(texts, hidden).model_dump(exclude={"save_seconds"}) == {
            "epochs": 0.5,
            "minutes": 7,
            "learning_rate": 3e-5,
            "warmup": 0.2,
            "batch_size": 8,
            "weight_decay": 0.01,
        }
