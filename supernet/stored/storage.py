"""Models and tokenizers on disk: loaded and saved with one-line errors, and saved whole or not at all."""

from __future__ import annotations

import shutil
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from logging import CRITICAL
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from huggingface_hub import constants
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ...digests import check_sealed, seal
from ...errors import InputError
from ..families import HeadPaths, ModelFamily, check_configuration, family_of
from ..families.configuration import without_passing_settings
from ..heads import auto_class, stored_head
from ..packed.packed import slab_linears
from ..packed.packed_storage import in_stored_form, save_packed, unpacked
from ..sentence import ForEmbedding, embedder, encoder_class
from ..sentence_head import SentenceHead
from .extracted import family_of_extracted, is_extracted, register_extracted
from .record import CARD, check_record
from .replacing import replacing
from .sentences import has_modules, read_modules, write_modules

if TYPE_CHECKING:
    from ...tasks.kinds import Head


def model_positions(config: PreTrainedConfig) -> int:
    """Return how many tokens a model can read."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    if known_family(config).positions_from_padding:
        positions -= int(config.pad_token_id or 0) + 1  # positions count from after the padding index
    return positions


def load_model(
    path_or_id: str | Path,
    *,
    head: Head | None = None,
    label_names: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
) -> PreTrainedModel:
    """Load a model with a head of a supported family, an extracted or a packed one, in evaluation mode.

    Args:
        path_or_id: a folder, or a model's name on the Hugging Face hub.
        head: which; the checkpoint's own if None.
        label_names: start a new head for these labels where the checkpoint has none (to fine-tune a pre-trained model)
            or has another one, which is dropped; a checkpoint without the head is an error if None.
        dtype: precision of the parameters; the checkpoint's own if None.

    Raises:
        InputError: no such model, a damaged, incomplete or changed one, weights that are no numbers, no head or another
            one, or another family.
    """
    source = find_source(path_or_id)
    config = load_config(path_or_id)
    _check_files(source, weights=True)
    family, own = known_family(config), stored_head(config)
    head = head or own or ("embedding" if has_modules(source) else "sequence-classification")
    if head == "embedding":
        return _load_embedder(source, config, dtype)
    dropped = own not in (None, head)
    if dropped and label_names is None:
        raise InputError(f"{source.name} has a head for {own}, not for {head}; fine-tune it on such a task first")
    with quiet(progress=not source.local):
        if label_names is not None:
            config.id2label = dict(enumerate(label_names))
            config.label2id = {name: i for i, name in enumerate(label_names)}
        with one_line_errors(source), unpacked(source.name) as place:
            model, info = getattr(transformers, auto_class(head)).from_pretrained(
                place,
                config=config,
                dtype=dtype or "auto",
                local_files_only=source.offline,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=dropped,  # heads may have parts of one name
            )
    paths = family.heads[head]
    not_there = set(info["missing_keys"]) | {key for key, *_ in info["mismatched_keys"]}
    _check_complete(source.name, f"{family.model_type} encoder", not_there, paths, new=label_names is not None)
    _check_used(source.name, info["unexpected_keys"], family)
    if source.local:
        check_record(Path(source.name))
    _check_numbers(source.name, model)
    if dropped:
        _renew(model, paths)
    return in_stored_form(model, source.name)


def _load_embedder(source: Source, config: PreTrainedConfig, dtype: torch.dtype | None) -> PreTrainedModel:
    """Load an encoder and what makes vectors of its states, in evaluation mode.

    Raises:
        InputError: as :func:`load_model`; a head for a task, or steps that are not supported.
    """
    family, own = known_family(config), stored_head(config)
    if own not in (None, "embedding"):
        raise InputError(
            f"{source.name} has a head for {own}, but vectors are made by a model without a task's head; give the "
            "encoder alone, or a sentence-transformers model"
        )
    head, linear = read_modules(source, config)
    kind: Any = encoder_class(config)
    unpooled = {"add_pooling_layer": False} if "add_pooling_layer" in signature(kind).parameters else {}
    with quiet(progress=not source.local), one_line_errors(source), unpacked(source.name) as place:
        encoder, info = kind.from_pretrained(
            place,
            config=config,
            dtype=dtype or "auto",
            local_files_only=source.offline,
            output_loading_info=True,
            **unpooled,
        )
    missing = set(info["missing_keys"]) | {key for key, *_ in info["mismatched_keys"]}
    _check_complete(source.name, f"{family.model_type} encoder", missing, family.heads["embedding"], new=False)
    _check_used(source.name, info["unexpected_keys"], family)
    if source.local:
        check_record(Path(source.name))
    _check_numbers(source.name, encoder)
    return in_stored_form(embedder(encoder, head, linear), source.name)


def load_sentence_head(path_or_id: str | Path) -> SentenceHead:
    """Return what makes vectors of an encoder's states, which is kept beside it.

    Raises:
        InputError: no such model, damaged files, or steps that are not supported.
    """
    return read_modules(find_source(path_or_id), load_config(path_or_id))[0]


def load_tokenizer(path_or_id: str | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer that lies beside a model.

    Raises:
        InputError: none there, or a damaged one.
    """
    source = find_source(path_or_id)
    _check_files(source, weights=False)
    with quiet(progress=not source.local), one_line_errors(source, what="tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(source.name, local_files_only=source.offline, trust_remote_code=False)
    # Without its files transformers makes an empty tokenizer of the model's kind, which maps all words to "unknown".
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        raise InputError(f"{path_or_id} has a model but no tokenizer; expected tokenizer.json or vocab.txt beside it")
    return tokenizer


def load_config(path_or_id: str | Path) -> PreTrainedConfig:
    """Load a model's configuration only.

    Raises:
        InputError: no such model, a damaged configuration, or another family.
    """
    source = find_source(path_or_id)
    _check_files(source, weights=False)
    with quiet(progress=False), one_line_errors(source):
        # Said, for else transformers asks on the terminal whether to run what lies beside an unknown kind of model.
        register_extracted()  # those of families that were added since
        config = AutoConfig.from_pretrained(source.name, local_files_only=source.offline, trust_remote_code=False)
    known_family(config)
    return without_passing_settings(config)


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    card: str | None = None,
    sealed: bool = False,
) -> None:
    """Write a model and its tokenizer so that `folder` is either complete or untouched; what was there is replaced.

    Args:
        model: of any kind that :func:`load_model` reads.
        tokenizer: its own.
        folder: where to.
        card: the text of README.md, if it gets one.
        sealed: write digests of its files beside them, which are checked whenever it is loaded: for a run's own models.

    Raises:
        InputError: a full disk, or a place that cannot be written.
    """
    with replacing(folder) as part:
        write_model(model, tokenizer, part)
        if card is not None:
            (part / CARD).write_text(card, encoding="utf-8")
        if sealed:
            seal(part)


