"""The log of a run: a line of JSON for each entry, with the optimiser steps so far."""

import json
from pathlib import Path

from cate_hf.core._files import atomic_output


class RunLog:
    """Entries of a run, kept in a file where there is one.

    Args:
        path: of the file; None in processes that do not write.
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.entries: list[dict] = []

    def rewind(self, step: int, evaluated: bool = True) -> None:
        """Take up what was logged up to a step. What came after it is removed, a line that a kill cut short too.

        Args:
            evaluated: whether an evaluation at that step stays; one that will be made again is removed.
        """
        if self.path is None or not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                if entry["step"] < step or (entry["step"] == step and (evaluated or "loss" in entry)):
                    self.entries.append(entry)
            except (ValueError, KeyError, TypeError):
                continue
        with atomic_output(self.path, overwrite=True) as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in self.entries), encoding="utf-8")

    def last(self, name: str) -> float | None:
        """The value of a name in the last entry that has it; None where none has."""
        return next((entry[name] for entry in reversed(self.entries) if name in entry), None)

    def append(self, entry: dict) -> None:
        """Add an entry with a key step.

        Raises:
            OSError: it cannot be written; the file is named, which that of a full disk does not do.
        """
        self.entries.append(entry)
        if self.path is None:
            return
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise OSError(f"{self.path}: cannot be written ({error.strerror or error})") from error
