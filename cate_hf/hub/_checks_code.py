"""The code that lies in a checkpoint folder, compared with this package's own before anybody runs it."""

import os
from pathlib import Path

from cate_hf.hub._layout import remote_code_files

__all__ = ["foreign_code"]

_CODE = (".py", ".pyc", ".pyd", ".so", ".pyx", ".pth", ".ipynb")
_BYTES = 1 << 20


def foreign_code(folder: str | Path) -> list[str]:
    """Return the files of code in a folder, at any depth, that are not byte for byte this package's own."""
    folder = Path(folder)
    own = {file.name: file.read_bytes() for file in remote_code_files()}
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root) / name
            relative = path.relative_to(folder).as_posix()
            if name.lower().endswith(_CODE) and not (relative in own and _has(path, own[relative])):
                found.append(relative)
    return sorted(found)


def _has(path: Path, content: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(_BYTES) == content
