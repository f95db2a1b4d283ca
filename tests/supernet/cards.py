"""Facts for a model card."""

from secateur.supernet.shipping.model_card import CardFacts

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
