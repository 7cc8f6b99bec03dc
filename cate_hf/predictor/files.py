"""Predictors on disk: a checkpoint's folder like any other, and beside it what the members are combined with.

predictor.safetensors holds the forest, the weights of members and forest, what intervals are made of, and the frozen
encoder; its metadata are JSON. Nothing is unpickled.
"""

import json
import math
import os
from collections.abc import Callable
from importlib.resources import files as resource_files
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.core.files import atomic_output, check_output
from cate_hf.graphs.io import read_parquet, write_parquet
from cate_hf.predictor._assemble import assemble, take_apart
from cate_hf.predictor._combine import Combination
from cate_hf.predictor._features import Features
from cate_hf.predictor.labels import Labels
from cate_hf.predictor.model import Predictor
from cate_hf.predictor.targets import Target
from cate_hf.surrogates.process import Process
from cate_hf.surrogates.trees import Trees

FORMAT = 1
_OF_LABELS = ("folds", "residual_points")  # facts about single labels
PREDICTOR_FILE, LABELS_FILE, PICTURE_FILE = "predictor.safetensors", "labels.parquet", "residuals.png"
EXTRA_FILES = (PREDICTOR_FILE, LABELS_FILE, PICTURE_FILE)
"""Names of the files that a predictor has beside those of a checkpoint."""


def save_predictor(
    predictor: Predictor, directory: str | os.PathLike, overwrite: bool = False, keep_labels: bool = True
) -> Path:
    """Write a predictor's folder, whole or not at all.

    Args:
        keep_labels: whether the labelled architectures are written too, without which it cannot be updated; where not,
            nothing that is written shows a single label, but from a Gaussian process they can be computed.

    Raises:
        FileExistsError: the folder exists and `overwrite` is False, or holds something else.
        OSError: it cannot be written.
    """
    from safetensors.numpy import save_file

    from cate_hf.hub.layout import OWN_FILES, SPACE_FILE
    from cate_hf.hub.save import save_checkpoint
    from cate_hf.predictor.card import draw_residuals, render_card

    own = (*OWN_FILES, *EXTRA_FILES)
    check_output(directory, overwrite, own)
    tensors = {}
    if predictor.trees is not None:
        tensors |= {f"trees.{name}": value for name, value in predictor.trees.arrays().items()}
    if predictor.process is not None:
        tensors |= {f"process.{name}": value for name, value in predictor.process.arrays().items()}
    for i, combination in enumerate(predictor.combinations):
        tensors |= {f"combination.{i}.{name}": value for name, value in combination.arrays().items()}
    encoder = predictor.features.encoder
    if encoder is not None and (predictor.trees is not None or predictor.process is not None):
        tensors |= {f"encoder.{k}": v.float().cpu().numpy() for k, v in encoder.model.state_dict().items()}
    about = {
        "format": FORMAT,
        "space": predictor.space.name,
        "targets": [target.as_dict() for target in predictor.targets],
        "statistics": predictor.features.statistics,
        "initialisations": predictor.features.initialisations,
        "process": predictor.process is not None,
        "trees": predictor.trees is not None,
        "members": len(predictor.models),
        "facts": {k: v for k, v in predictor.facts.items() if keep_labels or k not in _OF_LABELS},
    }
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    with atomic_output(directory, overwrite, own) as folder:
        if predictor.models:
            model = assemble(predictor.models, predictor.targets, predictor.facts["lines"])
            definition = predictor.space.definition()
            facts = {"space": predictor.space.name}
            save_checkpoint(folder, model, predictor.tokenizer, facts, space_definition=definition)
        else:
            folder.mkdir(parents=True)
            if predictor.space.definition() is not None:
                (folder / SPACE_FILE).write_text(predictor.space.definition(), encoding="utf-8")
        save_file(tensors, folder / PREDICTOR_FILE, {"predictor": json.dumps(about)})
        if keep_labels and predictor.labels is not None:
            write_parquet(predictor.labels.table.with_columns(**_named(predictor.labels.columns)), folder / LABELS_FILE)
        draw_residuals(predictor, folder / PICTURE_FILE, keep_labels)
        picture = (folder / PICTURE_FILE).is_file()
        (folder / "README.md").write_text(render_card(predictor, picture=picture), encoding="utf-8")
        for file in folder.glob("*.safetensors"):
            file.chmod(0o644 & (folder / "README.md").stat().st_mode)
    return Path(directory)


