"""What may be told of a folder's files before any is read whole: names, kinds, links, sizes; and JSON read strictly."""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from cate_hf.core._files import check_fetched

__all__ = ["CheckpointError", "pickled_weights", "read_object"]

MAX_JSON_BYTES = 1 << 20  # config.json, vocab.json and their like hold kilobytes
_DEEPEST = 20  # lists and objects within each other; what is made of the content recurses
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".tar", ".joblib", ".npy", ".npz", ".msgpack", ".h5")
# With peft installed, transformers follows it to another model, wherever that is.
REDIRECTIONS = ("adapter_config.json",)


class CheckpointError(ValueError):
    """A checkpoint folder that is not loaded: damaged, not one of CATE, or made to do harm. One line says why."""


def shown(value: Any) -> str:
    """A value of somebody else's file for a message: on one line, without control characters, not long."""
    text = repr(value[:100] if isinstance(value, str | list) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_repo_names(names: Iterable[str], source: str = "the repository") -> None:
    """Check the file names of a repository before any is written below a folder.

    Raises:
        CheckpointError: a name that is absolute, climbs out by "..", holds a backslash, a colon or a character that is
            not printable, or that differs from another only in case.
    """
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/") if isinstance(name, str) else []
        if not parts or any(part in ("", ".", "..") for part in parts) or PurePosixPath(name).is_absolute():
            raise CheckpointError(f"{source}: {shown(name)} is not the name of a file inside it, and is refused")
        if "\\" in name or ":" in name or not name.isprintable():
            raise CheckpointError(f"{source}: the file name {shown(name)} holds characters that are refused")
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise CheckpointError(f"{source}: {shown(other)} and {shown(name)} would be one file on some systems")


def check_entries(folder: Path) -> list[str]:
    """Check the kinds of what a folder holds: no link leaves it, nothing else than files and folders.

    Links into the `blobs` of the cache of huggingface_hub are allowed in a snapshot of that cache.

    Returns:
        remarks on files that are never read (pickles).

    Raises:
        CheckpointError: such a link, a device or a pipe, or a file that would lead transformers elsewhere.
    """
    roots, remarks = _allowed_roots(folder), []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.is_symlink():
            target = Path(os.path.realpath(path))
            if not any(target.is_relative_to(root) for root in roots):
                raise CheckpointError(f"{folder}: {shown(entry.name)} is a link that leaves the folder, and is refused")
        try:
            mode = os.stat(path).st_mode
        except OSError:
            raise CheckpointError(f"{folder}: {shown(entry.name)} is a link to nothing") from None
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise CheckpointError(f"{folder}: {shown(entry.name)} is neither a file nor a folder, and is refused")
        if entry.name in REDIRECTIONS:
            raise CheckpointError(f"{folder}: {entry.name} would have another model loaded, and is refused")
        if stat.S_ISREG(mode) and entry.name.lower().endswith(PICKLES):
            remarks.append(f"{shown(entry.name)} is never read: only safetensors are")
    return remarks


def pickled_weights(folder: Path) -> list[str]:
    """Names of the files of a folder that may hold pickles, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.name.lower().endswith(PICKLES))


def _allowed_roots(folder: Path) -> list[Path]:
    real = Path(os.path.realpath(folder))
    roots = [real]
    # models--owner--name/snapshots/<revision>, each file a link to models--owner--name/blobs/<hash>
    if real.parent.name == "snapshots" and real.parent.parent.name.startswith(("models--", "datasets--")):
        roots.append(real.parent.parent / "blobs")
    return roots


def read_json(path: Path, limit: int = MAX_JSON_BYTES) -> Any:
    """JSON of a small file, strictly: UTF-8, each key once, finite numbers.

    Raises:
        CheckpointError: missing, not a file, larger than `limit` bytes, or not such JSON.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    check_fetched(path, CheckpointError)
    with open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise CheckpointError(f"{path}: larger than {limit:,} bytes, and is not read")
    return parse_json(content, str(path))


def read_object(path: Path) -> dict[str, Any]:
    """The same of a file that must hold an object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected an object, found {shown(content)}")
    return content


def parse_json(content: bytes, source: str) -> Any:
    """The same of bytes. Raises CheckpointError naming the source."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{shown(twice)} is there twice")
        return found

    def finite(text: str) -> float:
        number = float(text)
        if number in (float("inf"), float("-inf")) or number != number:
            raise ValueError(f"{text[:40]} is no finite number")
        return number

    try:
        found = json.loads(
            content.decode("utf-8"), object_pairs_hook=once, parse_float=finite, parse_constant=finite, parse_int=_whole
        )
    except RecursionError:
        raise CheckpointError(f"{source}: not valid JSON (nested too deeply)") from None
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{source}: not valid JSON (not UTF-8 at byte {error.start})") from None
    except ValueError as error:
        raise CheckpointError(f"{source}: not valid JSON ({error})") from None
    level = [found]
    for _ in range(_DEEPEST):
        level = [item for node in level if isinstance(node, dict | list) for item in _items(node)]
    if level:
        raise CheckpointError(f"{source}: nested too deeply")
    return found


def _items(node: dict | list) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"{text[:40]}... is too long a number")
    return int(text)
