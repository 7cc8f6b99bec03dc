"""Architectures from files that a user has: Parquet or JSON Lines."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.graphs.table import ArchitectureTable

PARQUET_SUFFIXES = (".parquet", ".pq")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_architectures(path: str | os.PathLike, vocabulary: Sequence[str] | None = None) -> ArchitectureTable:
    """Read rows of operations (names), adjacency (rows of 0/1) and any further columns, which are kept.

    Args:
        vocabulary: the operations that are allowed, in the order of their codes; any when None.

    Raises:
        ValueError: naming the file and the row or line, and what was expected there.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    if path.suffix in PARQUET_SUFFIXES:
        table = ArchitectureTable.from_parquet(path, vocabulary)
        return table if vocabulary is None else table.recode(vocabulary, str(path))
    if path.suffix in JSON_SUFFIXES:
        return _read_json_lines(path, vocabulary)
    raise ValueError(
        f"{path}: expected a file ending in {', '.join((*PARQUET_SUFFIXES, *JSON_SUFFIXES))}; `cate import` makes one "
        "of a CSV table, published results or genotypes"
    )


def _read_json_lines(path: Path, vocabulary: Sequence[str] | None) -> ArchitectureTable:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.graphs.table import unknown_operation

    architectures, rows = [], []
    with open(path, encoding="utf-8-sig") as file:  # some editors put a byte order mark first
        try:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{path}, line {number}"
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"{where}: not valid JSON ({error})") from None
                if not isinstance(row, dict):
                    raise ValueError(f"{where}: expected an object with operations and adjacency")
                try:
                    architecture = Architecture.from_dict({k: row[k] for k in ("operations", "adjacency") if k in row})
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
                for node, name in enumerate(architecture.operations):
                    if vocabulary is not None and name not in vocabulary:
                        raise ValueError(f"{where}: node {node}: {unknown_operation(name, vocabulary)}")
                architectures.append(architecture)
                rows.append({k: v for k, v in row.items() if k not in ("operations", "adjacency")})
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error})") from None
    if not architectures:
        raise ValueError(f"{path}: holds no architecture")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    return ArchitectureTable.from_architectures(architectures, vocabulary, columns)


def _column(values: list[Any]) -> np.ndarray:
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds <= {bool}:
        return np.array(values)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
