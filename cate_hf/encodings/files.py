"""Encodings as Parquet files: columns hash and encoding, then whatever else came with the architectures."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cate_hf.core._files import atomic_output
from cate_hf.core._progress import progress_bar
from cate_hf.encodings.defaults import default_encoder
from cate_hf.encodings.inputs import rows_for
from cate_hf.graphs._hashes import HashIndex
from cate_hf.graphs._table_arrow import GRAPH_COLUMNS, column_from_arrow, to_arrow
from cate_hf.graphs.io import check_parquet_output, write_groups
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import get_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cate_hf.encodings.cate import Encoder
    from cate_hf.encodings.inputs import PairRows, ParquetRows, TableRows
    from cate_hf.spaces import Space

__all__ = ["encode_to_parquet", "read_encodings"]

ROW_GROUP = 65_536


def encode_to_parquet(
    model: str | os.PathLike | None,
    output: str | os.PathLike,
    space: str | None = None,
    input: Any = None,
    batch_size: int = 1024,
    overwrite: bool = False,
    progress: bool = False,
    precision: str = "float32",
) -> tuple[int, int]:
    """What `cate encode` does: the encodings of a whole space, or of a file's architectures, written as they come.

    Args:
        model: name of a bundled checkpoint, or a folder; "universal" for any architectures; when None the one bundled
            for the space, or "universal".
        output: Parquet file to write.
        space: encode all architectures of this space; its pool, where it cannot be listed. With an input, the space of
            its architectures.
        input: those of a Parquet file, which is read by parts, or a JSON Lines file. Of pairs of DARTS cells
            (columns normal and reduce) the encodings of both stand side by side.
        batch_size: architectures at a time.
        overwrite: replace the output when it exists.
        progress: draw a progress bar.
        precision: see `cate_hf.load_encoder`.

    Returns:
        number of rows, and D (of pairs 2 D).

    Raises:
        ValueError: a checkpoint of another space than the input, or bad input; file and row are named.
        OSError: the output exists and `overwrite` is False, or cannot be written.
    """
    check_parquet_output(output, overwrite)
    encoder, rows = encoder_and_rows(model, space, input, progress, precision=precision)
    if (understood := getattr(rows, "understood", "")) and progress:
        print(understood, flush=True)
    with (
        progress_bar("encoding", len(rows), "cells", progress) as advance,
        atomic_output(output, overwrite) as temporary,
    ):
        write_groups(encoded_parts(encoder, rows, 0, len(rows), batch_size, advance), temporary)
    return len(rows), rows.cells * encoder.dim


def encoder_and_rows(
    model: str | os.PathLike | None,
    space: str | None,
    input: Any,
    progress: bool = False,
    device: str | None = None,
    precision: str = "float32",
) -> "tuple[Encoder, TableRows | ParquetRows | PairRows]":
    """The encoder of a name or folder, and what it shall encode; args and errors as `encode_to_parquet`."""
    from cate_hf.encodings.cate import load_encoder
    from cate_hf.encodings.universal import UniversalEncoder

    if isinstance(input, str | os.PathLike) and not os.path.exists(input):  # before a model is loaded
        raise FileNotFoundError(f"{input}: no such file")
    wanted = None if space is None else get_space(space)  # its nearest name, before a model is loaded
    name = None if wanted is None else wanted.name
    model = default_encoder(name, stacklevel=4) if model is None else model
    encoder = load_encoder(model, device, precision=precision)
    if isinstance(encoder, UniversalEncoder):  # of no space: that of the architectures says which operations there are
        return encoder, rows_for(wanted, name or model, name, input, progress, pairs=True)
    return encoder, rows_for(encoder.search_space, model, name, input, progress, pairs=True)


def encoded_parts(
    encoder: "Encoder",
    rows: "TableRows | ParquetRows | PairRows",
    start: int,
    stop: int,
    batch_size: int,
    on_batch: "Callable[[int], None]",
) -> "Iterator[pa.Table]":
    """Rows start .. stop - 1 as they are written, `ROW_GROUP` at a time: hash, encoding, operations, adjacency, and
    the columns beside them.
    """
    for part, others in rows.parts(start, stop, ROW_GROUP):
        single = isinstance(part, ArchitectureTable)
        with encoder.kernels(len(rows)):
            kinds = [part] if isinstance(part, ArchitectureTable) else list(part.parts)
            advances = [on_batch] + [_nothing] * (len(kinds) - 1)
            encodings = np.hstack(
                [encoder.encode(kind, batch_size, on_batch=by) for kind, by in zip(kinds, advances, strict=True)]
            )
        encoding = pa.FixedSizeListArray.from_arrays(
            pa.array(encodings.ravel()), type=pa.list_(pa.float32(), encodings.shape[1])
        )
        graphs = to_arrow(kinds[0].replace_columns({"hash": part.columns["hash"]}))
        columns = {"hash": graphs["hash"], "encoding": encoding}
        columns |= {name: graphs[name] for name in GRAPH_COLUMNS} if single else {}  # pairs have theirs in others
        yield pa.table(columns | {name: others[name] for name in others.column_names})


def _nothing(count: int) -> None:
    """Nothing is drawn for the second cells of pairs."""


def read_encodings(path: str | os.PathLike, candidates: ArchitectureTable) -> np.ndarray:
    """The `encoding` column of a Parquet file, in the order of the candidates by the `hash` column.

    Raises:
        ValueError: no such columns, or a candidate that the file does not have.
    """
    hashes, encodings = _encoding_columns(path)
    wanted = candidates.columns["hash"]
    rows = HashIndex(hashes).rows(wanted)
    absent = np.flatnonzero(rows < 0)
    if len(absent):
        raise ValueError(f"{path}: no encoding of {len(absent)} candidates, the first {wanted[absent[0]]}")
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

    from cate_hf.graphs._table_arrow import from_arrow

    hashes, encodings = _encoding_columns(path)
    names = set(pq.read_schema(path).names)
    if {"operations", "adjacency"} <= names:
        costs = [name for name in space.cost_names if name in names]
        table = from_arrow(pq.read_table(path, columns=["operations", "adjacency", *costs]), str(path))
        table = space.validate_many(table, str(path)).with_columns(hash=hashes)
        return space.with_costs(table), encodings
    pool = space.pool(progress=progress)
    rows = HashIndex(pool.columns["hash"]).rows(hashes)
    absent = np.flatnonzero(rows < 0)
    if len(absent):
        raise ValueError(f"{path}, row {absent[0]}: no architecture of {space.name} has that hash")
    return pool[rows], encodings


def _encoding_columns(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (N,) and encodings (N, D) float32 of a file."""
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["hash", "encoding"])
        flat = table["encoding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        hashes = column_from_arrow(table["hash"])
    except (pa.ArrowException, OSError, AttributeError, KeyError) as error:
        raise ValueError(
            f"{path}: cannot be read as encodings, columns hash and encoding ({str(error).splitlines()[0]})"
        ) from None
    if not len(hashes) or len(flat) % len(hashes):
        raise ValueError(f"{path}: its encodings are not all of one length")
    return hashes, flat.reshape(len(hashes), -1).astype(np.float32)
