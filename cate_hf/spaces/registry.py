"""Names of the search spaces."""

import os
from functools import lru_cache

from cate_hf.core._files import check_no_folder
from cate_hf.core._names import Catalog
from cate_hf.spaces.base import Space
from cate_hf.spaces.mixed import SEPARATOR, MixedSpace

CATALOG = Catalog.of_folders("cate_hf.spaces", "space", "SPACE", "search space")
_FILE_SUFFIXES = (".yaml", ".yml")


def space_names() -> list[str]:
    """Names of all search spaces that are known: the package's, installed ones and registered ones."""
    return CATALOG.names()


def get_space(space: "str | os.PathLike | Space") -> Space:
    """The search space of a name, or of a YAML file that describes one; a `Space` is given back. Names joined by "+"
    are one mixed space.

    Raises:
        ValueError: there is none of that name (the message has the nearest), or the file does not describe one.
        FileNotFoundError: no such file.
    """
    if isinstance(space, Space):
        return space
    if os.path.isdir(space) and str(space) not in space_names():
        check_no_folder(space, "the name of a search space or its YAML file")
    if isinstance(space, os.PathLike) or str(space).endswith(_FILE_SUFFIXES):
        if SEPARATOR in str(space) and not os.path.exists(space):
            raise ValueError(f"{space}: a mixed run is of spaces that are known by name; a file describes one alone")
        from cate_hf.spaces.custom.custom_space import CustomSpace

        return register_space(CustomSpace.from_file(space), replace=True)
    if SEPARATOR in str(space):
        return _mixed(str(space))
    return _instance(str(space), CATALOG.registered.get(space))


def register_space(space: Space, replace: bool = False) -> Space:
    """Make a space of one's own known by its name, in this process. Installed packages name theirs by the entry point
    group `cate_hf.spaces`.

    Raises:
        ValueError: another space has that name already.
    """
    CATALOG.register(space.name, space, replace or CATALOG.registered.get(space.name) is space)
    return space


@lru_cache(maxsize=16)
def _mixed(name: str) -> Space:
    return MixedSpace([get_space(member) for member in name.split(SEPARATOR)])


@lru_cache(maxsize=64)
def _instance(name: str, registered: Space | None) -> Space:
    return registered if registered is not None else CATALOG.get(name)()
