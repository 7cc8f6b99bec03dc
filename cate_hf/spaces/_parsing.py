"""Architectures from many texts, or from the objects that such texts stand for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._names import RowError
from cate_hf.core._progress import progress_bar
from cate_hf.graphs._hashes import HashIndex, is_hash
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    from cate_hf.spaces.base import Space


def parse_different(
    space: "Space", texts: Sequence[Any], source: str, keys: Sequence[Any], progress: bool
) -> ArchitectureTable:
    """The architectures (N rows) of N different texts.

    Args:
        keys: of the rows of what was given, of which errors name the one; equal texts have equal keys.

    Raises:
        RowError: naming the row.
    """

    def refuse(row: int, reason: str) -> RowError:
        text = texts[row]
        return RowError(reason, keys.index(text if isinstance(text, str) else id(text)), source)

    with progress_bar("reading architectures", len(texts), "architectures", progress) as advance:
        try:
            native, is_native = space._parse_natives(texts)
        except RowError as error:
            raise refuse(error.row, error.reason) from None
        advance(len(native))
        by_hash = np.array([is_hash(text) for text in texts], dtype=bool) & ~is_native
        hashed = _of_hashes(space, texts, np.flatnonzero(by_hash), refuse, progress)
        advance(len(hashed))
        others = []
        for row in np.flatnonzero(~is_native & ~by_hash).tolist():
            try:
                others.append(space.validate(_architecture(space, texts[row])))
            except ValueError as error:
                raise refuse(row, str(error)) from None
            advance(1)
    if is_native.all():
        return native
    order = np.concatenate([np.flatnonzero(rows) for rows in (is_native, by_hash, ~is_native & ~by_hash)])
    return ArchitectureTable.concatenate([native, hashed, space.table(others)])[np.argsort(order)]


def _of_hashes(space: "Space", texts: Sequence[str], rows: np.ndarray, refuse: Any, progress: bool):
    """The architectures of the pool that have the hashes in these rows."""
    if not len(rows):
        return space.table([])
    pool = space.pool(progress=progress)
    found = HashIndex(pool.columns["hash"]).rows(np.array([texts[row] for row in rows]))
    if (found < 0).any():
        row = int(rows[np.argmin(found)])
        where = "" if space.size is not None else f"'s pool of {len(pool):,}"
        raise refuse(row, f"no architecture of {space.name}{where} has the hash {texts[row]!r}")
    return pool[found].replace_columns({})


def _architecture(space: "Space", text: Any) -> Architecture:
    if isinstance(text, Architecture):
        return text
    if isinstance(text, dict):
        return Architecture.from_dict(text)
    if isinstance(text, str) and text.startswith("{"):
        return Architecture.from_json(text)
    raise ValueError(f"{text!r:.80} is neither a {space.name} architecture, nor JSON of one, nor a hash")
