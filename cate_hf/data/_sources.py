"""The Parquet files behind data sets: those of a folder made by `cate pairs`, or in the package's cache folder."""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from cate_hf.core._files import atomic_output, sha256_of
from cate_hf.data._facts import architecture_facts
from cate_hf.data.pairs import (
    ARCHITECTURES_FILE,
    FACTS_FILE,
    SPLITS,
    build_pairs,
    check_folder,
    check_pairs,
    default_settings,
    write_splits,
)
from cate_hf.graphs._cache import cache_folder
from cate_hf.graphs._hashes import hash_bytes
from cate_hf.graphs.io import write_parquet
from cate_hf.spaces import space_names
from cate_hf.spaces.base import Space

_FORM = 1  # of the files and of the way they are made; a change makes all of them anew
_CHECKSUMS = "crc32c"


@dataclass(frozen=True)
class Source:
    """Where the rows of a data set are.

    Attributes:
        kind: "architectures" or "pairs".
        space: its name.
        version: of the space.
        key: distinguishes what the rows are made from; the same key, the same rows.
        folder: of the files.
        files: split → file.
        make: writes the files into a folder and returns the facts; None where a user gave them.
    """

    kind: str
    space: str
    version: str
    key: str
    folder: Path
    files: dict[str, Path]
    make: Callable[[Path], dict] | None = None

    @property
    def config_id(self) -> str:
        return f"{self.space}-{self.key}"


def is_folder(space: str | os.PathLike | Space) -> TypeGuard[str | os.PathLike]:
    """Whether it is a folder and not a search space, also where a folder has the name of one."""
    return not isinstance(space, Space) and Path(space).is_dir() and str(space) not in space_names()


def root() -> Path:
    """The folder of all data sets."""
    return cache_folder() / "datasets"


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _space_key(space: Space) -> list:
    """What a space's pool depends on. A described space may also have a condition in Python: there, the pool itself."""
    key = [_FORM, space.name, space.version, list(space.vocabulary), list(space.cost_names), space.pool_size]
    if space.definition() is not None:
        key.append(hashlib.sha256(hash_bytes(space.pool(progress=True).columns["hash"]).tobytes()).hexdigest())
    return key


def _source(kind: str, space: Space, key: str, files: dict[str, str], make: Callable[[Path], dict]) -> Source:
    folder = root() / "files" / f"{kind}-{space.name}-{key}"
    return Source(kind, space.name, space.version, key, folder, {s: folder / f for s, f in files.items()}, make)


def architectures_of_space(space: Space) -> Source:
    def make(folder: Path) -> dict:
        table = space.with_costs(space.pool(progress=True))
        write_parquet(table, folder / ARCHITECTURES_FILE, class_labels=True)
        return architecture_facts(space, table)

    return _source("architectures", space, _digest(_space_key(space)), {"train": ARCHITECTURES_FILE}, make)


def pairs_of_space(space: Space, settings: dict[str, Any]) -> Source:
    chosen = default_settings(space, **settings)
    if chosen.where is not None:  # row numbers here are those of the whole pool
        raise ValueError("pairs of some architectures only are read from a folder: make one with cate pairs --where")

    def make(folder: Path) -> dict:
        _, splits, facts = build_pairs(space, chosen, progress=True)
        write_splits(splits, folder)
        return facts

    key = _digest(_space_key(space), asdict(chosen))
    return _source("pairs", space, key, {split: f"{split}.parquet" for split in SPLITS}, make)


def architectures_of_folder(folder: str | os.PathLike) -> Source:
    return _source_of_folder("architectures", folder, {"train": ARCHITECTURES_FILE})


def pairs_of_folder(folder: str | os.PathLike) -> Source:
    source = _source_of_folder("pairs", folder, {split: f"{split}.parquet" for split in SPLITS})
    check_pairs(folder)
    return source


def _source_of_folder(kind: str, folder: str | os.PathLike, names: dict[str, str]) -> Source:
    facts = check_folder(folder)
    files = {split: Path(folder).absolute() / name for split, name in names.items()}
    key = _digest(_FORM, facts["space"], [sha256_of(path) for path in files.values()])
    return Source(kind, facts["space"], str(facts.get("space_version")), key, Path(folder), files)


@contextmanager
def locked(source: Source) -> Iterator[None]:
    """Holds other processes off a data set."""
    from filelock import FileLock

    root().mkdir(parents=True, exist_ok=True)
    with FileLock(root() / f"{source.kind}-{source.config_id}.lock"):
        yield


def prepared(source: Source) -> Source:
    """The source, its files in place."""
    with locked(source):
        place_files(source)
    return source


def place_files(source: Source) -> dict:
    """The facts; the files are made when one is missing or not as it was written."""
    if source.make is None:
        return check_folder(source.folder)
    facts_file = source.folder / FACTS_FILE
    try:
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
        if facts.pop(_CHECKSUMS) == _checksums(source.files.values()):
            return facts
    except (OSError, ValueError, KeyError, AttributeError):
        pass  # not there, or damaged
    with atomic_output(source.folder, overwrite=True) as folder:
        folder.mkdir(parents=True)
        facts = source.make(folder)
        checksums = _checksums(folder / path.name for path in source.files.values())
        (folder / FACTS_FILE).write_text(
            json.dumps({**facts, _CHECKSUMS: checksums}, indent=2) + "\n", encoding="utf-8"
        )
    return facts


def _checksums(paths: Iterable[Path]) -> dict[str, int]:
    sums = {}
    for path in paths:
        checksum = 0
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                checksum = zlib.crc32(block, checksum)
        sums[path.name] = checksum
    return sums
