"""Folders of learned encodings: config.json (which encoding, of which space, of what size), model.safetensors and
facts.json (how it was trained and what it reconstructs). Nothing in them is unpickled or executed."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cate_hf.autoencoders._graphs import GraphShape
from cate_hf.core._files import check_fetched
from cate_hf.encodings.folders import CONFIG, FORMAT
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

WEIGHTS, FACTS = "model.safetensors", "facts.json"
OWN_NAMES = (CONFIG, WEIGHTS, FACTS, ".*.tmp", "training")  # patterns of what a run leaves in its folder
FORMAT_VERSION = 1
_LARGEST = 65_536  # of any size in a configuration; what the weights do not bear out is refused anyway
_MOST_LAYERS = 64


@dataclass(frozen=True)
class Saved:
    """What a folder's config.json says.

    Attributes:
        encoding: name of the encoding.
        space: name, vocabulary, num_inputs and max_nodes of its search space.
        model: the fields of the model's configuration.
        trained_on: digest of the architectures that it learned from (`table_digest`).
    """

    encoding: str
    space: dict[str, Any]
    model: dict[str, Any]
    trained_on: str


def table_digest(table: ArchitectureTable) -> str:
    """16 hexadecimal characters of a table's vocabulary and graphs, in their order."""
    table = table.widen(int(table.num_nodes.max(initial=2)))
    digest = hashlib.sha256(json.dumps(table.vocabulary).encode())
    few = np.uint8 if table.max_nodes < 255 else np.uint16  # as bundled models were digested
    for array in (table.num_nodes.astype(few), table.operation_codes, table.edge_bits):
        digest.update(str(array.shape).encode() + array.tobytes())
    return digest.hexdigest()[:16]


def bundled_model(encoding: str, space: Space) -> Path | None:
    """Folder of the model that comes with the package, None where there is none."""
    folder = Path(str(files("cate_hf.autoencoders"))) / "bundled" / f"{encoding}-{space.name}"
    return folder if (folder / CONFIG).is_file() else None


def space_facts(space: Space) -> dict[str, Any]:
    """What a model depends on."""
    names = ("name", "num_inputs", "max_nodes")
    return {name: getattr(space, name) for name in names} | {"vocabulary": list(space.vocabulary)}


def write_model(
    folder: Path, encoding: str, space: Space, model: torch.nn.Module, trained_on: str, facts: Mapping[str, Any]
) -> None:
    """Put the three files in a folder, each whole or not at all; config.json last, without which it is no encoding."""
    (folder / CONFIG).unlink(missing_ok=True)
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "encoding": encoding,
        "space": space_facts(space),
        "model": asdict(model.config),
        "trained_on": trained_on,
    }
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    for name in (WEIGHTS, FACTS, CONFIG):
        temporary = folder / f".{name}.tmp"
        if name == WEIGHTS:
            save_file(weights, temporary)
        else:
            content = facts if name == FACTS else config
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, folder / name)
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode)  # written readable by the owner alone


def read_config(folder: str | os.PathLike) -> Saved:
    """The checked content of a folder's config.json.

    Raises:
        ValueError: it is missing, not JSON, of a newer format, or a field is not what it should be.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder}: no {CONFIG}, so this is not the folder of an encoding")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"{path}: not the configuration of an encoding: its format is not {FORMAT!r}")
    if config.get("format_version") != FORMAT_VERSION:
        version = config.get("format_version")
        raise ValueError(f"{path}: format_version is {version!r:.80}; this version of cate_hf reads {FORMAT_VERSION}")
    for name, kind in (("encoding", str), ("space", dict), ("model", dict), ("trained_on", str)):
        if not isinstance(config.get(name), kind):
            raise ValueError(f"{path}: field {name!r} must be {_KINDS[kind]}, got {config.get(name)!r:.80}")
    return Saved(**{field.name: config[field.name] for field in fields(Saved)})


_KINDS = {str: "a text", dict: "an object"}


def read_facts(folder: str | os.PathLike) -> dict[str, Any]:
    """What facts.json says, empty where there is none that can be read."""
    try:
        facts = json.loads((Path(folder) / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def model_config(config_class: type, values: Mapping[str, Any], source: str) -> Any:
    """A model's configuration from JSON. Raises ValueError, naming the field, for one that is missing or unsound."""
    expected = {field.name: field.type for field in fields(config_class)}
    for name in {**values, **expected}:
        if name not in values or name not in expected:
            what = "unknown field" if name not in expected else "missing field"
            raise ValueError(f"{source}: {what} {name!r} of the model")
        value, kind = values[name], expected[name]
        if kind is bool:
            sound = isinstance(value, bool)
        elif kind is int:
            most = _MOST_LAYERS if name == "layers" else _LARGEST
            sound = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
        else:
            sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        if not sound:
            raise ValueError(f"{source}: field {name!r} of the model cannot be {value!r:.80}")
    return config_class(**values)


def load_model(folder: str | os.PathLike, encoding: str, space: Space, model_class: Any) -> tuple[Any, str]:
    """The model of a folder, in evaluation mode, and the digest of what it was trained on.

    Raises:
        ValueError: a folder of another encoding or space, or missing, damaged or unfitting weights.
    """
    saved = read_config(folder)
    path = Path(folder) / WEIGHTS
    if saved.encoding != encoding:
        raise ValueError(f"{folder}: an encoding of kind {saved.encoding!r}, not {encoding!r}")
    for name, value in space_facts(space).items():
        if saved.space.get(name) != value:
            theirs = saved.space.get(name)
            raise ValueError(
                f"{folder}: made for another search space: its {name} is {theirs!r:.80}, not {value!r:.80}"
            )
    config = model_config(model_class.config_class, saved.model, str(Path(folder) / CONFIG))
    with torch.device("meta"):  # nothing is allocated before the weights are seen to fit
        model = model_class(config, GraphShape.of(space))
    model.load_state_dict(_read_weights(path, model.state_dict()), assign=True)
    return model.eval(), saved.trained_on


def _read_weights(path: Path, expected: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; the weights are missing")
    check_fetched(path)
    try:
        with safe_open(path, framework="pt") as stored:
            names = set(stored.keys())
            for name in sorted(names ^ set(expected)):
                raise ValueError(f"{path}: tensor {name!r} is {'missing' if name in expected else 'not of this model'}")
            for name, tensor in expected.items():
                shape = list(stored.get_slice(name).get_shape())
                if shape != list(tensor.shape):
                    raise ValueError(f"{path}: tensor {name!r} has shape {shape}, expected {list(tensor.shape)}")
            weights = {name: stored.get_tensor(name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: damaged or truncated ({error})") from None
    for name, tensor in weights.items():
        if tensor.dtype != expected[name].dtype:
            raise ValueError(f"{path}: tensor {name!r} is of {tensor.dtype}, expected {expected[name].dtype}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{path}: tensor {name!r} has numbers that are not finite")
    return weights
