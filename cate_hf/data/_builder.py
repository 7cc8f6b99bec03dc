"""A builder of the library `datasets` over Parquet files of architectures and of pairs.

Not that library's own Parquet builder, because a fingerprint there depends on the path and the time of the files; here
it depends on what is in them (`config_id`), so that it is the same in every process, on every machine, and after the
files were made anew. Pages are checked as they are read, and row groups are the shards of a stream.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from cate_hf.graphs._table_arrow import GRAPH_COLUMNS, to_arrow
from cate_hf.graphs.io import read_parquet, readable_parquet
from cate_hf.graphs.table import ArchitectureTable

_JOINED_ROWS = 2_048  # pairs that get their architectures at a time
_SIDES = {"first": "", "second": "pair_"}  # a pair's column → prefix of its architecture's columns, as the model's


@dataclass
class SpaceConfig(datasets.BuilderConfig):
    """A set of architectures or of pairs; `name` is the space's.

    Attributes:
        files: split → Parquet file.
        facts: what is known of the data, as JSON.
        license: a Hub licence id.
        join: adds each pair's architectures; None to leave the columns as they are.
    """

    files: dict[str, str] = field(default_factory=dict)
    facts: str = ""
    license: str = ""
    join: "PairJoin | None" = None


class SpaceData(datasets.ArrowBasedBuilder):
    """Rows of Parquet files whose features are in their schema."""

    BUILDER_CONFIG_CLASS = SpaceConfig

    def _info(self) -> datasets.DatasetInfo:
        features = datasets.Features.from_arrow_schema(pq.read_schema(next(iter(self.config.files.values()))))
        if self.config.join is not None:
            features = datasets.Features({**features, **self.config.join.features()})
        return datasets.DatasetInfo(description=self.config.facts, features=features, license=self.config.license)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        generators = []
        for split, path in self.config.files.items():
            with readable_parquet(path) as file:
                groups = [(path, group) for group in range(file.num_row_groups)]
            generators.append(datasets.SplitGenerator(split, gen_kwargs={"groups": groups}))
        return generators

    def _generate_tables(self, groups: list[tuple[str, int]]) -> Iterator[tuple[Any, pa.Table]]:
        join = self.config.join
        for path, group in groups:
            with readable_parquet(path) as file:
                table = file.read_row_group(group)
            if join is None:
                yield (path, group), table.cast(self.info.features.arrow_schema)
                continue
            for start in range(0, len(table), _JOINED_ROWS):
                yield (path, group, start), join.table(table.slice(start, _JOINED_ROWS))


@dataclass(frozen=True)
class PairJoin:
    """Gives pairs their architectures: columns operations and adjacency of the first, pair_operations and
    pair_adjacency of the second.

    Attributes:
        path: Parquet file of the architectures. Each process reads it when it first needs it, and keeps it packed: a
            million cells of DARTS in 30 MB.
    """

    path: str

    def features(self) -> datasets.Features:
        """Features of the columns that are added."""
        found = datasets.Features.from_arrow_schema(pq.read_schema(self.path))
        return datasets.Features(
            {f"{prefix}{name}": found[name] for prefix in _SIDES.values() for name in GRAPH_COLUMNS}
        )

    def table(self, pairs: pa.Table) -> pa.Table:
        """Pairs as Arrow, with the architectures' columns added."""
        status = os.stat(self.path)
        table = _architectures(self.path, status.st_mtime_ns, status.st_size)
        for side, prefix in _SIDES.items():
            graphs = to_arrow(table[pairs[side].to_numpy()], class_labels=True).combine_chunks()
            for name in GRAPH_COLUMNS:
                pairs = pairs.append_column(f"{prefix}{name}", graphs[name])
        return pairs

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """The same of a batch of Python lists."""
        return self.table(pa.table({side: pa.array(batch[side], pa.int32()) for side in _SIDES})).to_pydict()


@lru_cache(maxsize=2)
def _architectures(path: str, changed: int, size: int) -> ArchitectureTable:
    """The architectures of a file as it was at that time, without their columns."""
    return read_parquet(path, graphs_only=True)
