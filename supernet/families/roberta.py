from .family import MODELING, TANH, HeadPaths, ModelFamily, bert_like_embeddings, bert_like_heads, bert_like_layers

ROBERTA = ModelFamily(
    model_type="roberta",
    base="roberta",
    layers="roberta.encoder.layer",
    extracted=f"{MODELING}:ExtractedRobertaConfig",
    layer=bert_like_layers(),
    embeddings=bert_like_embeddings("roberta"),
    heads=bert_like_heads(
        HeadPaths("classifier.out_proj", dense="classifier.dense", activation=TANH, drops_input=True)
    ),
    positions_from_padding=True,
)
