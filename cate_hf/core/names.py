"""What is found by name: the entries of a catalog, and the message for a name that is not there."""

import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that nothing has: with the nearest one where it is near, else with all of them."""
    return ValueError(f"unknown {kind} {str(name)!r}; {nearest(name, known)}")


def nearest(name: object, known: Iterable[str], otherwise: str | None = None, cutoff: float = 0.6) -> str:
    """What a message says of a name that nothing has: the nearest one where it is near, else `otherwise`, or all."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=cutoff)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(known)}" if otherwise is None else otherwise


def printable(text: object) -> str:
    """A message on one line: white space joined, and what a terminal might obey, or could not show, as escapes."""
    line = " ".join(str(text).split())
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def one_line(error: BaseException) -> str:
    """An error's message on one line; for errors of the operating system what failed and with which file."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([*names, error.strerror])
    return " ".join(str(error).split()) or type(error).__name__


class Catalog:
    """The folders of a package that have a module of one name: each is one thing of a kind, under the folder's name.

    So adding one is adding one folder.

    Args:
        package: dotted name of the package, which is also the entry point group by which other packages add theirs.
        module: name of the module that such a folder has.
        attribute: what that module defines.
        kind: what the errors call it.
    """

    def __init__(self, package: str, module: str, attribute: str, kind: str):
        self.package, self.module, self.attribute, self.kind = package, module, attribute, kind
        self.registered: dict[str, Any] = {}

    def own_names(self) -> set[str]:
        """Names of the package's own; none of them is imported."""
        (path,) = importlib.import_module(self.package).__path__
        return {file.parent.name for file in Path(path).glob(f"*/{self.module}.py")}

    def _entry_points(self) -> dict[str, Any]:
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=self.package)}

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self.own_names(), *self._entry_points(), *self.registered})

    def get(self, name: str) -> Any:
        """What a name stands for. Raises ValueError, with the nearest name, when it is not known."""
        if name in self.registered:
            return self.registered[name]
        if name in self.own_names():
            return getattr(importlib.import_module(f"{self.package}.{name}.{self.module}"), self.attribute)
        points = self._entry_points()
        if name not in points:
            raise unknown(self.kind, name, self.names())
        return points[name].load()
