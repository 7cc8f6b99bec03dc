"""The files of a checkpoint's folder, the code that loads it without this package, and the bundled folders.

A bundled folder has no code: this package has the classes. `add_remote_code` puts the code wherever a folder may go to
people who do not have the package.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["CARD", "CARD_FACTS", "OWN_FILES", "PUBLISHED_FILES", "SPACE_FILE", "add_remote_code", "checkpoint_names"]

# The Auto classes of models and what each one loads; a checkpoint's auto_map is made from it.
MODEL_CLASSES = {
    "AutoModel": "CateModel",
    "AutoModelForPreTraining": "CateForPreTraining",
    "AutoModelForSequenceClassification": "CateForSequenceClassification",
}

CARD, CARD_FACTS = "README.md", "card.json"  # the second is what the first says, to render it anew

# The packages whose modules *_cate.py travel with a checkpoint.
_REMOTE_CODE_PACKAGES = ("cate_hf.modeling", "cate_hf.tokenization")
_TOKENIZER_MAP = {"AutoTokenizer": ["tokenization_cate.CateTokenizer", None]}
_AUTO_MAPS: dict[str, dict[str, Any]] = {  # by the file that names the classes
    "config.json": {
        "AutoConfig": "configuration_cate.CateConfig",
        **{auto_class: f"modeling_cate.{model_class}" for auto_class, model_class in MODEL_CLASSES.items()},
        **_TOKENIZER_MAP,
    },
    "tokenizer_config.json": _TOKENIZER_MAP,
}
WEIGHTS = "model.safetensors"
OWN_FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "vocab.json", "tokenizer*.json", CARD, CARD_FACTS),
    *("special_tokens_map.json", "added_tokens.json", "*_cate.py", "space.yaml"),
)
"""Patterns of the files of a checkpoint's folder."""
PUBLISHED_FILES = (*OWN_FILES, "*.png")
"""Patterns of the files that go along when a folder is copied or published; a card may show pictures."""
SPACE_FILE = "space.yaml"  # beside the weights where the search space is a user's own


def checkpoint_names() -> list[str]:
    """Names of the checkpoints bundled with the package."""
    root = files("cate_hf.checkpoints")
    return sorted(entry.name for entry in root.iterdir() if entry.joinpath("config.json").is_file())


def bundled_path(name: str) -> Path:
    """Folder of a bundled checkpoint."""
    return Path(str(files("cate_hf.checkpoints").joinpath(name)))


def remote_code_files() -> list:
    """The code that loads a checkpoint without this package, as readable resources with a `name`."""
    entries = [entry for package in _REMOTE_CODE_PACKAGES for entry in files(package).iterdir()]
    return sorted((entry for entry in entries if entry.name.endswith("_cate.py")), key=lambda entry: entry.name)


def add_remote_code(folder: Path) -> None:
    """Put the code into a checkpoint's folder, and name its classes in the two configurations."""
    for source in remote_code_files():
        (folder / source.name).write_bytes(source.read_bytes())
    for name, auto_map in _AUTO_MAPS.items():
        _set_auto_map(folder / name, auto_map)


def remove_remote_code(folder: Path) -> None:
    """Undo `add_remote_code`: the folder then loads where this package is installed."""
    for source in remote_code_files():
        (folder / source.name).unlink(missing_ok=True)
    for name in _AUTO_MAPS:
        _set_auto_map(folder / name, None)


def _set_auto_map(path: Path, auto_map: Mapping | None) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("auto_map", None)
    content |= {"auto_map": auto_map} if auto_map else {}
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
