"""Checkpoints from the Hub: into the cache of huggingface_hub, each file checked against what the Hub and the registry
say of it, before anything is made of it and again whenever it is taken from the cache.
"""

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from cate_hf.core._files import sha256_of
from cate_hf.hub._checks_files import PICKLES, check_repo_names
from cate_hf.hub._layout import OWN_FILES
from cate_hf.hub._registry import registered_encoders
from cate_hf.hub.errors import HubError, hub_errors

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo
    from huggingface_hub.hf_api import RepoSibling

__all__ = ["cached_checkpoint", "is_repo_id"]

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_BYTES = 8 << 30  # of a checkpoint; ours hold megabytes
_CONFIG = "config.json"
_BLOCK = 1 << 20


def is_repo_id(name: str | os.PathLike) -> bool:
    """Whether it has the form owner/name of a repository."""
    return isinstance(name, str) and _REPO_ID.fullmatch(name) is not None


def download_checkpoint(repo_id: str, revision: str | None = None, sha256: Mapping[str, str] | None = None) -> Path:
    """The folder of a repository's checkpoint in the cache of huggingface_hub, downloaded where it is not there.

    A commit that is in the cache is taken from there without asking the Hub; so is a branch when the Hub cannot be
    reached, with a warning. Only files of a checkpoint are downloaded, never a pickle, the weights last: where they
    are, all is.

    Args:
        repo_id: "owner/name".
        revision: branch or commit; "main" by default.
        sha256: digests in hexadecimal of files that must be there and be these.

    Raises:
        HubError: (a ValueError) it cannot be downloaded, or is not what the Hub says or `sha256` demands. What is wrong
            is taken out of the cache again.
        OSError: no room on the disk, or the cache may not be written.
    """
    revision = revision or "main"
    if _COMMIT.fullmatch(revision) and (folder := _cached(repo_id, revision)) and _is_sound(folder, sha256):
        return folder
    try:
        with hub_errors(repo_id):
            info = _info(repo_id, revision)
    except (ValueError, OSError) as error:
        return _instead(repo_id, revision, sha256, error)
    with bars_on_terminals():
        return _download(repo_id, revision, info, sha256)


def download_encoder(name: str, revision: str | None = None) -> Path:
    """The same of an encoder's name in the registry, or of a repository id."""
    registered = registered_encoders().get(name)
    if registered is None:
        return download_checkpoint(name, revision)
    if revision not in (None, registered.revision):  # another one than is registered: its files are others
        return download_checkpoint(registered.repo_id, revision)
    return download_checkpoint(registered.repo_id, registered.revision, registered.sha256)


def cached_checkpoint(name: str) -> Path | None:
    """Where an encoder's name or a repository id is in the cache; None where it is not. Nothing is downloaded."""
    registered = registered_encoders().get(name)
    if registered is not None:
        return _cached(registered.repo_id, registered.revision or "main")
    return _cached(name, "main") if is_repo_id(name) else None


def _info(repo_id: str, revision: str) -> "ModelInfo":
    from huggingface_hub import HfApi, constants

    patience = constants.HF_HUB_ETAG_TIMEOUT  # seconds; without, the library would wait for ever
    try:
        return HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=patience)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:  # an answer of another form
        raise HubError(f"model {repo_id} on the Hub: an answer that is not one of the Hub ({error!r})") from None
    except ValueError as error:
        if isinstance(error, OSError) or type(error).__module__.startswith("huggingface_hub"):
            raise
        raise HubError(
            f"model {repo_id} on the Hub: an answer that is not JSON; check HF_ENDPOINT and proxies"
        ) from None


def _instead(repo_id: str, revision: str, sha256: Mapping[str, str] | None, error: Exception) -> Path:
    """What the cache holds of a branch while the Hub cannot be reached; raises the error where there is nothing."""
    folder = _cached(repo_id, revision) if getattr(error, "unreachable", False) else None
    if folder is None:
        raise error
    if not _is_sound(folder, sha256):
        raise HubError(
            f"{folder}: damaged in the cache, and removed; run it again when the Hub can be reached"
        ) from None
    if not _offline():
        warnings.warn(f"{error}; taken from the cache instead: commit {folder.name}", stacklevel=4)
    return folder


