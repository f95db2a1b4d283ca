from dataclasses import replace

from transformers import PreTrainedConfig

from .family import EMBEDDING, MODELING, TANH, Biases, DropoutNames, EmbeddingPaths, HeadPaths
from .nomic_bert import NOMIC_BERT


def _biases(config: PreTrainedConfig) -> Biases:
    return Biases(ffn_in=False)


GTE = replace(
    NOMIC_BERT,
    model_type="gte",
    base="gte",
    layers="gte.layers",
    extracted=f"{MODELING}:ExtractedGteConfig",
    embeddings=EmbeddingPaths(
        word="gte.embeddings.word_embeddings",
        norm="gte.embeddings.LayerNorm",
        token_type="gte.embeddings.token_type_embeddings",
        types_optional=True,
    ),
    heads={
        "sequence-classification": HeadPaths("classifier", dense="gte.pooler.dense", activation=TANH),
        "token-classification": HeadPaths("classifier", drops_input=True),
        "embedding": EMBEDDING,
    },
    biases=_biases,
    dropout_rates=DropoutNames(
        embeddings="hidden_dropout_prob",
        attention="attention_probs_dropout_prob",
        attention_output="hidden_dropout_prob",
        neurons="hidden_dropout_prob",
        ffn_output="hidden_dropout_prob",
    ),
)
