from .family import GELU, MODELING, HeadPaths, ModelFamily, bert_like_embeddings, bert_like_heads, bert_like_layers

ELECTRA = ModelFamily(
    model_type="electra",
    base="electra",
    layers="electra.encoder.layer",
    extracted=f"{MODELING}:ExtractedElectraConfig",
    layer=bert_like_layers(),
    # Present only where the embeddings are narrower than the encoder (ELECTRA-small).
    embeddings=bert_like_embeddings("electra", projection="electra.embeddings_project"),
    heads=bert_like_heads(
        HeadPaths("classifier.out_proj", dense="classifier.dense", activation=GELU, drops_input=True)
    ),
)