def write_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the files of a model and its tokenizer into a folder that is there."""
    with quiet(progress=False):
        if slab_linears(model):
            save_packed(model, folder)
            if isinstance(model, ForEmbedding):
                write_modules(model, folder)
        else:
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):  # which safetensors lets nobody but their writer read
        shutil.copymode(folder / "config.json", weights)


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a folder, or the hub, of which only the local cache may be in reach.

    Attributes:
        name: the folder's path, or the name on the hub.
        local: a folder.
        offline: the hub is out of reach.
    """

    name: str
    local: bool
    offline: bool


def find_source(path_or_id: str | Path) -> Source:
    """Tell a folder from a name on the hub, and check that the folder can be a model's.

    Raises:
        InputError: no such folder, or one without a model.
    """
    text, path = str(path_or_id), Path(path_or_id).expanduser()
    if not text or not path.exists():
        if isinstance(path_or_id, Path) or not text or text.startswith((".", "/", "~")) or text.count("/") > 1:
            raise InputError(f"there is no folder {text!r}; give a model's folder, or its name on the Hugging Face hub")
        return Source(text, local=False, offline=hub_is_offline())
    expected = "expected a folder with config.json and model.safetensors, as save_pretrained writes"
    if not path.is_dir():
        raise InputError(f"{text} is a file and no model; {expected}")
    if not (path / "config.json").is_file():
        raise InputError(f"{text} is no model: it has no config.json; {expected}")
    return Source(str(path), local=True, offline=False)


