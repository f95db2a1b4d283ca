"""Facts for a model card."""

from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.shipping.model_card import CardFacts

SHAPE = EncoderShape(num_layers=2, num_heads=2, head_size=3, hidden_size=4, intermediate_size=5)
FACTS = CardFacts(
    name="sst2-small",
    head="sequence-classification",
    parent="org/bert-sst2",
    mask=SubnetMask.from_counts(SHAPE, [1, 0], [2, 1], hidden=4),
    shape=SHAPE,
    parameters=1_234_567,
    parent_parameters=2_000_000,
    task="sst2",
    metric="accuracy",
    selection=0.91,
    report={"validation": 0.9},
    parent_report={"validation": 0.95},
    latency_ms=3.214,
    latency_conditions="an Example CPU, 1 thread, batch 1, 128 tokens, float32, PyTorch",
    method="NSGA-II, 100 evaluations, seed 0",
)
