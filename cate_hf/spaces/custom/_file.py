"""YAML files that describe a search space: strict reading, and writing. A file holds names and numbers, never code."""

import os
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """Plain values only: an alias (which can stand for gigabytes) and a key that is there twice are errors."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(
                problem=f"aliases such as *{event.anchor} are not allowed", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r:.60} is there twice", problem_mark=key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def read_description(path: str | os.PathLike) -> Any:
    """What a YAML file holds, as lists, dictionaries, names and numbers.

    Raises:
        ValueError: not YAML of plain values, not UTF-8, or larger than a megabyte; names the file and the line.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.is_file():
        raise ValueError(f"{path}: not a file")
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path}: larger than {MAX_BYTES:,} bytes; not the description of a search space")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text (byte {error.start})") from None
    return parse_description(text, str(path))


def parse_description(text: str, source: str = "description") -> Any:
    """The same of YAML text. Raises ValueError naming the source and the line."""
    try:
        return yaml.load(text, _StrictLoader)  # a SafeLoader: it makes no objects
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"{source}, line {mark.line + 1}" if mark else source
        raise ValueError(f"{where}: not valid YAML ({' '.join(str(problem or error).split())})") from None
    except RecursionError:
        raise ValueError(f"{source}: not valid YAML (nested too deeply)") from None
    except Exception as error:  # what PyYAML's readers of dates and numbers let through, such as an IndexError
        raise ValueError(f"{source}: not valid YAML ({' '.join(str(error).split()) or type(error).__name__})") from None


def description_text(description: dict) -> str:
    """YAML text that `parse_description` gives back as it is."""
    return yaml.dump(description, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, default_flow_style=None)
