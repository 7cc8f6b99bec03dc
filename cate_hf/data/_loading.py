"""Architectures and pairs as data sets of the library `datasets`, on disk or as streams.

A data set's rows are first written to Parquet files in the package's cache folder, the same as are published, once; a
stream reads them group by group, and the memory-mapped form is made from them by that library. One process at a time
makes or repairs a data set, the others wait for it.
"""

import json
import os
import re
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

from cate_hf.data._sources import (
    Source,
    architectures_of_folder,
    architectures_of_space,
    is_folder,
    locked,
    pairs_of_folder,
    pairs_of_space,
    place_files,
    prepared,
    root,
)
from cate_hf.graphs.io import readable_parquet
from cate_hf.spaces import get_space
from cate_hf.spaces.base import Space

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict


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
    source = architectures_of_folder(space) if is_folder(space) else architectures_of_space(get_space(space))
    return _load(source, streaming)["train"]


def load_pairs(
    space: str | os.PathLike | Space, streaming: bool = False, architectures: bool = False, **settings: Any
) -> "DatasetDict | IterableDatasetDict":
    """Computation-aware pairs of a space, or of a folder made by `cate pairs`: splits train and validation.

    Columns first and second, int32, are rows of `load_architectures(space)`. No first architecture is in both splits. A
    split without pairs is left out.

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
    from cate_hf.data._builder import PairJoin

    if is_folder(space):
        if settings:
            raise ValueError(
                f"{space} is a folder of pairs, made with settings of its own: {sorted(settings)} not wanted"
            )
        folder, source = space, pairs_of_folder(space)
        beside = partial(architectures_of_folder, folder)
    else:
        space = get_space(space)
        source = pairs_of_space(space, settings)
        beside = partial(architectures_of_space, space)
    if not architectures:
        return _load(source, streaming)
    join = PairJoin(str(prepared(beside()).files["train"]))
    if streaming:
        return _load(source, streaming, join)
    pairs = _load(source, streaming)
    for split in pairs:
        pairs[split] = pairs[split].with_transform(join)
    return pairs


def _load(source: Source, streaming: bool, join: Any = None) -> Any:
    """All splits of a data set: a `DatasetDict` or an `IterableDatasetDict`."""
    import pyarrow as pa

    with locked(source):
        facts = place_files(source)
        if streaming:
            return _builder(source, facts, join).as_streaming_dataset()
        try:
            return _memory_mapped(source, facts)
        except (pa.ArrowException, OSError, ValueError, KeyError):
            shutil.rmtree(root() / source.kind / source.config_id, ignore_errors=True)  # prepared earlier, and damaged
            return _memory_mapped(source, facts)


def _memory_mapped(source: Source, facts: dict) -> "DatasetDict":
    from datasets.exceptions import DatasetGenerationError

    builder = _builder(source, facts)
    try:
        builder.download_and_prepare()
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, (OSError, ValueError)):
            raise error.__cause__ from None
        raise
    found = builder.as_dataset()
    for split, dataset in found.items():
        expected = builder.info.splits[split].num_examples
        if len(dataset) != expected:
            raise ValueError(f"{builder.cache_dir}: split {split} has {len(dataset)} rows, {expected} were written")
    return found


def _builder(source: Source, facts: dict, join: Any = None) -> Any:
    from cate_hf.data._builder import SpaceData

    files = {}
    for split, path in source.files.items():
        with readable_parquet(path) as file:
            if file.metadata.num_rows:  # the library has no splits without rows
                files[split] = str(path)
    return SpaceData(
        cache_dir=str(root()),
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
