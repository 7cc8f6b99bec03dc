"""The size of the house: lines, files, public names, required dependencies.

    .venv/bin/python bench/size.py [FOLDER]

A public name is a class, function or constant at the top of a module whose path has no part that starts with an
underscore, in that module's `__all__` where it has one, and defined there.
"""

import ast
import configparser
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOMS = ("cate_hf", "modeling", "tokenization")


def public_names(path: Path) -> set[str]:
    """Names that a module defines for others."""
    if any(part.startswith("_") and part != "__init__.py" for part in path.parts):
        return set()
    defined: set[str] = set()
    stated: list[str] | None = None
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
            defined |= {*names}
            if "__all__" in names and isinstance(node.value, (ast.List, ast.Tuple)):
                stated = [ast.literal_eval(item) for item in node.value.elts if isinstance(item, ast.Constant)]
    return {name for name in defined if not name.startswith("_") and (stated is None or name in stated)}


def main(root: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *ROOMS], cwd=root, capture_output=True, text=True, check=True)
    files = [root / name for name in listed.stdout.split() if name.endswith(".py")]
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    largest = max(lines, key=lines.__getitem__)
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    required = [re.split("[<>=]", line)[0] for line in setup["options"]["install_requires"].split()]
    names = {file: public_names(file.relative_to(root)) for file in files}
    print(f"lines {sum(lines.values()):,} in {len(files)} files")
    print(
        f"median file {statistics.median(lines.values()):.0f}, largest {lines[largest]} ({largest.relative_to(root)})"
    )
    print(f"public names {sum(map(len, names.values()))}")
    print(f"required dependencies {len(required)}: {', '.join(required)}")


if __name__ == "__main__":
    import os

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    os.chdir(folder)
    main(folder)
