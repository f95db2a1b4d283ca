"""The built-in demo task: is a sentence positive about a given thing? Generated, so it needs no network and no licence.

A bag of words cannot solve it: apart from the plain level, the same words come with either label, and what counts is
which word is bound to which thing. The levels rise from one cue to binding over a distance, so subnetworks lose
accuracy gradually: on the report split a logistic regression on words gets 60 %, a 6-layer MiniLM 96 to 97 %, and its
first 1, 2, 3 and 4 layers get 59, 74, 78 and 87 % when fine-tuned alike (3 epochs, batches of 32, learning rate 1e-4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from ..errors import InputError
from .agreement import AGREEMENT
from .rows import TaskTexts, Unlabelled
from .tables import Table
from .texts import Texts, no_labels

T = TypeVar("T")

DEMO_SEED = 2024
NUM_TRAIN, NUM_REPORT = 4000, 1000
LABEL_NAMES = ("negative", "positive")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


THINGS = _words(
    "soup bread coffee dessert wine menu waiter kitchen terrace view room bed shower pool music parking "
    "breakfast garden lobby salad steak fish pasta tea cake lift bar desk balcony towel"
)
PEOPLE = _words("anna ben clara david emma felix grace henry ida jack")
WORDS = {  # good ones, bad ones
    "adjective": (
        _words(
            "great wonderful excellent lovely delightful superb fantastic perfect brilliant charming amazing splendid "
            "outstanding impressive terrific pleasant"
        ),
        _words(
            "awful terrible dreadful horrible disappointing poor disgusting lousy dismal shabby unpleasant appalling "
            "atrocious miserable nasty pathetic"
        ),
    ),
    "verb": (
        _words("loved enjoyed praised adored admired recommended"),
        _words("hated disliked criticised detested despised regretted"),
    ),
    "comparative": (_words("better nicer finer lovelier"), _words("worse poorer nastier uglier")),
    "mood": (_words("happy delighted thrilled pleased"), _words("angry furious upset annoyed")),
}
SLOTS = {
    "A": "adjective",
    "E": "adjective",
    "e": "adjective",
    "V": "verb",
    "v": "verb",
    "C": "comparative",
    "M": "mood",
    "m": "mood",
}


class Pattern(NamedTuple):
    """A sentence with slots, and what it says about its two things.

    `{a}` and `{b}` are things, `{x}` and `{y}` people. The slots of SLOTS take, in upper case, a word of the drawn
    polarity and, in lower case, one of the opposite polarity.
    """

    text: str
    about_a: int  # +1: the drawn polarity, -1: the opposite one
    about_b: int = 0  # 0: the sentence has no second thing to ask about


PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "plain": (
        Pattern("the {a} was {A} .", 1),
        Pattern("{x} said the {a} was really {A} .", 1),
        Pattern("{x} {V} the {a} .", 1),
        Pattern("we found the {a} quite {A} and {E} .", 1),
        Pattern("the {a} ? simply {A} !", 1),
    ),
    "negation": (
        Pattern("the {a} was not {A} .", -1),
        Pattern("{x} never {V} the {a} .", -1),
        Pattern("nobody {V} the {a} .", -1),
        Pattern("there was nothing {A} about the {a} .", -1),
        Pattern("the {a} was not {e} at all , it was {A} .", 1),
    ),
    "contrast": (
        Pattern("the {a} was {A} but the {b} was {e} .", 1, -1),
        Pattern("while the {a} was {A} , the {b} was {e} .", 1, -1),
        Pattern("{x} {V} the {a} and {v} the {b} .", 1, -1),
        Pattern("we remember the {A} {a} and the {e} {b} .", 1, -1),
    ),
    "comparison": (
        Pattern("the {a} was {C} than the {b} .", 1, -1),
        Pattern("{x} thought the {a} far {C} than the {b} .", 1, -1),
        Pattern("next to the {a} , the {b} was {C} .", -1, 1),
        Pattern("the {a} was not as {A} as the {b} .", -1, 1),
    ),
    "ellipsis": (
        Pattern("the {a} was {A} , unlike the {b} .", 1, -1),
        Pattern("the {a} , unlike the {b} , was {A} .", 1, -1),
        Pattern("the {a} was {A} , which nobody would say of the {b} .", 1, -1),
        Pattern("{x} {V} the {a} but not the {b} .", 1, -1),
        Pattern("not the {a} but the {b} was {A} .", -1, 1),
    ),
    "reference": (
        Pattern("{x} tried the {a} and the {b} : the former was {A} , the latter {e} .", 1, -1),
        Pattern("{x} tried the {a} and the {b} : the latter was {A} , the former {e} .", -1, 1),
        Pattern("{x} got the {a} and {y} the {b} . {x} was {M} but {y} was {m} .", 1, -1),
        Pattern("{x} got the {a} and {y} the {b} . {y} was {M} but {x} was {m} .", -1, 1),
    ),
}
SHARES = {"plain": 7, "negation": 4, "contrast": 3, "comparison": 2, "ellipsis": 2, "reference": 2}  # of 20 sentences


def load_demo(data: Path | None, unlabelled: Unlabelled | None = None) -> TaskTexts:
    """Return the demo task, the same for everyone: a run's seed draws its selection split, not its texts.

    Args:
        data: must be None.
        unlabelled: what answers in the place of labels, which are dropped then.

    Raises:
        InputError: a data folder, which this task does not read.
    """
    if data is not None:
        raise InputError(f"the task 'demo' is generated and reads no data, but `data` is {data}; did you mean 'local'?")
    train, report = (
        Texts(rows["text"], rows["thing"], np.array(rows["label"], np.int64)) for rows in demo_rows(DEMO_SEED).values()
    )
    origin = "sentences that were generated with the training split's, none of them in both"
    if unlabelled is not None:
        kind, outputs = unlabelled.kind, len(unlabelled.label_names)
        train, report = (replace(part, labels=no_labels(kind, len(part), outputs)) for part in (train, report))
        names = unlabelled.label_names
        return TaskTexts(unlabelled.kind, names, AGREEMENT, train, {"validation": report}, origin)
    return TaskTexts("classification", LABEL_NAMES, "accuracy", train, {"validation": report}, origin)


def demo_rows(seed: int, num_train: int = NUM_TRAIN, num_report: int = NUM_REPORT) -> dict[str, Table]:
    """Generate the columns text, thing, label (0 negative, 1 positive) and level of "train" and "validation".

    No row occurs twice, so none of the report split was trained on. The labels of each level are balanced.
    """
    rng = np.random.default_rng(seed)
    cycle = [level for level, share in SHARES.items() for _ in range(share)]
    rows: dict[tuple[str, str], tuple[str, str, int, str]] = {}
    while len(rows) < num_train + num_report:
        level, label = cycle[len(rows) % len(cycle)], len(rows) // len(cycle) % 2
        text, thing = _sentence(PATTERNS[level], label, rng)
        rows.setdefault((text, thing), (text, thing, label, level))
    every = list(rows.values())
    order = rng.permutation(len(every))
    parts = {"train": order[:num_train], "validation": order[num_train:]}
    names = ("text", "thing", "label", "level")
    return {split: {name: [every[i][j] for i in part] for j, name in enumerate(names)} for split, part in parts.items()}


def _sentence(patterns: tuple[Pattern, ...], label: int, rng: np.random.Generator) -> tuple[str, str]:
    """Return a sentence and the thing it is asked about, such that ``label`` is the answer."""
    pattern = _one_of(patterns, rng)
    (a, b), (x, y) = _two_of(THINGS, rng), _two_of(PEOPLE, rng)
    ask_b = pattern.about_b != 0 and rng.random() < 0.5
    drawn_is_good = (label == 1) == ((pattern.about_b if ask_b else pattern.about_a) == 1)
    slots = {"a": a, "b": b, "x": x, "y": y}
    for slot, kind in SLOTS.items():
        good, bad = WORDS[kind]
        slots[slot] = _one_of(good if slot.isupper() == drawn_is_good else bad, rng)
    return pattern.text.format(**slots), b if ask_b else a


def _one_of(values: Sequence[T], rng: np.random.Generator) -> T:
    return values[int(rng.integers(len(values)))]


def _two_of(values: Sequence[T], rng: np.random.Generator) -> tuple[T, T]:
    first, step = int(rng.integers(len(values))), int(rng.integers(1, len(values)))
    return values[first], values[(first + step) % len(values)]
