from .family import EMBEDDING, MODELING, RELU, EmbeddingPaths, HeadPaths, LayerPaths, ModelFamily, dropout_names

DISTILBERT = ModelFamily(
    model_type="distilbert",
    base="distilbert",
    layers="distilbert.transformer.layer",
    extracted=f"{MODELING}:ExtractedDistilBertConfig",
    layer=LayerPaths(
        qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        attention_output="attention.out_lin",
        attention_norm="sa_layer_norm",
        ffn_in=("ffn.lin1",),
        ffn_out="ffn.lin2",
        ffn_norm="output_layer_norm",
    ),
    embeddings=EmbeddingPaths(
        word="distilbert.embeddings.word_embeddings",
        position="distilbert.embeddings.position_embeddings",
        norm="distilbert.embeddings.LayerNorm",
    ),
    heads={
        "sequence-classification": HeadPaths(
            "classifier", dense="pre_classifier", activation=RELU, dropout="seq_classif_dropout"
        ),
        "question-answering": HeadPaths("qa_outputs", drops_input=True, dropout="qa_dropout"),
        "token-classification": HeadPaths("classifier", drops_input=True, dropout="dropout"),
        "embedding": EMBEDDING,
    },
    intermediate_size="hidden_dim",
    activation="activation",
    dropout_rates=dropout_names("dropout", "attention_dropout"),
    norm_epsilon=1e-12,
)
