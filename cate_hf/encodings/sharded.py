"""Encoding of a table of any size by any number of processes: shards, each written whole by one of them, then joined.

A shard is some tens of thousands of rows, and a function of the model, the input and its place alone. So the number of
processes does not change the result, and a run that was killed goes on with the shards that are missing.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cate_hf.core._files import atomic_output, check_output
from cate_hf.core._launching import main_process_first, on_main_process, wait_for_all
from cate_hf.core._progress import progress_bar
from cate_hf.encodings.files import ROW_GROUP, encoded_parts, encoder_and_rows
from cate_hf.graphs.io import PARQUET_SUFFIXES, readable_parquet, write_groups

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["encode_sharded"]

_FEWEST_SHARDS = 64  # of a table that has so many batches: enough to share out, and to lose little of
_SETTINGS_FILE = ".encoding.json"
_LOCK_FILE = ".lock"
SHARDS = "part-*-of-*.parquet"


def encode_sharded(
    model: str | os.PathLike,
    output: str | os.PathLike,
    accelerator: "Accelerator",
    space: str | None = None,
    input: str | os.PathLike | None = None,
    batch_size: int = 1024,
    shard_rows: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
    precision: str = "float32",
) -> tuple[int, int]:
    """What `cate encode` writes, made by all processes of an `accelerate launch`.

    Until all is done, the shards lie in a hidden folder beside the output (`work_folder`), which all processes must be
    able to write to. The same call goes on with what is there.

    Args:
        model, space, input, batch_size, precision: as `cate_hf.encodings.files.encode_to_parquet`.
        output: a Parquet file, or a folder (a name without such a suffix) of Parquet files in the order of the rows.
        shard_rows: rows of a shard; `default_shard_rows` when None.
        overwrite: replace the output when it exists, and what is there of an unfinished run with other settings.

    Returns:
        number of rows, and D.

    Raises:
        ValueError: bad input (file and row are named), or an unfinished run with other settings.
        OSError: the output exists and `overwrite` is False, cannot be written, or is being written by another run.
    """
    if shard_rows is not None and shard_rows < 1:
        raise ValueError(f"shard_rows must be at least 1, not {shard_rows}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    output = Path(output)
    folder = work_folder(output)
    on_main_process(accelerator, lambda: check_output(output, overwrite, _own(output)) and None)
    shown = progress and accelerator.is_main_process

    def load():
        return encoder_and_rows(model, space, input, shown, str(accelerator.device), precision)

    encoder, rows = main_process_first(accelerator, load)  # it fills the cache of a space's enumeration
    shard_rows = shard_rows or default_shard_rows(len(rows), batch_size)
    shards = max(1, -(-len(rows) // shard_rows))

    settings: dict[str, Any] = {
        "input": {"name": str(input or space), "rows": len(rows), "sha256": None},
        "model": {"name": str(model), "sha256": None},
        "batch_size": batch_size,
        "shard_rows": shard_rows,
        "precision": precision,
    }

    def prepare() -> list[int]:
        settings["input"]["sha256"], settings["model"]["sha256"] = rows.fingerprint(), encoder.fingerprint()
        folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(_taken(folder))
        _check_settings(folder, settings, overwrite)
        return [index for index in range(shards) if not _is_whole(folder, index, shards, shard_rows, len(rows))]

    with ExitStack() as held:
        missing = on_main_process(accelerator, prepare)
        mine = np.array_split(np.array(missing, dtype=int), accelerator.num_processes)[accelerator.process_index]
        own_rows = sum(min(shard_rows, len(rows) - index * shard_rows) for index in mine.tolist())
        description = _description(accelerator.num_processes, shards, len(missing))
        with progress_bar(description, own_rows, "cells", shown) as advance:
            for index in mine.tolist():
                start, stop = index * shard_rows, min((index + 1) * shard_rows, len(rows))
                with atomic_output(folder / shard_name(index, shards), overwrite=True) as temporary:
                    write_groups(encoded_parts(encoder, rows, start, stop, batch_size, advance), temporary)
        wait_for_all(accelerator)
        on_main_process(accelerator, lambda: _finish(folder, output, shards, overwrite, progress))
    return len(rows), rows.cells * encoder.dim


def work_folder(output: Path) -> Path:
    """Where the shards of an unfinished run lie."""
    return output.with_name(f".{output.name}.shards")


def default_shard_rows(rows: int, batch_size: int) -> int:
    """Whole batches, at most a row group, so that the batches are those of `cate encode`; of few rows fewer, so that
    there are shards to share out.
    """
    batches = max(1, min(ROW_GROUP // batch_size, rows // (batch_size * _FEWEST_SHARDS)))
    return batches * batch_size if batch_size <= ROW_GROUP else ROW_GROUP


def shard_name(index: int, shards: int) -> str:
    return f"part-{index:05d}-of-{shards:05d}.parquet"


def _own(output: Path) -> tuple[str, ...]:
    return () if output.suffix in PARQUET_SUFFIXES else (SHARDS,)


def _description(processes: int, shards: int, missing: int) -> str:
    share = f" (process 1 of {processes})" if processes > 1 else ""
    return f"encoding{share}" + (f", {shards - missing} of {shards} shards are there" if missing < shards else "")


@contextmanager
def _taken(folder: Path) -> Iterator[None]:
    """Holds other runs off a folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(f"{folder}: another run is writing there now") from None
    try:
        yield
    finally:
        lock.release()


