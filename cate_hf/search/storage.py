"""The state of a search as files: state.json, and a safetensors file where the algorithm keeps arrays.

state.json takes its place in one step, after the arrays that it names, so that a folder holds one whole state at any
moment. It says what the search is: format, algorithm, space, seed, settings, and digests of candidates and encodings.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._files import atomic_output, check_output
from cate_hf.graphs._hashes import hash_bytes
from cate_hf.search._registry import get_algorithm

if TYPE_CHECKING:
    from cate_hf.encodings import Encoding
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.search.base import Optimizer
    from cate_hf.spaces import Space

__all__ = ["load_search", "save_search"]

FORMAT = "cate_hf search 1"
STATE_FILE = "state.json"
_PLURAL = ("settings", "candidates", "encodings")


def identity(optimizer: "Optimizer") -> dict[str, Any]:
    """What a search is, apart from what happened in it, as JSON can hold it."""
    hashes, encodings = hash_bytes(optimizer.candidates.columns["hash"][: optimizer.given]), optimizer.encodings
    return {
        "format": FORMAT,
        "algorithm": optimizer.name,
        "space": optimizer.space.name,
        "seed": optimizer.seed,
        "settings": dict(optimizer.settings),
        "candidates": f"{len(hashes)}, SHA-256 {_digest(hashes)}",
        "encodings": None if encodings is None else f"{encodings.shape[1]} numbers, SHA-256 {_digest(encodings)}",
        "encoding": None if optimizer.encoding is None else optimizer.encoding.name,
    }


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def check_format(content: Mapping[str, Any], source: str | os.PathLike) -> None:
    """Raise ValueError where a file is not of this format."""
    found = content.get("format")
    if found != FORMAT:
        raise ValueError(f"{source}: expected the format {FORMAT!r}, found {found!r}")


def check_identity(own: Mapping[str, Any], found: Mapping[str, Any], source: str | os.PathLike) -> None:
    """Raise ValueError, saying what differs, where a file is not of this search."""
    check_format(found, source)
    differences = []
    for key, mine in own.items():
        theirs = found.get(key)
        if mine == theirs:
            continue
        if isinstance(mine, dict) and isinstance(theirs, dict):
            names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
            differences += [f"{name} is {theirs.get(name)!r} there, {mine.get(name)!r} here" for name in names]
        else:
            verb = "are" if key in _PLURAL else "is"
            differences.append(f"{key} {verb} {theirs!r} there, {mine!r} here")
    if differences:
        raise ValueError(f"{source} is of another search: {'; '.join(differences)}")


def to_line(content: Mapping[str, Any]) -> str:
    """JSON in one line, with a checksum of it as its last entry."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return f'{text[:-1]},"crc32":{zlib.crc32(text.encode())}}}'


def from_line(line: str | bytes, source: str | os.PathLike) -> dict[str, Any]:
    """The inverse of `to_line`. Raises ValueError, naming the source, for what it did not write."""
    try:
        content = json.loads(line)
        checksum = content.pop("crc32")
        text = json.dumps(content, separators=(",", ":"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{source}: not a line of a search's state, or damaged") from None
    if zlib.crc32(text.encode()) != checksum:
        raise ValueError(f"{source}: damaged, its checksum does not fit")
    return content


def save_search(optimizer: "Optimizer", folder: str | os.PathLike, overwrite: bool = True) -> None:
    """Write the state of a search: state.json, and a safetensors file where the algorithm keeps arrays."""
    folder = Path(folder)
    check_output(folder / STATE_FILE, overwrite)
    arrays = write_arrays(optimizer.state_arrays(), folder, "state")
    content = {**identity(optimizer), "state": optimizer.state_dict(), "arrays": arrays}
    with atomic_output(folder / STATE_FILE, overwrite) as temporary:
        temporary.write_text(to_line(content) + "\n", encoding="utf-8")
    remove_arrays(folder, "state", arrays)


def load_search(
    folder: str | os.PathLike,
    space: "Space",
    candidates: "ArchitectureTable",
    encodings: np.ndarray | None = None,
    encoding: "Encoding | None" = None,
    algorithm: "type[Optimizer] | None" = None,
) -> "Optimizer":
    """Return the search that `save_search` wrote, to the bit. Seed and settings are the folder's.

    Args:
        algorithm: the class of the search; the registered one of the folder's name when None.

    Raises:
        ValueError: the search is of another space, other candidates or encodings, or of another algorithm (the message
            says what differs), or damaged.
        OSError: it cannot be read.
    """
    path = Path(folder) / STATE_FILE
    content = from_line(path.read_bytes(), path)
    check_format(content, path)
    name = content["algorithm"]
    algorithm = algorithm or get_algorithm(name)
    if algorithm.name != name:
        raise ValueError(f"{path} is of another search: algorithm is {name!r} there, {algorithm.name!r} here")
    optimizer = algorithm(space, candidates, content["seed"], encodings, encoding, **content["settings"])
    check_identity(identity(optimizer), content, path)
    optimizer.load_state_dict(content["state"], read_arrays(path.parent, content["arrays"]))
    return optimizer


def write_arrays(arrays: Mapping[str, np.ndarray], folder: Path, prefix: str) -> str | None:
    """Write them to `prefix`-DIGEST.safetensors, where that is not there, and give its name; None for no arrays."""
    if not arrays:
        return None
    from safetensors.numpy import save as to_bytes

    data = to_bytes({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    name = f"{prefix}-{hashlib.sha256(data).hexdigest()[:32]}.safetensors"
    if not (folder / name).is_file():
        with atomic_output(folder / name) as temporary:
            temporary.write_bytes(data)
    return name


def read_arrays(folder: Path, name: str | None) -> dict[str, np.ndarray]:
    """The inverse of `write_arrays`.

    Raises:
        ValueError: the file is not what was written.
    """
    if name is None:
        return {}
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    path = folder / Path(str(name)).name
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest()[:32] not in path.name:
            raise ValueError(f"{path}: damaged, its digest is not that of its name")
        return from_bytes(data)
    except (FileNotFoundError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


def remove_arrays(folder: Path, prefix: str, kept: str | None) -> None:
    """Remove what earlier states named."""
    for path in folder.glob(f"{prefix}-*.safetensors"):
        if path.name != kept:
            path.unlink(missing_ok=True)
