"""What a configuration may ask for: all of it is either computed as transformers does, or refused in one line."""

from __future__ import annotations

from transformers import PreTrainedConfig

from ...errors import InputError
from .family import ModelFamily

# Settings that change what a model computes, which no slice does, and what may be done about it.
_REFUSED = {
    "is_decoder": "it is a decoder then, each of whose tokens sees those before it alone",
    "add_cross_attention": "its layers attend to another model's output then",
}
# Settings that change how outputs are made or handed over, not what they are; here the caller says it.
PASSING = {
    "chunk_size_feed_forward": 0,
    "return_dict": True,
    "output_attentions": False,
    "output_hidden_states": False,
}


def check_configuration(family: ModelFamily, config: PreTrainedConfig) -> None:
    """Refuse a configuration of a family, be it an extracted model's, that is not computed as transformers does it.

    Raises:
        InputError: a decoder, relative positions, an activation that is not supported, or sizes that do not fit.
    """
    for name, consequence in _REFUSED.items():
        if hasattr(type(config), name) and getattr(config, name):  # else its family does not read it
            raise InputError(
                f"the configuration has {name}, but only encoders are supported ({consequence}); give another model, "
                f'or set "{name}": false in config.json if this one is none'
            )
    positions = getattr(config, "position_embedding_type", "absolute")
    if positions != "absolute":
        raise InputError(
            f"the configuration's position_embedding_type is {positions!r}, but only absolute positions are supported; "
            "give another model"
        )
    family.neuron_function(config)
    family.attention(config)
    for head in family.heads:
        family.head_paths(config, head)
    if family.check is not None:
        family.check(config)
    _check_sizes(family, config)


def _check_sizes(family: ModelFamily, config: PreTrainedConfig) -> None:
    """Refuse numbers of which transformers makes no model, or one that fails at its first text."""
    rows, pad = int(config.vocab_size), config.pad_token_id
    if pad is not None and not -rows <= pad < rows:
        raise InputError(
            f"the configuration's pad_token_id is {pad}, but there are {rows} rows of word embeddings; write the id of "
            "the tokenizer's padding token into config.json"
        )
    paths = family.embeddings
    if paths.token_type is not None and not paths.types_optional and config.type_vocab_size < 1:
        raise InputError(
            f"the configuration's type_vocab_size is {config.type_vocab_size}, but a model of the family "
            f"{family.model_type} has at least one token type; write the number of rows of its table into config.json"
        )
    if not family.positions_from_padding:
        return
    if pad is None:
        raise InputError(
            f"the configuration has no pad_token_id, after which the positions of a {family.model_type} count; write "
            "the id of the tokenizer's padding token into config.json"
        )
    if pad + 1 >= int(config.max_position_embeddings):
        raise InputError(
            f"the configuration's pad_token_id is {pad}, after which the positions of a {family.model_type} count, and "
            f"max_position_embeddings is {config.max_position_embeddings}, so that none is left for a text; mend "
            "config.json"
        )


def without_passing_settings(config: PreTrainedConfig) -> PreTrainedConfig:
    """Return a configuration, changed in place, without what only says how outputs are made or handed over.

    Texts must have a multiple of `chunk_size_feed_forward` tokens, and tuples come out without `return_dict`: programs
    that serve a model cannot know of either.
    """
    for name, value in PASSING.items():
        if getattr(config, name, value) != value:
            setattr(config, name, value)
    return config
