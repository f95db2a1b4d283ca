from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCardData
from secateur.supernet.model_card import CardFacts, model_card

FACTS = CardFacts(
    name="sst2-small",
    head="sequence-classification",
    parent="org/bert-sst2",
    key="0123456789abcdef",
    heads=(3, 0),
    neurons=(24, 5),
    hidden_size=13,
    parameters=1_234_567,
    parent_parameters=2_000_000,
    encoder_parameters=250,
    parent_encoder_parameters=1000,
    task="sst2",
    metric="accuracy",
    selection=0.91,
    report={"validation": 0.9},
    parent_report={"validation": 0.95},
    latency_ms=3.214,
    latency_conditions="an Example CPU, 1 thread, batch 1, 128 tokens, float32, PyTorch",
    method="NSGA-II, 100 evaluations, seed 0",
)


def metadata(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_numbers_stand_with_their_splits_and_conditions():
    text = model_card(FACTS)
    assert "| selection | 0.9100 |  |" in text
    assert "| validation | 0.9000 | 0.9500 |" in text
    assert "3.21 ms, measured end to end on an Example CPU, 1 thread, batch 1, 128 tokens, float32, PyTorch" in text
    assert "| parameters | 1,234,567 | 2,000,000 |" in text
    assert "25.0% of the" in text
    assert "| 1 | dropped | 5 |" in text
    assert "import secateur" in text
    assert 'AutoModelForSequenceClassification.from_pretrained("sst2-small")' in text


def test_metadata_is_what_the_hub_reads():
    data = ModelCardData(**metadata(model_card(FACTS)))
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
    text = model_card(replace(FACTS, head=head))
    assert f'model = {auto_class}.from_pretrained("sst2-small")' in text
    assert f"from transformers import AutoTokenizer, {auto_class}\n" in text
    data = ModelCardData(**metadata(text))
    assert data.pipeline_tag == pipeline
    assert {result.task_type for result in data.eval_results} == {pipeline}


def test_a_folder_is_no_base_model_of_the_hub():
    text = model_card(replace(FACTS, parent="runs/sst2/finetuned", latency_ms=None))
    assert "base_model" not in metadata(text)
    assert "`runs/sst2/finetuned`" in text
    assert "Latency" not in text


def test_a_latency_without_conditions_is_refused():
    with pytest.raises(ValueError, match="a latency needs its conditions"):
        replace(FACTS, latency_conditions="")
