"""Docstrings that describe several arguments at once, `start, end: ...`, as griffe reads them: an entry for each."""

import re

import griffe

_ENTRY = re.compile(r"( +)(\w+(?:, \w+)+): ")


class SeveralNames(griffe.Extension):
    """Repeats the entry for each of its names."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        if obj.docstring is not None:
            obj.docstring.value = "\n".join(_repeated(obj.docstring.value.splitlines()))


def _repeated(lines: list[str]) -> list[str]:
    found: list[str] = []
    while lines:
        line, *lines = lines
        entry = _ENTRY.match(line)
        if entry is None:
            found.append(line)
            continue
        rest = []
        while lines and lines[0].startswith(entry[1] + "    "):
            rest.append(lines.pop(0))
        for name in entry[2].split(", "):
            found += [f"{entry[1]}{name}: {line[entry.end() :]}", *rest]
    return found
