"""What a pre-training run is trained on: architectures, pairs of them, and statistics of their computation."""

import os
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.data.pairs import SPLITS, build_pairs, default_settings, read_pairs
from cate_hf.encodings.inputs import checked_architectures
from cate_hf.graphs.io import read_architectures
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces.base import Space
from cate_hf.spaces.mixed import MixedSpace
from cate_hf.training._statistics_targets import StatisticsTargets, statistics_targets

if TYPE_CHECKING:
    from cate_hf.training.settings import PretrainSettings


def training_pairs(settings: "PretrainSettings", space: Space) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """The architectures, their pairs as rows (Q, 2) of the splits train and validation, and what a card says of them.

    Raises:
        ValueError: pairs of another space; an input that is not of the space; a cost that nothing has.
        OSError: a file cannot be read.
    """
    if settings.pairs is not None:
        found = read_pairs(settings.pairs)
        if found[2]["space"] != space.name:
            raise ValueError(f"{settings.pairs} holds pairs of {found[2]['space']}, not of {space.name}")
        return found
    table = None if settings.input is None else _read_input(space, settings.input, settings.cost)
    if isinstance(space, MixedSpace):
        return _mixed_pairs(space, settings.cost, table=table)
    return build_pairs(space, default_settings(space, cost=settings.cost), table=table)


def training_statistics(
    settings: "PretrainSettings", space: Space, table: ArchitectureTable, progress: bool = False
) -> StatisticsTargets | None:
    """The statistics that the encoding is to predict, of the rows of `table`; None where they have no weight."""
    if not settings.statistics_weight:
        return None
    return statistics_targets(
        space, table, settings.statistics_cells, settings.initialisations, settings.seed, progress=progress
    )


def _mixed_pairs(
    space: MixedSpace, cost: str | None = None, table: ArchitectureTable | None = None
) -> tuple[ArchitectureTable, dict[str, np.ndarray], dict]:
    """What `build_pairs` returns, of a mixed space: within each of its members, and by that one's settings.

    Args:
        cost: that of all members, in the place of each one's own.

    Returns:
        the architectures over the mixed vocabulary, the members' one after the other; pairs of them; and as facts the
        numbers of both, with those of each member under `members`.
    """
    parts = []
    numbers = None if table is None else space.member_of(table)
    for number, member in enumerate(space.members):
        own = None if table is None else table[numbers == number].recode(member.vocabulary)
        if own is None or len(own):
            parts.append(build_pairs(member, default_settings(member, cost=cost), table=own))
    tables = [part.replace_columns({"hash": part.columns["hash"]}) for part, _, _ in parts]
    starts = np.cumsum([0, *map(len, tables)])[:-1]
    splits = {
        split: np.concatenate([pairs[split] + start for (_, pairs, _), start in zip(parts, starts, strict=True)])
        for split in SPLITS
    }
    facts = {
        "space": space.name,
        "architectures": sum(map(len, tables)),
        "pairs": sum(map(len, splits.values())),
        **{f"{split}_pairs": len(pairs) for split, pairs in splits.items()},
        "seed": parts[0][2]["seed"],
        "members": [facts for _, _, facts in parts],
    }
    return ArchitectureTable.concatenate(tables).recode(space.vocabulary), splits, facts


def _read_input(space: Space, path: str | os.PathLike, cost: str | None = None) -> ArchitectureTable:
    """The architectures of a Parquet or JSON Lines file, checked to be of a space, with a column hash.

    Args:
        cost: a column of the file, or a cost of the space.

    Raises:
        ValueError: naming the file, and row and field, of what is wrong.
        FileNotFoundError: no such file.
    """
    table = read_architectures(path)
    table = checked_architectures(space, table, table.columns.get("hash"), str(path))
    if cost is not None and cost not in table.columns and cost not in space.cost_names:
        known = [*space.cost_names, *(name for name, values in table.columns.items() if values.dtype.kind in "iuf")]
        raise ValueError(f"{path}: {unknown('cost', cost, known)}")
    if cost in table.columns and table.columns[cost].dtype.kind not in "iuf":
        raise ValueError(f"{path}: column {cost!r} holds {table.columns[cost].dtype}, expected numbers: it is the cost")
    return table
