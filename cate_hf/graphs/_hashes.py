"""Columns of hashes: as text, as bytes, compared, and looked up."""

from typing import Any

import numpy as np


def hash_text(hashes: Any) -> np.ndarray:
    """Return hashes (N,) as text, a fixed-width array of str; bytes are read as ASCII."""
    hashes = np.asarray(hashes)
    if hashes.dtype.kind != "S":
        return hashes if hashes.dtype.kind in "UO" else hashes.astype(str)
    codes = np.ascontiguousarray(hashes).view(np.uint8).astype(np.uint32)  # quicker than astype(str)
    return codes.view(f"U{hashes.dtype.itemsize}").reshape(hashes.shape)


def hash_bytes(hashes: np.ndarray) -> np.ndarray:
    """Return hashes (N,) as fixed-width bytes, a quarter of the size of text: for files and checksums."""
    if hashes.dtype.kind != "U":
        return hashes.astype("S")
    codes = np.ascontiguousarray(hashes).view(np.uint32)
    if codes.max(initial=0) > 127:
        raise ValueError("hash: expected ASCII text")
    return codes.astype(np.uint8).view(f"S{hashes.dtype.itemsize // 4}").reshape(hashes.shape)


def check_hashes(given: np.ndarray | None, computed: np.ndarray, source: str, hint: str = "") -> None:
    """Compare the hash column of a file, if it has one, with the hashes of its architectures.

    Raises:
        ValueError: naming the first row that differs.
    """
    if given is None:
        return
    wrong = np.flatnonzero(hash_text(given) != computed)
    if len(wrong):
        row = int(wrong[0])
        text = given[row].decode(errors="replace") if isinstance(given[row], bytes) else given[row]
        text = str(text) if isinstance(text, str) else text
        raise ValueError(f"{source}, row {row}: hash is {text!r}, its architecture has {str(computed[row])!r}{hint}")


def is_hash(text: Any) -> bool:
    """Whether it is text of 32 hexadecimal characters."""
    return isinstance(text, str) and len(text) == 32 and set(text) <= set("0123456789abcdef")


class HashIndex:
    """Finds the rows of hashes.

    Args:
        hashes: (N,) text or bytes, in any order; of equal ones the first row is found.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        hashes = hash_text(hashes)
        self._order = None if (hashes[1:] >= hashes[:-1]).all() else np.argsort(hashes, kind="stable")
        self._hashes = hashes if self._order is None else hashes[self._order]
        self._prefixes = _prefixes(self._hashes)

    def rows(self, wanted: np.ndarray) -> np.ndarray:
        """Return the rows (n,) int64 of hashes (n,), -1 where there is none."""
        wanted = hash_text(wanted)
        if not len(self._hashes) or not len(wanted):
            return np.full(len(wanted), -1, dtype=np.int64)
        last = len(self._hashes) - 1
        # Eight characters as one number, in the order of the texts: quicker to find, and nearly always one hash.
        rows = np.minimum(np.searchsorted(self._prefixes, _prefixes(wanted)), last)
        others = np.flatnonzero(self._hashes[rows] != wanted)
        rows[others] = np.minimum(np.searchsorted(self._hashes, wanted[others]), last)
        rows[others] = np.where(self._hashes[rows[others]] == wanted[others], rows[others], -1)
        return rows if self._order is None else np.where(rows < 0, -1, self._order[rows])


def _prefixes(hashes: np.ndarray) -> np.ndarray:
    """(N,) uint64: the first eight characters."""
    if hashes.dtype.kind != "U" or hashes.dtype.itemsize < 32:
        hashes = hashes.astype("U8")
    codes = np.ascontiguousarray(hashes).view(np.uint32).reshape(len(hashes), hashes.dtype.itemsize // 4)[:, :8]
    return np.minimum(codes, 255).astype(np.uint8).view(">u8").ravel().astype(np.uint64)
