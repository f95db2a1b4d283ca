"""The Hugging Face hub: upload of a finished checkpoint, and the licence of the model it came from."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, get_token, hf_hub_download, metadata_load
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from ...errors import InputError
from ..stored.record import CARD, check_record
from ..stored.storage import find_source, hub_is_offline, load_config, quiet


def push_to_hub(folder: Path, repo_id: str, *, private: bool = False) -> str:
    """Upload a finished checkpoint with its card and all else that lies beside it; the repository is made if need be.

    Args:
        folder: what `write_checkpoint` has written, perhaps with files for other runtimes.
        repo_id: `OWNER/NAME`, or `NAME` for one of the token's owner.
        private: whether a new repository can be seen by its owner only.

    Returns:
        The repository's address.

    Raises:
        InputError: no complete checkpoint, or one with a changed file; no name for the hub, no token, no network; or
            the hub refuses.
    """
    folder = Path(folder)
    check_name(repo_id)
    load_config(folder)
    if not (folder / CARD).is_file() or not any(folder.glob("*.safetensors")):
        raise InputError(f"{folder} is no finished checkpoint: it lacks its weights or {CARD}; write it again")
    check_record(folder)
    check_hub()
    api = HfApi()
    try:
        repo = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo.repo_id, folder_path=folder, commit_message="Upload a subnetwork cut by Secateur"
        )
    except Exception as error:  # the client's own, and those of the library below it
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the upload of {folder} to {repo_id} failed ({type(error).__name__}: {reason}); check that your token may "
            "write there, then push again"
        ) from error
    return str(repo)


def check_name(repo_id: str) -> None:
    """Check a repository's name.

    Raises:
        InputError: the hub would not have it.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(
            f"{repo_id!r} is no name for the hub: expected NAME or OWNER/NAME of letters, digits, - _ ."
        ) from error


def check_hub() -> None:
    """Check that an upload can begin.

    Raises:
        InputError: no token, or no network.
    """
    if get_token() is None:
        raise InputError("there is no token for the Hugging Face hub; run `hf auth login`, or set HF_TOKEN")
    if hub_is_offline():
        raise InputError("the Hugging Face hub cannot be reached; push again with a network")


def licence_of(path_or_id: str | Path) -> str | None:
    """Return the licence that a model's card names, as the hub names licences; None if it has none or is out of reach.

    Args:
        path_or_id: a folder, or a name on the hub.
    """
    try:
        source = find_source(path_or_id)
        card = Path(source.name) / CARD
        with quiet(progress=False):
            if not source.local:
                card = hf_hub_download(source.name, CARD, local_files_only=source.offline)
            found = (metadata_load(card) or {}).get("license")
    except Exception:  # a card is written by hand: whatever is wrong with it, it names no licence
        return None
    return found if isinstance(found, str) else None
