"""Architectures and pairs as data sets of the library `datasets`, on disk or as streams.

A data set's rows are first written to Parquet files in the package's cache folder, the same as are published, once; a
stream reads them group by group, and the memory-mapped form is made from them by that library. One process at a time
makes or repairs a data set, the others wait for it.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cate_hf.data.facts import architecture_facts
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
from cate_hf.files import atomic_output
from cate_hf.spaces import get_space
from cate_hf.spaces.base import Space
from cate_hf.spaces.cache import cache_folder
from cate_hf.table_parquet import write_parquet

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

_FORM = 1  # of the files and of the way they are made; a change makes all of them anew
_CHECKSUMS = "crc32c"


def load_architectures(space: str | os.PathLike | Space, streaming: bool = False) -> "Dataset | IterableDataset":
    """The architectures of a space, those of `Space.pool`, or of a folder made by `cate pairs`.

    Columns: operations, `List(ClassLabel)` named by the space's vocabulary; adjacency, `List(List(uint8))`, as many
    rows and columns as there are nodes; hash; and the space's costs.

    Args:
        space: a name, the path of a YAML file that describes one, a `Space`, or a folder of pairs.
        streaming: read the rows as they are asked for, instead of preparing a memory-mapped table first.

    Raises:
        ValueError: an unknown space, or a folder that is not one of pairs.
    """
    source = _architectures_of_folder(space) if _is_folder(space) else _architectures_of_space(get_space(space))
    return _load(source, streaming)["train"]


def load_pairs(
    space: str | os.PathLike | Space, streaming: bool = False, architectures: bool = False, **settings: Any
) -> "DatasetDict | IterableDatasetDict":
    """Computation-aware pairs of a space, or of a folder made by `cate pairs`: splits train and validation (a split that
    has no pairs is left out).

    Columns first and second, int32, are rows of `load_architectures(space)`. No first architecture is in both splits.

    Args:
        space: a name, the path of a YAML file that describes one, a `Space`, or a folder of pairs.
        streaming: read the rows as they are asked for.
        architectures: add operations and adjacency of the first architecture, and pair_operations and pair_adjacency of
            the second. They are put beside the pairs when rows are read, and kept nowhere. (In the memory-mapped form
            by a transform, which is quicker by batches than by single rows; its `features` are those of the pairs.)
        settings: those of `PairSettings`, the space's own where not given; none for a folder.

    Raises:
        ValueError: an unknown space, a setting out of its range, or a folder that is not one of pairs or is damaged.
    """
    from cate_hf.data.builder import PairJoin

    if _is_folder(space):
        if settings:
            raise ValueError(
                f"{space} is a folder of pairs, made with settings of its own: {sorted(settings)} not wanted"
            )
        source, beside = _pairs_of_folder(space), _architectures_of_folder
    else:
        space = get_space(space)
        source, beside = _pairs_of_space(space, settings), _architectures_of_space
    if not architectures:
        return _load(source, streaming)
    join = PairJoin(str(_prepared(beside(space)).files["train"]))
    if streaming:
        return _load(source, streaming, join)
    pairs = _load(source, streaming)
    for split in pairs:
        pairs[split] = pairs[split].with_transform(join)
    return pairs


@dataclass(frozen=True)
class _Source:
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


def _is_folder(space: str | os.PathLike | Space) -> bool:
    return not isinstance(space, Space) and Path(space).is_dir()


def _root() -> Path:
    return cache_folder() / "datasets"


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _space_key(space: Space) -> list:
    """What a space's pool depends on. A described space may also have a condition in Python: there, the pool itself."""
    key = [_FORM, space.name, space.version, list(space.vocabulary), list(space.cost_names), space.pool_size]
    if space.definition() is not None:
        key.append(hashlib.sha256(space.pool().columns["hash"].tobytes()).hexdigest())
    return key


def _source(kind: str, space: Space, key: str, files: dict[str, str], make: Callable[[Path], dict]) -> _Source:
    folder = _root() / "files" / f"{kind}-{space.name}-{key}"
    return _Source(kind, space.name, space.version, key, folder, {s: folder / f for s, f in files.items()}, make)


def _architectures_of_space(space: Space) -> _Source:
    def make(folder: Path) -> dict:
        table = space.with_costs(space.pool(progress=True))
        write_parquet(table, folder / ARCHITECTURES_FILE, class_labels=True)
        return architecture_facts(space, table)

    return _source("architectures", space, _digest(_space_key(space)), {"train": ARCHITECTURES_FILE}, make)


