"""Outputs that appear whole or not at all; inputs that are really there."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

_POINTER = b"version https://git-lfs.github.com/spec/"


def check_fetched(path: str | os.PathLike, error: type[ValueError] = ValueError) -> None:
    """Raise `error` for a pointer of Git LFS, which a clone without git-lfs has in a file's place."""
    if not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise error(f"{path}: a pointer of Git LFS, not the file itself; get it by `git lfs pull`, or download it")


def check_no_folder(path: str | os.PathLike, expected: str) -> None:
    """Raise ValueError for a folder where a file was `expected`."""
    if os.path.isdir(path):
        raise ValueError(f"{path}: a folder, expected {expected}")


def check_output(path: str | os.PathLike, overwrite: bool = False, own: Sequence[str] = ()) -> Path:
    """Refuse, before any work is done, an output that could not be put in its place afterwards.

    Args:
        own: of a folder, patterns of the names that such an output has; a folder with anything else is not replaced.

    Returns:
        the path as a ``Path``.

    Raises:
        ValueError: the path has no name of its own, as ``.`` and ``..``.
        FileExistsError: the output exists and ``overwrite`` is false, or is a folder that holds something else.
        OSError: its folder is not a folder, or may not be written to.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise ValueError(f"output {path}: expected the name of a file or folder to write, not of a folder around it")
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(f"output {path} exists already; choose another path or ask to overwrite it (--overwrite)")
    if own and path.is_dir():
        _check_own(path, own)
    _check_writable(path.absolute().parent, path)
    return path


def _check_writable(folder: Path, output: Path | None = None) -> None:
    """Refuse a folder that cannot be written to, or made.

    Args:
        output: what shall be written there, as the error calls it; the folder itself when None.

    Raises:
        OSError: it, or the nearest one around it that exists, is not a folder or may not be written to.
    """
    output, nearest = output or folder, folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise NotADirectoryError(f"output {output}: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"output {output}: no permission to write in {nearest}")


def _check_own(folder: Path, own: Sequence[str]) -> None:
    """Raise FileExistsError for the first entry of a folder whose name fits none of the patterns."""
    for entry in sorted(entry.name for entry in folder.iterdir()):
        if not any(fnmatch(entry, pattern) for pattern in own):
            raise FileExistsError(
                f"{folder} holds {entry!r}, which is not of such an output, and is not replaced; choose another folder"
            )


def check_run_folder(folder: Path, resume: bool, overwrite: bool, own: Sequence[str]) -> None:
    """Refuse, before any work is done, a folder that a training run could not write to, or would write over.

    Args:
        own: patterns of the names that a run leaves in its folder; a folder with anything else is not replaced.

    Raises:
        FileExistsError: the folder holds something, and neither `resume` nor `overwrite` is set; or something else.
        OSError: it may not be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; --output-dir must be a folder")
    if folder.is_dir() and any(folder.iterdir()) and not resume:
        if not overwrite:
            raise FileExistsError(f"{folder} is not empty; continue with --resume, or replace it with --overwrite")
        _check_own(folder, own)
    _check_writable(folder)


def clear_folder(folder: Path, own: Sequence[str], keep: Sequence[str] = ()) -> None:
    """Remove what a folder holds but for the names to keep; all others must fit the patterns (FileExistsError else)."""
    _check_own(folder, (*own, *keep))
    for entry in folder.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@contextmanager
def atomic_output(path: str | os.PathLike, overwrite: bool = False, own: Sequence[str] = ()) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` to write to; it takes the place of ``path`` if the block succeeds.

    The block writes either a file or a folder at the path that it is given. If it fails (an error, Ctrl-C, a disk
    without room), what it wrote is removed and an older output stays as it was. Missing parent folders are created.
    A file replaces a file in one step; a folder is first moved aside, and moved back if the new one cannot be placed.

    Raises:
        FileExistsError: ``path`` exists and ``overwrite`` is false, or a file would replace a folder, or the reverse.
        FileNotFoundError: the block wrote nothing.
        OSError: the output cannot be written.
    """
    path = check_output(path, overwrite, own)
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:12]
    # The suffix stays last: several writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.{token}.tmp{path.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"output {path}: nothing was written")
        check_output(path, overwrite, own)
        if os.path.lexists(path) and path.is_dir() != temporary.is_dir():
            kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            raise FileExistsError(f"output {path} is {kinds[0]} and would be replaced by {kinds[1]}; remove it first")
        if temporary.is_dir():
            _replace_folder(temporary, path, path.with_name(f".{path.stem}.{token}.old"))
        else:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())  # some file systems report a full disk only here
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _replace_folder(new: Path, path: Path, aside: Path) -> None:
    if path.exists():
        os.rename(path, aside)
        try:
            os.rename(new, path)
        except BaseException:
            os.rename(aside, path)
            raise
        if aside.is_symlink():
            aside.unlink()  # what it points to stays as it was
        else:
            shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(new, path)


def sha256_of(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_of(*arrays: np.ndarray) -> str:
    """The SHA-256 of the types, shapes and values of arrays, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
