"""Numbers about architectures that take long to compute, kept in the cache folder as they come.

A folder of Parquet files, each some rows of a key, a seed and the numbers. Files appear whole and are never changed, so
that a process that is killed loses what it had not written yet, and several may write to one folder. A row that is
there twice has the same numbers twice.
"""

import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.graphs._table_arrow import fixed_binary
from cate_hf.graphs.io import readable_parquet, write_groups

_MOST_FILES = 32  # before they are made one
_ATTEMPTS = 5


class Shards:
    """What a folder holds.

    Args:
        folder: need not be there; None keeps nothing.
        names: of the numbers, columns of the files; a file with other columns counts as damaged.
        width: bytes of a key.
    """

    def __init__(self, folder: Path | None, names: tuple[str, ...], width: int):
        self.folder, self.names, self.width = folder, names, width
        self._read: dict[Path, tuple[np.ndarray, np.ndarray, np.ndarray] | None] = {}

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keys (M,) S, seeds (M,) int64 and numbers (M, T) float32 of all files; damaged ones are removed."""
        for _ in range(_ATTEMPTS):
            files = sorted(self.folder.glob("[!.]*.parquet")) if self.folder is not None else []
            try:
                self._read = {path: self._read.get(path) or self._rows(path) for path in files}
                break
            except FileNotFoundError:  # another process has made one file of many
                continue
        parts = [rows for rows in self._read.values() if rows is not None]
        empty = np.empty(0, f"S{self.width}"), np.empty(0, np.int64), np.empty((0, len(self.names)), np.float32)
        keys, seeds, numbers = (np.concatenate(columns) for columns in zip(empty, *parts, strict=True))
        return keys, seeds, numbers

    def _rows(self, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        if not path.is_file():
            raise FileNotFoundError(path)
        try:
            with readable_parquet(path) as file:
                table = file.read().combine_chunks()
            if table.column_names != ["key", "seed", *self.names] or table["key"].type.byte_width != self.width:
                raise ValueError(f"{path}: other columns")
            keys = np.array(table["key"].to_numpy(zero_copy_only=False).tolist(), f"S{self.width}")
            numbers = np.column_stack([table[name].to_numpy() for name in self.names]).astype(np.float32)
            if not np.isfinite(numbers).all():
                raise ValueError(f"{path}: numbers that are not finite")
            return keys, table["seed"].to_numpy().astype(np.int64), numbers
        except (ValueError, AttributeError, TypeError):
            _remove(path)
            return None

    def append(self, keys: np.ndarray, seeds: np.ndarray, numbers: np.ndarray) -> bool:
        """Write a file; whether that was done. A folder that cannot be written is no error."""
        if self.folder is None:
            return False
        import pyarrow as pa

        columns = {"key": fixed_binary(keys.astype(f"S{self.width}")), "seed": pa.array(seeds.astype(np.int64))}
        columns |= {name: pa.array(numbers[:, i].astype(np.float32)) for i, name in enumerate(self.names)}
        try:
            with atomic_output(self.folder / f"{uuid.uuid4().hex}.parquet") as temporary:
                write_groups(iter([pa.table(columns)]), temporary)
        except OSError:
            return False
        return True

    def compact(self) -> None:
        """Make one file of many, where there are many: first that one is written, then the others are removed."""
        keys, seeds, numbers = self.read()
        files = list(self._read)
        if len(files) <= _MOST_FILES:
            return
        rows = np.empty(len(keys), [("seed", np.int64), ("key", keys.dtype)])
        rows["seed"], rows["key"] = seeds, keys
        _, first = np.unique(rows, return_index=True)
        if self.append(keys[first], seeds[first], numbers[first]):
            for path in files:
                _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