def _pairs_of_space(space: Space, settings: dict[str, Any]) -> _Source:
    chosen = default_settings(space, **settings)

    def make(folder: Path) -> dict:
        _, splits, facts = build_pairs(space, chosen, progress=True)
        write_splits(splits, folder)
        return facts

    key = _digest(_space_key(space), asdict(chosen))
    return _source("pairs", space, key, {split: f"{split}.parquet" for split in SPLITS}, make)


def _architectures_of_folder(folder: str | os.PathLike) -> _Source:
    return _source_of_folder("architectures", folder, {"train": ARCHITECTURES_FILE})


def _pairs_of_folder(folder: str | os.PathLike) -> _Source:
    source = _source_of_folder("pairs", folder, {split: f"{split}.parquet" for split in SPLITS})
    check_pairs(folder)
    return source


def _source_of_folder(kind: str, folder: str | os.PathLike, names: dict[str, str]) -> _Source:
    facts = check_folder(folder)
    files = {split: Path(folder).absolute() / name for split, name in names.items()}
    contents = []
    for path in files.values():
        with open(path, "rb") as file:
            contents.append(hashlib.file_digest(file, "sha256").hexdigest())
    key = _digest(_FORM, facts["space"], contents)
    return _Source(kind, facts["space"], str(facts.get("space_version")), key, Path(folder), files)


@contextmanager
def _locked(source: _Source) -> Iterator[None]:
    from filelock import FileLock

    _root().mkdir(parents=True, exist_ok=True)
    with FileLock(_root() / f"{source.kind}-{source.config_id}.lock"):
        yield


def _prepared(source: _Source) -> _Source:
    """The source with its files in place."""
    with _locked(source):
        _place_files(source)
    return source


def _place_files(source: _Source) -> dict:
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
        (folder / FACTS_FILE).write_text(json.dumps({**facts, _CHECKSUMS: checksums}, indent=2) + "\n")
    return facts


def _checksums(paths: Iterator[Path]) -> dict[str, int]:
    import google_crc32c

    sums = {}
    for path in paths:
        checksum = google_crc32c.Checksum()
        with open(path, "rb") as file:
            for _ in checksum.consume(file, 1 << 20):
                pass
        sums[path.name] = int.from_bytes(checksum.digest(), "big")
    return sums


def _load(source: _Source, streaming: bool, join: Any = None) -> Any:
    """All splits of a data set: a `DatasetDict` or an `IterableDatasetDict`."""
    import pyarrow as pa

    with _locked(source):
        facts = _place_files(source)
        if streaming:
            return _builder(source, facts, join).as_streaming_dataset()
        for attempt in range(2):
            try:
                builder = _builder(source, facts)
                builder.download_and_prepare()
                return _whole(builder.as_dataset(), builder)
            except (pa.ArrowException, OSError, ValueError, KeyError):
                # What was prepared earlier is damaged; not so what was prepared just now.
                prepared = _root() / source.kind / source.config_id
                if attempt or not prepared.is_dir():
                    raise
                shutil.rmtree(prepared)
    raise AssertionError("unreachable")


def _builder(source: _Source, facts: dict, join: Any = None) -> Any:
    import pyarrow.parquet as pq

    from cate_hf.data.builder import SpaceData

    # The library has no splits without rows.
    files = {split: str(path) for split, path in source.files.items() if pq.read_metadata(path).num_rows}
    return SpaceData(
        cache_dir=str(_root()),
        dataset_name=source.kind,
        config_name=source.space,
        config_id=source.config_id + ("-joined" if join else ""),  # else the features of what was prepared are taken
        version=_version(source.version),
        files=files,
        facts=json.dumps(facts),
        license=facts.get("license") or "",
        join=join,
    )


def _version(version: str) -> Any:
    """As that library writes versions, of three numbers; 1.0.0 for a version that is not made of numbers."""
    import datasets

    numbers = version.split(".") if re.fullmatch(r"\d+(\.\d+){0,2}", version) else ["1"]
    return datasets.Version(".".join([*numbers, "0", "0"][:3]))


def _whole(found: "DatasetDict", builder: Any) -> "DatasetDict":
    """Raises ValueError where fewer rows are on disk than were written."""
    for split, dataset in found.items():
        expected = builder.info.splits[split].num_examples
        if len(dataset) != expected:
            raise ValueError(f"{builder.cache_dir}: split {split} has {len(dataset)} rows, {expected} were written")
    return found