def _check_settings(folder: Path, settings: dict, overwrite: bool) -> None:
    """Refuse, or with `overwrite` remove, what a run with other settings left; write these down."""
    file = folder / _SETTINGS_FILE
    found = None
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            found = {}
    if found is not None and found != settings and not overwrite:
        raise ValueError(
            f"{folder} holds an unfinished run that differs: {_difference(settings, found)}; "
            "repeat its command, or start anew with --overwrite"
        )
    for entry in list(folder.iterdir()):
        unfinished = entry.name.startswith(".part-")
        if unfinished or (found != settings and entry.name.startswith("part-")):
            entry.unlink()
    if found != settings:
        with atomic_output(file, overwrite=True) as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _difference(mine: dict, theirs: dict) -> str:
    for key, value in mine.items():
        other = theirs.get(key)
        if value == other:
            continue
        if isinstance(value, dict) and isinstance(other, dict):
            name = next(name for name in value if value[name] != other.get(name))
            if name == "sha256":
                return f"{value['name']} ({key}) has changed since"
            return f"{key} {name} is {value[name]!r} here and {other.get(name)!r} there"
        return f"{key} is {value!r} here and {other!r} there"
    return "its settings cannot be read"


def _is_whole(folder: Path, index: int, shards: int, shard_rows: int, rows: int) -> bool:
    """Whether a shard is there, with the rows that it should have."""
    path = folder / shard_name(index, shards)
    try:
        return pq.read_metadata(path).num_rows == min(shard_rows, rows - index * shard_rows)
    except (OSError, pa.ArrowException):
        return False


def _finish(folder: Path, output: Path, shards: int, overwrite: bool, progress: bool) -> None:
    """Join the shards into the file, or make the folder of them the output."""
    paths = [folder / shard_name(index, shards) for index in range(shards)]
    if output.suffix in PARQUET_SUFFIXES:
        with progress_bar("joining", shards, "shards", progress) as advance, atomic_output(output, overwrite) as file:
            write_groups(_groups(paths, advance), file)
    else:
        with atomic_output(output, overwrite, _own(output)) as staged:
            staged.mkdir()
            for path in paths:
                _link(path, staged / path.name)  # the shards stay until the output is in its place
    shutil.rmtree(folder, ignore_errors=True)


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, other)


def _groups(paths: list[Path], advance: Callable[[int], None]) -> Iterator[pa.Table]:
    """The rows of files that follow each other, a row group at a time."""
    for path in paths:
        with readable_parquet(path) as file:
            if not file.num_row_groups:
                yield file.schema_arrow.empty_table()
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)
        advance(1)
