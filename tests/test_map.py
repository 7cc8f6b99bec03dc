"""The README's map is that of the folders, and setup.cfg lists the packages that there are."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
HIDDEN = {"__pycache__"}


def _rooms_of_the_map() -> tuple[set[str], set[str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## Rooms\n\n```\n(.*?)```", text, re.S)[1]
    top = set(re.findall(r"^(\w+)/ ", block, re.M))
    rooms = set(re.findall(r"^  (\w+(?:\.py|/)) ", block, re.M))
    return top, rooms


def test_the_map_has_every_folder():
    top, rooms = _rooms_of_the_map()
    hidden = {"build", "dist"}
    there = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and not path.name.endswith((".egg-info", "-output"))
    }
    assert top == there - HIDDEN - hidden
    folder = ROOT / "cate_hf"
    found = {f"{path.name}/" for path in folder.iterdir() if path.is_dir()} - {f"{name}/" for name in HIDDEN}
    found |= {path.name for path in folder.glob("*.py") if not path.name.startswith("_")}
    assert rooms == found


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "cate_hf").rglob("__init__.py")} | {
        "cate_hf.modeling",
        "cate_hf.tokenization",
        "cate_hf.hub_cards",
        "cate_hf.checkpoints",
    }
    assert listed == found