def _download(repo_id: str, revision: str, info: "ModelInfo", sha256: Mapping[str, str] | None) -> Path:
    from huggingface_hub import hf_hub_download

    files = _wanted(repo_id, info, sha256)
    for name, listed in files.items():
        last = name == list(files)[-1]
        with hub_errors(repo_id, name):
            # By the commit, lest files of two commits get together; the last by the branch, which the cache then knows.
            path = Path(hf_hub_download(repo_id, name, revision=revision if last else info.sha))
        if path.parent.name != info.sha:
            raise HubError(f"model {repo_id} on the Hub: changed while it was downloaded; run it again")
        expected = (sha256 or {}).get(name)
        if not _matches(path, listed) or (expected is not None and sha256_of(path) != expected):
            _remove(path)
            whose = "pinned here" if expected is not None else "that the Hub lists"
            raise HubError(
                f"model {repo_id} on the Hub, {name}: not the content {whose} (its SHA-256 differs); removed from the "
                "cache. Run it again; if it stays so, do not use this repository"
            )
    return path.parent


def _wanted(repo_id: str, info: "ModelInfo", sha256: Mapping[str, str] | None) -> "dict[str, RepoSibling]":
    """The files to download, by name, the weights last."""
    where = f"model {repo_id} on the Hub"
    if not _COMMIT.fullmatch(info.sha or ""):
        raise HubError(f"{where}: an answer without a commit; check HF_ENDPOINT and proxies")
    siblings = {file.rfilename: file for file in info.siblings or ()}
    check_repo_names(siblings, where)
    wanted = {n: file for n, file in siblings.items() if any(fnmatch(n, own) for own in OWN_FILES) and "/" not in n}
    if _CONFIG not in wanted:
        raise HubError(f"{where}: no {_CONFIG}, so this is not a checkpoint of CATE")
    if not any(name.endswith(".safetensors") for name in wanted):
        pickles = [name for name in siblings if name.endswith(PICKLES)]
        hint = f"; {pickles[0]} is a pickle, which is never loaded" if pickles else ""
        raise HubError(f"{where}: no model.safetensors{hint}")
    for name in sha256 or ():
        if name not in wanted:
            raise HubError(f"{where}: {name}, which is pinned here, is not there; upgrade cate_hf, or tell its owner")
    if (total := sum(file.size or 0 for file in wanted.values())) > _MAX_BYTES:
        raise HubError(f"{where}: {total:,} bytes, more than a checkpoint of CATE may have ({_MAX_BYTES:,})")
    return dict(sorted(wanted.items(), key=lambda item: (".safetensors" in item[0], item[0])))


def _matches(path: Path, listed: "RepoSibling") -> bool:
    """Whether a file is the one that the Hub lists: by SHA-256 of large files, by git's SHA-1 of others. So must be the
    name that the cache gave it, which the Hub told with the file.
    """
    digest, expected = (
        (_git_blob_id(path), listed.blob_id) if listed.lfs is None else (sha256_of(path), listed.lfs.sha256)
    )
    blob = Path(os.path.realpath(path))
    return digest == expected and (blob.parent.name != "blobs" or blob.name == digest)


def _git_blob_id(path: str | os.PathLike) -> str:
    """Return the SHA-1 that names a file's content in git; the Hub lists it for files outside of large file storage."""
    digest = hashlib.sha1(b"blob %d\0" % os.path.getsize(path))
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _cached(repo_id: str, revision: str) -> Path | None:
    """The folder of a revision in the cache, as far as it is there."""
    from huggingface_hub import try_to_load_from_cache

    with hub_errors(repo_id):
        found = try_to_load_from_cache(repo_id, _CONFIG, revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def _is_sound(folder: Path, sha256: Mapping[str, str] | None) -> bool:
    """Whether a snapshot in the cache is whole and as it was downloaded; files that are not are removed.

    Each file of a snapshot is a link to one named by its digest, where links are possible.
    """
    sound = any(folder.glob("*.safetensors"))  # the last to be downloaded
    for path in folder.iterdir():
        if path.is_dir():
            continue
        blob = Path(os.path.realpath(path))
        expected = (sha256 or {}).get(path.name)
        if not blob.is_file():
            good = False
        elif re.fullmatch("[0-9a-f]{64}", blob.name):
            good = sha256_of(blob) == blob.name
        else:
            good = not _COMMIT.fullmatch(blob.name) or _git_blob_id(blob) == blob.name
        if good and expected is not None:
            good = sha256_of(blob) == expected
        if not good:
            _remove(path)
            sound = False
    return sound and all((folder / name).is_file() for name in sha256 or ())


def _remove(path: Path) -> None:
    """Take a file of a snapshot, and what it links to, out of the cache."""
    blob = Path(os.path.realpath(path))
    path.unlink(missing_ok=True)
    if blob.parent.name == "blobs":
        blob.unlink(missing_ok=True)


def _offline() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


@contextmanager
def bars_on_terminals() -> Iterator[None]:
    """The bars of huggingface_hub are drawn on terminals alone."""
    import sys

    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
