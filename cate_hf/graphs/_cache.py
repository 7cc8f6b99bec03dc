"""Tables that are computed once and kept in the user's cache folder."""

import os
from collections.abc import Callable
from pathlib import Path

from cate_hf.core._files import atomic_output
from cate_hf.graphs.io import read_parquet, write_parquet
from cate_hf.graphs.table import ArchitectureTable

__all__ = ["cache_folder", "cached_table"]

CACHE_VARIABLE = "CATE_HF_CACHE"


def cache_folder() -> Path:
    """The package's cache folder: $CATE_HF_CACHE, or `cate_hf` in the assets cache of huggingface_hub, which follows
    HF_HOME and XDG_CACHE_HOME (~/.cache/huggingface/assets/cate_hf by default).
    """
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own)
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE) / "cate_hf"


def cached_table(key: str, rows: int | None, compute: Callable[[], ArchitectureTable]) -> ArchitectureTable:
    """The table of that key, computed and written (whole, under its name at last) when it is not there or not readable.

    A cache folder that cannot be written is no error: the table is computed each time.
    """
    path = cache_folder() / f"{key}.parquet"
    if path.is_file():
        try:
            table = read_parquet(path)
            if rows is None or len(table) == rows:
                return table
        except (ValueError, OSError):
            pass  # damaged, and made anew below
    table = compute()
    try:
        with atomic_output(path, overwrite=True) as temporary:
            write_parquet(table, temporary, packed=True)
    except OSError:
        pass
    return table
