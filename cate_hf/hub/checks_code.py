"""The code that lies in a checkpoint folder, compared with this package's own before anybody runs it."""

import os
from pathlib import Path

from cate_hf.hub.checks_files import CheckpointError, shown

_CODE = (".py", ".pyc", ".pyd", ".so", ".pyx", ".pth", ".ipynb")
_BYTES = 1 << 20


def foreign_code(folder: str | Path) -> list[str]:
    """Files of code in a folder, at any depth, that are not byte for byte the code that this package puts there."""
    from cate_hf.hub.layout import remote_code_files

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


def check_code(folder: str | Path) -> None:
    """Refuse a folder with code that is not this package's, before that code is run (as publishing does).

    Raises:
        CheckpointError: such a file, or one of the package's that is missing.
    """
    from cate_hf.hub.layout import remote_code_files

    missing = [file.name for file in remote_code_files() if not (Path(folder) / file.name).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: {missing[0]} is missing: the model could not be loaded without cate_hf")
    foreign = foreign_code(folder)
    if foreign:
        raise CheckpointError(
            f"{folder}: {shown(foreign[0])} is not the code of this version of cate_hf, and is not run; "
            "save the checkpoint again with this version"
        )
