"""What is found by name: the entries of a catalog, and the message for a name that is not there."""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
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
    """Things of one kind by name: the package's own, those of installed packages, and those registered in this process.

    Args:
        group: the entry point group by which other packages add theirs.
        kind: what the errors call one.
        own: name -> "module:attribute"; a module is imported when its thing is asked for.
    """

    def __init__(self, group: str, kind: str, own: Mapping[str, str]):
        self.group, self.kind, self.own = group, kind, own
        self.registered: dict[str, Any] = {}

    @classmethod
    def of_folders(cls, package: str, module: str, attribute: str, kind: str) -> "Catalog":
        """The folders of a package that have a module of one name, under the folders' names, with dashes for
        underscores: adding one is adding one folder. The package's name is the entry point group.
        """
        (path,) = sys.modules[package].__path__
        names = [file.parent.name for file in Path(path).glob(f"*/{module}.py")]
        return cls(package, kind, {name.replace("_", "-"): f"{package}.{name}.{module}:{attribute}" for name in names})

    def _entry_points(self) -> dict[str, Any]:
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """All names, sorted; of the package's own, those whose module is there."""
        own = {name for name, place in self.own.items() if importlib.util.find_spec(place.split(":")[0])}
        return sorted({*own, *self._entry_points(), *self.registered})

    def register(self, name: str, thing: Any, replace: bool = False) -> None:
        """Make a thing known by a name, in this process; ValueError where another has it already."""
        if name in self.own or (name in self.registered and not replace):
            raise ValueError(f"there is {_with_article(self.kind)} called {name!r} already; choose another name")
        self.registered[name] = thing

    def get(self, name: str) -> Any:
        """What a name stands for. Raises ValueError, with the nearest name, when it is not known."""
        if name in self.registered:
            return self.registered[name]
        if name in self.own:
            module, attribute = self.own[name].split(":")
            return getattr(importlib.import_module(module), attribute)
        points = self._entry_points()
        if name not in points:
            raise unknown(self.kind, name, self.names())
        return points[name].load()


def _with_article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


class RowError(ValueError):
    """What is wrong with one of many: `reason`, and the number of its `row`. The message is the reason alone where no
    `source` is named.
    """

    def __init__(self, reason: str, row: int, source: str = "") -> None:
        super().__init__(f"{source}, row {row}: {reason}" if source else reason)
        self.reason, self.row = reason, row
