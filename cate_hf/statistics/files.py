"""Statistics of architectures as Parquet files."""

import os
from pathlib import Path

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.graphs._hashes import check_hashes
from cate_hf.graphs.io import check_parquet_output, read_architectures, write_parquet
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space, space_names
from cate_hf.spaces.sampling import different
from cate_hf.statistics.initialisation import InitialisationSettings, initialisation, initialisation_names
from cate_hf.statistics.structure import structure, structure_names

_KINDS = ("structure", "initialisation", "both")


def statistics_to_parquet(
    output: str | os.PathLike,
    kind: str = "structure",
    space: "str | os.PathLike | Space | None" = None,
    input: str | os.PathLike | None = None,
    sample: int | None = None,
    seed: int = 0,
    settings: InitialisationSettings | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> tuple[Space, int, list[str]]:
    """What `cate statistics` does: a table of architectures with a column for each statistic.

    Columns: hash, operations, adjacency, any others of the architectures, then structure/NAME and initialisation/NAME,
    float32; columns of these names that a file has already are computed anew.

    Args:
        kind: one of _KINDS.
        space, input: all architectures of a space (its pool, where it cannot be listed), or those of a Parquet or JSON
            Lines file. A file's space is found by its operations where only one space of the package has them.
        sample, seed: so many random architectures of the space instead of all.
        settings, jobs: as those of `initialisation`.

    Returns:
        the space, the number of rows, and the names of the statistics' columns.

    Raises:
        ValueError: bad input; file and row are named.
        OSError: the output exists and `overwrite` is False, or cannot be written.
    """
    if kind not in _KINDS:
        raise unknown("kind of statistics", kind, _KINDS)
    if space is None and input is None:
        raise ValueError("give a search space (--space), a file (--input), or both")
    if input is not None and sample is not None:
        raise ValueError("a sample (--sample) is one of a space; it cannot be drawn of a file (--input)")
    check_parquet_output(output, overwrite)
    if space is not None:
        space = get_space(space)
    if input is not None or space is None:
        space, table = _read(Path(input or ""), space)
    elif sample is not None:
        table = different(space, sample, seed, progress=progress)
    else:
        table = space.pool(progress=progress) if space.size is None else space.enumerate(progress=progress)
    columns: dict[str, np.ndarray] = {}
    if kind != "initialisation":
        columns |= _columns("structure", structure_names(space), structure(space, table))
    if kind != "structure":
        numbers = initialisation(space, table, settings, jobs, progress)
        columns |= _columns("initialisation", initialisation_names(), numbers)
    write_parquet(table.with_columns(**columns), output, overwrite=overwrite)
    return space, len(table), list(columns)


def _columns(kind: str, names: list[str], numbers: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{kind}/{name}": np.ascontiguousarray(numbers[:, i]) for i, name in enumerate(names)}


def _read(path: Path, space: Space | None) -> tuple[Space, ArchitectureTable]:
    """A file's architectures as those of a space, with their hashes."""
    table = read_architectures(path)
    if space is None:
        fitting = [name for name in space_names() if {*table.vocabulary} <= {*get_space(name).vocabulary}]
        if len(fitting) != 1:
            known = " and ".join(fitting) or "no space that is known"
            raise ValueError(f"{path}: its operations are those of {known}; name its space (--space)")
        space = get_space(fitting[0])
    table = space.validate_many(table, str(path))
    hashes = space.hash_many(table)
    check_hashes(table.columns.get("hash"), hashes, str(path))
    return space, table.with_columns(hash=hashes)