def hub_is_offline() -> bool:
    """Find out in at most three seconds whether the hub is out of reach, for its own client tries for half a minute."""
    if constants.HF_HUB_OFFLINE:
        return True
    if {"https", "http", "all"} & set(urllib.request.getproxies()):
        return False  # a proxy may well reach what this machine cannot
    hub = urllib.parse.urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((hub.hostname or "", hub.port or 443), timeout=3).close()
    except OSError:
        return True
    return False


@contextmanager
def quiet(*, progress: bool) -> Iterator[None]:
    """Silence transformers' log, and its progress bars unless something may be downloaded, then restore both."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    if bars and not progress:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars and not progress:
            logging.enable_progress_bar()


@contextmanager
def one_line_errors(source: Source, what: str = "model") -> Iterator[None]:
    """Turn whatever transformers, safetensors or a damaged file raise into one InputError of one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if source.offline:
            message = (
                f"no folder {source.name!r}, and no {what} of that name in the local cache; the Hugging Face hub "
                "cannot be reached, so give a folder, or try again with a network"
            )
        else:
            place = "its files are" if source.local else "there is no such folder, and on the hub it is missing or"
            message = (
                f"cannot load the {what} {source.name!r}: {place} damaged, incomplete or of an unknown kind "
                f"({_reason(error)}); get it again, or give another"
            )
        raise InputError(message) from error


def _reason(error: Exception) -> str:
    if "ignore_mismatched_sizes" in str(error):  # refers to a report in the log
        return "its weights have other sizes than config.json and the number of classes say"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 200 else text[:200].rstrip() + '...'}"


def _check_files(source: Source, *, weights: bool) -> None:
    """Check a folder that a run wrote against the digests in it."""
    if source.local:
        check_sealed(Path(source.name), weights=weights)


def known_family(config: PreTrainedConfig) -> ModelFamily:
    """Return the family of an ordinary or an extracted model.

    Raises:
        InputError: the family is not supported, or what its configuration asks for is not.
    """
    if not is_extracted(config):
        return family_of(config)
    family = family_of_extracted(config)
    check_configuration(family, config)
    return family


def known_segments(config: PreTrainedConfig) -> int:
    """Return how many token types a model knows; 0 where its family has none, whatever its configuration says."""
    return 0 if known_family(config).embeddings.token_type is None else int(config.type_vocab_size)


def _check_complete(name: str, what: str, missing: set[str], head: HeadPaths, *, new: bool) -> None:
    """Refuse weights that transformers has made up because the checkpoint lacks them; a head may be `new`."""
    others = sorted(key for key in missing if not key.startswith(tuple(f"{path}." for path in head.modules)))
    if others:
        raise InputError(
            f"{name} lacks {len(others)} parameters of a {what}, {others[0]} among them; expected a complete checkpoint"
        )
    if missing and not new:
        raise InputError(f"{name} has no head for a task ({', '.join(sorted(missing))}); fine-tune it on one first")


def _check_used(name: str, unexpected: Iterable[str], family: ModelFamily) -> None:
    """Refuse layers' weights that config.json has no place for: without them this is another model."""
    layers = family.layers, family.layers.removeprefix(f"{family.base}.")  # an encoder that was saved alone has these
    left = sorted(key for key in unexpected if key.startswith(tuple(f"{path}." for path in layers)))
    if left:
        raise InputError(
            f"{name} has {len(left)} parameters that its config.json has no place for, {left[0]} among them; one of "
            "the two files is damaged or another model's, get the checkpoint again"
        )


@torch.no_grad()
def _check_numbers(name: str, model: PreTrainedModel) -> None:
    """Refuse weights that are not finite numbers: nothing that is cut from them or trained would be one."""
    for path, parameter in model.named_parameters():
        if parameter.numel() and not all(bool(bound.isfinite()) for bound in torch.aminmax(parameter)):
            raise InputError(
                f"{name} has weights that are not finite numbers, {path} among them; its training diverged, or the "
                "file is damaged: give another checkpoint of it"
            )


@torch.no_grad()
def _renew(model: PreTrainedModel, head: HeadPaths) -> None:
    """Draw a head anew, as transformers does; what another one had under the same names is gone."""
    for path in head.linears:
        linear = model.get_submodule(path)
        assert isinstance(linear, torch.nn.Linear)
        linear.weight.normal_(std=model.config.initializer_range)
        if linear.bias is not None:
            linear.bias.zero_()
