"""The journal of a search: what was asked and told, on disk before it counts, so that a killed search goes on.

journal.jsonl holds one JSON object a line, each with a checksum: what the search is (as `identity` says) and the state
that it starts from; then {"ask": rows, "hash": hashes, "state": what else changed} before an ask returns, and
{"tell": row, "value": number or null} before a tell returns; a tell of `SuccessiveHalving` at another fidelity than the
cheapest has its position, "level", too. Each line is on disk (fsync) before anything else happens.
Killed while it writes a line, a process leaves one without an end: what it says has not happened, and is dropped.

Going on from a journal needs no computation: the state after the last ask stands in its line. What was asked and not
told is given by `Optimizer.pending`, to be evaluated first.
"""

import contextlib
import json
import math
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cate_hf.search.storage import (
    FORMAT,
    check_identity,
    from_line,
    identity,
    read_arrays,
    remove_arrays,
    to_line,
    write_arrays,
)

if TYPE_CHECKING:
    from cate_hf.search.base import Optimizer

__all__ = ["Journal"]

JOURNAL_FILE = "journal.jsonl"
LOCK_FILE = "journal.lock"
_HEAD = b'{"format":"' + FORMAT.split(" ")[0].encode()
_open: "weakref.WeakValueDictionary[str, Journal]" = weakref.WeakValueDictionary()  # of this process, by path


class Journal:
    """Keeps each ask and each tell of a search in a folder, on disk before it returns.

    Where the folder has a journal of this very search, the search goes on from its end. One search at a time has a
    journal; `close` releases it.

    Args:
        optimizer: the search, a new one where the folder has a journal already; its earlier journal is closed.
        folder: where the journal is; made where it is missing.
        about: what else must be the same, such as settings of the evaluation; name -> what JSON can hold.

    Attributes:
        measured: (position of the fidelity, row, value) of what was told beside the search's own values, by
            `SuccessiveHalving`.

    Raises:
        ValueError: the journal is of another search (the message says what differs), damaged or in use; or there is
            one and this search is not a new one; a file in the place of the folder, or `about` is not for JSON.
        OSError: it cannot be read or written.
    """

    def __init__(
        self, optimizer: "Optimizer", folder: str | os.PathLike, about: Mapping[str, Any] | None = None
    ) -> None:
        if optimizer.journal is not None:
            optimizer.journal.close()
        own = {**identity(optimizer), "about": _as_json(about or {})}
        self.path, self._closed, self._arrays = Path(folder) / JOURNAL_FILE, False, None
        key = str(self.path.resolve())
        if key in _open:
            raise ValueError(f"{self.path} is in use by another search of this process; close its journal first")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{self.path.parent}: a file is in the way; expected a folder, or none yet") from None
        self._lock = _lock(self.path)
        self._file = open(self.path, "a+b")
        self.measured: list[tuple[int, int, float]] = []
        _open[key] = self
        try:
            if lines := self._lines():
                self._arrays = _replay(optimizer, own, lines, self)
            else:
                arrays = self._write_arrays(optimizer)
                self._write({**own, "state": optimizer.state_dict(), "arrays": arrays})
                _sync_folder(self.path.parent)
        except BaseException:
            self._release()
            raise
        optimizer.journal, self._optimizer = self, weakref.ref(optimizer)

    def asked(self, optimizer: "Optimizer", rows: list[int]) -> None:
        """Note an ask, with the state after it."""
        earlier, arrays = self._arrays, self._write_arrays(optimizer)
        hashes = optimizer.candidates.columns["hash"][rows].tolist()
        self._write({"ask": rows, "hash": hashes, "state": optimizer.small_state(), "arrays": arrays})
        if arrays != earlier:
            remove_arrays(self.path.parent, "journal", arrays)

    def told(self, row: int, value: float) -> None:
        """Note a tell."""
        self._write({"tell": row, "value": None if math.isnan(value) else value})

    def measured_at(self, level: int, row: int, value: float) -> None:
        """Note a tell at another fidelity than the one that the search learns from."""
        self._write({"tell": row, "level": level, "value": None if math.isnan(value) else value})
        self.measured.append((level, row, value))

    def close(self) -> None:
        """Stop keeping the search, and let others have the file."""
        if (optimizer := self._optimizer()) is not None and optimizer.journal is self:
            optimizer.journal = None
        self._release()

    def _release(self) -> None:
        if self._closed:
            return
        self._closed = True
        _open.pop(str(self.path.resolve()), None)
        with contextlib.suppress(OSError):  # of what is left in its buffer, where the disk is full
            self._file.close()
        if self._lock is not None:
            self._lock.close()

    def _write_arrays(self, optimizer: "Optimizer") -> str | None:
        arrays = write_arrays(optimizer.state_arrays(), self.path.parent, "journal")
        if arrays != self._arrays:
            _sync_folder(self.path.parent)
        self._arrays = arrays
        return arrays

    def _lines(self) -> list[bytes]:
        """The whole lines; what follows them is cut off, because it has not happened."""
        self._file.seek(0)
        *lines, rest = self._file.read().split(b"\n")
        if rest:
            if not lines and rest[: len(_HEAD)] != _HEAD[: len(rest)]:
                raise ValueError(f"{self.path}: not a journal of a search")
            self._file.truncate(sum(len(line) + 1 for line in lines))
        return lines

    def _write(self, content: dict[str, Any]) -> None:
        if self._closed:
            raise OSError(f"{self.path} is closed, or could not be written before; make a new search with its folder")
        try:
            self._file.write(to_line(content).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except BaseException:
            self._release()  # half a line may be there: nothing may follow it
            raise


def _as_json(about: Mapping[str, Any]) -> dict[str, Any]:
    """`about` as it comes back from a file. Raises ValueError naming the entry that cannot."""
    found = {}
    for name, value in dict(about).items():
        try:
            found[str(name)] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"about: {name!r} cannot be kept as JSON ({error})") from None
    return found


def _replay(optimizer: "Optimizer", own: dict[str, Any], lines: list[bytes], journal: Journal) -> str | None:
    """Bring a new search to the end of a journal; the name of its file of arrays."""
    path = journal.path
    if optimizer.rows or optimizer.pending_rows():
        raise ValueError(f"{path} is there already; only a search that nothing was asked or told can go on from it")
    header = from_line(lines[0], f"{path}, line 1")
    check_identity(own, header, path)
    optimizer.load_state_dict(header["state"])
    small, arrays = optimizer.small_state(), header["arrays"]
    for number, line in enumerate(lines[1:], 2):
        event = from_line(line, f"{path}, line {number}")
        try:
            if "ask" in event:
                optimizer.extend_candidates(event["state"])
                optimizer.mark_asked(event["ask"])
                small, arrays = event["state"], event["arrays"]
                continue
            value = math.nan if event["value"] is None else event["value"]
            if "level" in event:
                journal.measured.append((event["level"], event["tell"], value))
            else:
                optimizer.tell_row(event["tell"], value)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
    optimizer.restore(small, read_arrays(path.parent, arrays))
    return arrays


def _lock(path: Path) -> BinaryIO | None:
    """Lock a file beside the journal, until this process ends, however it ends; None where the system cannot.

    Raises:
        ValueError: another process has it.
    """
    try:
        import fcntl
    except ImportError:  # two processes at once are then the user's to avoid
        return None
    file = open(path.with_name(LOCK_FILE), "ab")
    try:
        # A lock of this process alone: one of the file (flock) would live on in a process that an evaluation forked.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ValueError(f"{path} is in use by another process") from None
    return file


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file last."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
