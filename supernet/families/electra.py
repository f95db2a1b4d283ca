from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from ...search_space import SubnetMask
from .family import GELU, MODELING, HeadPaths, ModelFamily, bert_like_embeddings, bert_like_heads, bert_like_layers


def _settings(config: PreTrainedConfig, mask: SubnetMask, layers: Sequence[int]) -> dict[str, Any]:
    if config.embedding_size != config.hidden_size:
        return {"project_embeddings": True}
    return {"project_embeddings": False, "embedding_size": mask.hidden_size}


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
    settings_of_part=_settings,
)
