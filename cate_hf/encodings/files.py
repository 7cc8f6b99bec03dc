"""Encodings as Parquet files: columns hash and encoding, then whatever else came with the architectures."""

import os
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.files import atomic_output, check_output
from cate_hf.progress import progress_bar
from cate_hf.spaces import get_space
from cate_hf.table import ArchitectureTable

if TYPE_CHECKING:
    from cate_hf.encodings.cate import Encoder
    from cate_hf.spaces import Space

ROW_GROUP = 65_536


def encode_to_parquet(
    model: str | os.PathLike,
    output: str | os.PathLike,
    space: str | None = None,
    input: str | os.PathLike | None = None,
    batch_size: int = 1024,
    overwrite: bool = False,
    progress: bool = False,
) -> tuple[int, int]:
    """What `cate encode` does: the encodings of a whole space, or of a file's architectures, written as they come.

    Args:
        model: name of a bundled checkpoint, or a folder.
        space, input: one of the two: all architectures of a space (its pool, where it cannot be listed), or those of a
            Parquet or JSON Lines file.

    Returns:
        number of rows, and D.

    Raises:
        ValueError: a checkpoint of another space than the input, or bad input; file and row are named.
        OSError: the output exists and `overwrite` is False, or cannot be written.
    """
    from cate_hf.hub.checkpoints import load_encoder

    check_output(output, overwrite)
    if input is not None and not os.path.exists(input):  # before a model is loaded
        raise FileNotFoundError(f"{input}: no such file")
    if space is not None:
        space = get_space(space).name  # its nearest name, before a model is loaded
    encoder = load_encoder(model)
    table = architectures_for(encoder, model, space, input, progress)
    write_encodings(encoder, table, output, batch_size, overwrite, progress)
    return len(table), encoder.dim


def architectures_for(
    encoder: "Encoder",
    model: str | os.PathLike,
    space: str | None,
    input: str | os.PathLike | None,
    progress: bool = False,
) -> ArchitectureTable:
    """The architectures of a space or a file, checked to be of the encoder's space; with a hash column."""
    own = encoder.search_space
    if input is None:
        if space != encoder.space:
            raise ValueError(f"{model} is a checkpoint of {encoder.space}, not of {space}")
        return own.pool(progress=progress) if own.size is None else own.enumerate(progress=progress)
    from cate_hf.table_io import read_architectures

    table = read_architectures(input)
    foreign = sorted({*table.vocabulary} - {*own.vocabulary})
    if foreign and len(foreign) == len(table.vocabulary):
        raise ValueError(f"{input}: operations such as {foreign[0]!r}; {model} is a checkpoint of {encoder.space}")
    table = own.validate_many(table, str(input))
    computed = own.hash_many(table)
    _check_hashes(table.columns.get("hash"), computed, str(input))
    return table.with_columns(hash=computed)


def _check_hashes(given: np.ndarray | None, computed: np.ndarray, source: str) -> None:
    """Compare a file's column with the hashes of its architectures; ValueError names the first row that differs."""
    if given is None:
        return
    if given.dtype == computed.dtype:
        wrong = np.flatnonzero(given != computed)
    else:  # objects: as S32 a longer text would lose its end, and look right
        wrong = [row for row, text in enumerate(given) if text != computed[row].decode()]
    if len(wrong):
        row = int(wrong[0])
        text = given[row].decode(errors="replace") if isinstance(given[row], bytes) else given[row]
        raise ValueError(f"{source}, row {row}: hash is {text!r}, its architecture has {computed[row].decode()!r}")


def write_encodings(
    encoder: "Encoder",
    table: ArchitectureTable,
    output: str | os.PathLike,
    batch_size: int = 1024,
    overwrite: bool = False,
    progress: bool = False,
) -> None:
    """Write hash (from the table's column), encoding and the table's other columns, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cate_hf.table_arrow import to_arrow

    columns = to_arrow(table)
    others = [name for name in columns.column_names if name not in ("hash", "encoding")]
    type_ = pa.list_(pa.float32(), encoder.dim)
    schema = [columns.schema.field("hash"), pa.field("encoding", type_), *map(columns.schema.field, others)]
    with (
        progress_bar("encoding", len(table), "cells", progress) as advance,
        atomic_output(output, overwrite) as temporary,
        pq.ParquetWriter(temporary, pa.schema(schema)) as writer,
    ):
        for first in range(0, max(len(table), 1), ROW_GROUP):
            encodings = encoder.encode(table[first : first + ROW_GROUP], batch_size, on_batch=advance)
            encoding = pa.FixedSizeListArray.from_arrays(pa.array(encodings.ravel()), type=type_)
            rows = columns.slice(first, ROW_GROUP)
            arrays = [rows["hash"], encoding, *(rows[name] for name in others)]
            writer.write_table(pa.table(arrays, schema=writer.schema))


def read_encodings(path: str | os.PathLike, candidates: ArchitectureTable) -> np.ndarray:
    """The `encoding` column of a Parquet file, in the order of the candidates by the `hash` column.

    Raises:
        ValueError: no such columns, or a candidate that the file does not have.
    """
    hashes, encodings = _encoding_columns(path)
    order = np.argsort(hashes, kind="stable")
    wanted = candidates.columns["hash"]
    rows = order[np.minimum(np.searchsorted(hashes, wanted, sorter=order), len(hashes) - 1)]
    absent = np.flatnonzero(hashes[rows] != wanted)
    if len(absent):
        raise ValueError(f"{path}: no encoding of {len(absent)} candidates, the first {wanted[absent[0]].decode()}")
    return encodings[rows]


def read_encoded(
    path: str | os.PathLike, space: "Space", progress: bool = False
) -> tuple[ArchitectureTable, np.ndarray]:
    """The architectures of a file of `cate encode`, with columns hash and the costs, and their encodings (N, D).

    Architectures that the file does not hold are looked up in the space's pool by their hash.

    Raises:
        ValueError: it cannot be read as encodings, or its architectures are not of the space.
    """
    import pyarrow.parquet as pq

    from cate_hf.table_arrow import from_arrow

    hashes, encodings = _encoding_columns(path)
    names = set(pq.read_schema(path).names)
    if {"operations", "adjacency"} <= names:
        costs = [name for name in space.cost_names if name in names]
        table = from_arrow(pq.read_table(path, columns=["operations", "adjacency", *costs]), str(path))
        table = space.validate_many(table, str(path)).with_columns(hash=hashes)
        return space.with_costs(table), encodings
    pool = space.pool(progress=progress)
    rows = np.minimum(np.searchsorted(pool.columns["hash"], hashes), len(pool) - 1)
    absent = np.flatnonzero(pool.columns["hash"][rows] != hashes)
    if len(absent):
        raise ValueError(f"{path}, row {absent[0]}: no architecture of {space.name} has that hash")
    return pool[rows], encodings


def _encoding_columns(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (N,) S32 and encodings (N, D) float32 of a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["hash", "encoding"])
        flat = table["encoding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        hashes = np.array(table["hash"].to_pylist(), dtype="S32")
    except (pa.ArrowException, OSError, AttributeError, KeyError) as error:
        raise ValueError(
            f"{path}: cannot be read as encodings, columns hash and encoding ({str(error).splitlines()[0]})"
        ) from None
    if not len(hashes) or len(flat) % len(hashes):
        raise ValueError(f"{path}: its encodings are not all of one length")
    return hashes, flat.reshape(len(hashes), -1).astype(np.float32)
