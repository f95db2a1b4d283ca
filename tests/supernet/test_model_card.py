from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCardData
from secateur.supernet.shipping.model_card import model_card
from secateur.tests.supernet.cards import FACTS


def metadata(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_numbers_stand_with_their_splits_and_conditions():
    text = model_card(FACTS, "secateur")
    assert "| selection | 0.9100 |  |" in text
    assert "| validation | 0.9000 | 0.9500 |" in text
    assert "3.21 ms, measured end to end on an Example CPU, 1 thread, batch 1, 128 tokens, float32, PyTorch" in text
    assert "| parameters | 1,234,567 | 2,000,000 |" in text
    assert "| encoder parameters | 120 | 366 |" in text  # counted by hand
    assert "32.8% of the" in text
    assert "| 0 | 1 | 2 |" in text
    assert "| 1 | dropped | 1 |" in text
    assert "import secateur" in text
    assert 'AutoModelForSequenceClassification.from_pretrained("sst2-small")' in text


def test_metadata_is_what_the_hub_reads():
    data = ModelCardData(**metadata(model_card(FACTS, "secateur")))
    assert data.base_model == "org/bert-sst2"
    assert [(r.dataset_split, r.metric_type, r.metric_value) for r in data.eval_results] == [
        ("selection", "accuracy", 0.91),
        ("validation", "accuracy", 0.9),
    ]


@pytest.mark.parametrize(
    ("head", "auto_class", "pipeline"),
    [
        ("sequence-classification", "AutoModelForSequenceClassification", "text-classification"),
        ("question-answering", "AutoModelForQuestionAnswering", "question-answering"),
        ("token-classification", "AutoModelForTokenClassification", "token-classification"),
    ],
)
def test_each_head_has_its_class_and_its_pipeline(head, auto_class, pipeline):
    text = model_card(replace(FACTS, head=head), "stock")
    assert f'model = {auto_class}.from_pretrained("sst2-small")' in text
    assert f"from transformers import AutoTokenizer, {auto_class}\n" in text
    assert (f'pipeline("{pipeline}", "sst2-small")' in text) == (pipeline != "question-answering")
    data = ModelCardData(**metadata(text))
    assert data.pipeline_tag == pipeline
    assert {result.task_type for result in data.eval_results} == {pipeline}


def test_a_folder_is_no_base_model_of_the_hub():
    text = model_card(replace(FACTS, parent="runs/sst2/finetuned", latency_ms=None), "stock")
    assert "base_model" not in metadata(text)
    assert "`runs/sst2/finetuned`" in text
    assert "Latency" not in text


def test_a_latency_without_conditions_is_refused():
    with pytest.raises(ValueError, match="a latency needs its conditions"):
        replace(FACTS, latency_conditions="")


@pytest.mark.parametrize(
    ("form", "there", "not_there"),
    [
        ("stock", 'from_pretrained("sst2-small")', "trust_remote_code"),
        ("portable", 'AutoTokenizer.from_pretrained("sst2-small", trust_remote_code=True)', "load_model"),
        ("secateur", "```python\nimport secateur\nfrom transformers", "trust_remote_code"),
        ("packed", 'model = load_model("sst2-small")', "from_pretrained"),
    ],
)
def test_each_form_says_how_it_is_loaded(form, there, not_there):
    text = model_card(FACTS, form)
    assert there in text
    assert not_there not in text
    assert ("import secateur" in text) == (form in ("portable", "secateur"))


def test_the_code_of_a_card_is_code():
    for form in ("stock", "portable", "secateur", "packed"):
        compile(model_card(FACTS, form).split("```python\n")[1].split("```")[0], "card", "exec")


def test_the_licence_is_the_parents():
    text = model_card(replace(FACTS, licence="mit"), "stock")
    assert metadata(text)["license"] == "mit"
    assert "come from `org/bert-sst2` and stay under its licence, mit" in text
    assert "license" not in metadata(model_card(FACTS, "stock"))
    assert "whose licence is not known here" in model_card(FACTS, "stock")


def test_sections_and_a_picture_are_shown():
    text = model_card(replace(FACTS, sections={"Served": "| a | b |"}), "stock", picture="front.png")
    assert "\n## Served\n\n| a | b |\n" in text
    assert "](front.png)" in text
    assert "front.png" not in model_card(FACTS, "stock")


def test_a_score_that_was_not_measured_is_left_out():
    text = model_card(replace(FACTS, selection=None), "stock")
    assert [result["name"] for result in metadata(text)["model-index"]] == ["sst2-small"]
    assert "| selection |" not in text
    assert "| validation | 0.9000 | 0.9500 |" in text