def load_predictor(name_or_path: str | os.PathLike, device: str | None = None) -> Predictor:
    """Read what `Predictor.save` wrote; nothing is unpickled, and of a name or a folder no network is touched.

    Args:
        name_or_path: a bundled predictor's name, a folder, or a repository of the Hub, owner/name.
        device: where the members predict; a GPU where there is one by default.

    Raises:
        ValueError: no such folder, one that holds no predictor, or a damaged one; it says what is wrong.
    """
    from cate_hf.encodings.cate import Encoder
    from cate_hf.hub.layout import SPACE_FILE
    from cate_hf.hub.load import load_model, load_tokenizer
    from cate_hf.modeling.modeling_cate import CateForSequenceClassification, CateModel
    from cate_hf.spaces import get_space
    from cate_hf.spaces.custom.custom_space import CustomSpace

    folder = _folder(name_or_path)
    about, tensors = _read(folder / PREDICTOR_FILE)
    source = str(folder / PREDICTOR_FILE)
    described = folder / SPACE_FILE
    space = CustomSpace.from_file(described) if described.is_file() else get_space(about["space"])
    models, tokenizer, encoder = [], None, None
    if about["members"]:
        assembled = load_model(folder, CateForSequenceClassification)
        if assembled.config.num_members != about["members"]:
            raise ValueError(
                f"{folder}: {assembled.config.num_members} members, {PREDICTOR_FILE} has {about['members']}"
            )
        models, tokenizer = take_apart(assembled), load_tokenizer(folder)
    frozen = _part(tensors, "encoder.")
    if frozen:
        import torch

        if not models:
            raise ValueError(f"{source}: an encoder without members; expected both")
        with torch.no_grad():
            model = CateModel(models[0].config)
            try:
                model.load_state_dict({name: torch.from_numpy(v.copy()) for name, v in frozen.items()})
            except RuntimeError as error:
                raise ValueError(f"{source}: its encoder does not fit ({str(error).splitlines()[0]})") from None
        encoder = Encoder(model, tokenizer, device=device, search_space=space)
        models = [m.to(encoder.model.device) for m in models]
    features = Features(space, about["statistics"], encoder, about["initialisations"])
    process = trees = None
    if about["process"]:
        process = Process.from_arrays(_part(tensors, "process."), len(features.names), len(about["targets"]), source)
    if about["trees"]:
        trees = Trees.from_arrays(_part(tensors, "trees."), len(features.names), source)
    try:
        targets = [Target(**fields) for fields in about["targets"]]
    except TypeError as error:
        raise ValueError(f"{source}: a target with unknown fields ({error})") from None
    if trees is not None and trees.leaves.shape[1] != len(targets):
        raise ValueError(f"{source}: trees of {trees.leaves.shape[1]} targets, expected {len(targets)}")
    count = bool(models) + (process is not None) + (trees is not None)
    combinations = [
        Combination.from_arrays(_part(tensors, f"combination.{i}."), count, source) for i in range(len(targets))
    ]
    labels = _labels(folder, space, targets)
    return Predictor(space, targets, models, tokenizer, features, process, trees, combinations, labels, about["facts"])


def predictor_names() -> list[str]:
    """Names of the predictors bundled with the package."""
    root = _bundled()
    return (
        sorted(entry.name for entry in root.iterdir() if entry.joinpath(PREDICTOR_FILE).is_file())
        if root.is_dir()
        else []
    )


def _bundled():
    return resource_files("cate_hf.predictor").joinpath("bundled")


def _folder(name_or_path: str | os.PathLike) -> Path:
    from cate_hf.hub.load import resolve_checkpoint

    if str(name_or_path) in predictor_names() and not os.path.exists(name_or_path):
        return Path(str(_bundled().joinpath(str(name_or_path))))
    path = resolve_checkpoint(name_or_path)
    if not path.is_dir():
        raise ValueError(f"{name_or_path}: no folder of a predictor")
    if not (path / PREDICTOR_FILE).is_file():
        raise ValueError(f"{path}: no {PREDICTOR_FILE}, so this is not a predictor's folder")
    return path


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_target(fields: Any) -> bool:
    if not isinstance(fields, dict):
        return False
    texts, flag = [fields.get(name, "") for name in ("name", "transform")], fields.get("higher_is_better", True)
    numbers = [fields.get(name, 1.0) for name in ("unit", "centre", "scale")]
    return all(isinstance(text, str) for text in texts) and isinstance(flag, bool) and all(map(_is_number, numbers))


_SOUND: dict[str, Callable[[Any], bool]] = {
    "space": lambda value: isinstance(value, str),
    "targets": lambda value: isinstance(value, list) and 0 < len(value) <= 100 and all(map(_is_target, value)),
    "statistics": lambda value: isinstance(value, str),
    "initialisations": lambda value: _is_count(value, 1000),
    "process": lambda value: isinstance(value, bool),
    "trees": lambda value: isinstance(value, bool),
    "members": lambda value: _is_count(value, 1000),
    "facts": lambda value: isinstance(value, dict),
}


def _read(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    needed = ("format", "space", "targets", "statistics", "initialisations", "process", "trees", "members", "facts")
    try:
        with safe_open(file, "np") as opened:
            about = json.loads((opened.metadata() or {})["predictor"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: damaged, or not of a predictor ({error})") from None
    if not isinstance(about, dict) or (lacking := [name for name in needed if name not in about]):
        raise ValueError(f"{file}: its description lacks {'all' if not isinstance(about, dict) else lacking[0]!r}")
    if about["format"] != FORMAT:
        raise ValueError(f"{file}: format {about['format']!r:.80}, this version reads {FORMAT}")
    for name, sound in _SOUND.items():
        if not sound(about[name]):
            raise ValueError(f"{file}: its description's {name!r} cannot be {about[name]!r:.80}")
    return about, tensors


def _part(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _named(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"label:{name}": values for name, values in columns.items()}


def _labels(folder: Path, space: Any, targets: list[Target]) -> Labels | None:

    file = folder / LABELS_FILE
    if not file.is_file():
        return None
    table = read_parquet(file, space.vocabulary)
    if missing := [t.name for t in targets if f"label:{t.name}" not in table.columns]:
        raise ValueError(f"{file}: no column 'label:{missing[0]}'")
    columns = {t.name: np.asarray(table.columns[f"label:{t.name}"], np.float64) for t in targets}
    hashes = space.hash_many(table)
    return Labels(table.replace_columns({"hash": hashes}), columns)
