"""What a checkpoint's folder holds: names of its files, what the Auto classes find in it, the remote code that can
travel with it, and which folders come with the package."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

# The Auto classes of models and what each one loads; a checkpoint's auto_map is made from it.
MODEL_CLASSES = {
    "AutoModel": "CateModel",
    "AutoModelForPreTraining": "CateForPreTraining",
    "AutoModelForSequenceClassification": "CateForSequenceClassification",
}

CARD, CARD_FACTS = "README.md", "card.json"  # the second is what the first says, to render it anew

# The packages whose modules *_cate.py travel with a checkpoint.
REMOTE_CODE_PACKAGES = ("cate_hf.modeling", "cate_hf.tokenization")
TOKENIZER_AUTO_MAP = ["tokenization_cate.CateTokenizer", None]
AUTO_MAP = {
    "AutoConfig": "configuration_cate.CateConfig",
    **{auto_class: f"modeling_cate.{model_class}" for auto_class, model_class in MODEL_CLASSES.items()},
    "AutoTokenizer": TOKENIZER_AUTO_MAP,
}
WEIGHTS = "model.safetensors"
OWN_FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "vocab.json", "tokenizer*.json", CARD, CARD_FACTS),
    *("special_tokens_map.json", "added_tokens.json", "*_cate.py", "space.yaml"),
)
"""Patterns of the files of a checkpoint's folder."""
SPACE_FILE = "space.yaml"  # beside the weights where the search space is a user's own


def checkpoint_names() -> list[str]:
    """Names of the checkpoints bundled with the package."""
    root = files("cate_hf.checkpoints")
    return sorted(entry.name for entry in root.iterdir() if entry.joinpath("config.json").is_file())


def remote_code_files() -> list:
    """The code that travels with every checkpoint, as readable resources with a `name`."""
    entries = [entry for package in REMOTE_CODE_PACKAGES for entry in files(package).iterdir()]
    return sorted((entry for entry in entries if entry.name.endswith("_cate.py")), key=lambda entry: entry.name)


def set_auto_map(path: Path, auto_map: Mapping) -> None:
    """Set the auto_map of a JSON file that transformers wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["auto_map"] = dict(auto_map)
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
