"""Reading a predictor's folder, which `Predictor.save` wrote. Nothing is unpickled."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files as resource_files
from pathlib import Path
from typing import Any

import numpy as np

from cate_hf.core._files import check_fetched
from cate_hf.core._names import nearest
from cate_hf.graphs.io import read_parquet
from cate_hf.predictor._assemble import take_apart
from cate_hf.predictor._auxiliary import Auxiliary
from cate_hf.predictor._combine import Combination
from cate_hf.predictor._features import Features
from cate_hf.predictor._labels import TEXT, Labels
from cate_hf.predictor._save import EXTRA_FILES, FORMAT, LABELS_FILE, PICTURE_FILE, PREDICTOR_FILE
from cate_hf.predictor._simple import KINDS, part_from_arrays
from cate_hf.predictor.model import Predictor
from cate_hf.predictor.targets import Target

__all__ = ["EXTRA_FILES", "PICTURE_FILE", "PREDICTOR_FILE", "load_predictor", "predictor_names", "predictor_path"]


def load_predictor(name_or_path: str | os.PathLike, device: str | None = None) -> Predictor:
    """Read what `Predictor.save` wrote; nothing is unpickled, and of a name or a folder no network is touched.

    Args:
        name_or_path: a bundled predictor's name, a folder, or a repository of the Hub, owner/name.
        device: where the members predict; a GPU where there is one by default.

    Raises:
        ValueError: no such folder, one that holds no predictor, or a damaged one; it says what is wrong.
    """
    from cate_hf.encodings.cate import Encoder
    from cate_hf.hub._layout import SPACE_FILE
    from cate_hf.hub.load import load_model, load_tokenizer
    from cate_hf.modeling.modeling_cate import CateForSequenceClassification, CateModel
    from cate_hf.spaces import get_space
    from cate_hf.spaces.custom.custom_space import CustomSpace

    folder = _folder(name_or_path)
    about, tensors = _read(folder / PREDICTOR_FILE)
    source = str(folder / PREDICTOR_FILE)
    described = folder / SPACE_FILE
    own = CustomSpace.from_file(described) if described.is_file() else None
    space = get_space(about["space"]) if own is None else own
    models, tokenizer, encoder = [], None, _computed(about.get("encoder"), source)
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
    if not models and (folder / "config.json").is_file():
        encoder = Encoder(load_model(folder, CateModel), load_tokenizer(folder), device=device, search_space=own)
    names = [name for name in KINDS if about.get(name) is True or name in about.get("parts", [])]
    wiring = any(KINDS[name].features in ("wiring", "all") for name in names)
    features = Features(space, about["statistics"], encoder, about["initialisations"], wiring, about.get("cells", 1))
    if wiring and not features.has_wiring:
        raise ValueError(f"{source}: parts on the adjacency of {space.name}, which is too large for it")
    if about.get("auxiliary"):
        arrays = _part(tensors, "auxiliary.")
        found = Auxiliary.from_arrays(about["auxiliary"], arrays, features.plain_dim, source)
        features = replace(features, auxiliary=found)
    if features.auxiliary is None and any("auxiliary" in KINDS[name].features for name in names):
        raise ValueError(f"{source}: parts on auxiliary columns, of which there are none")
    count = len(about["targets"])
    simple = {name: part_from_arrays(name, _part(tensors, f"{name}."), features, count, source) for name in names}
    try:
        targets = [Target(**fields) for fields in about["targets"]]
    except TypeError as error:
        raise ValueError(f"{source}: a target with unknown fields ({error})") from None
    count = bool(models) + len(simple)
    combinations = [
        Combination.from_arrays(_part(tensors, f"combination.{i}."), count, source) for i in range(len(targets))
    ]
    labels = _labels(folder, space, targets)
    return Predictor(space, targets, models, tokenizer, features, simple, combinations, labels, about["facts"])


def _computed(fingerprint: str | None, source: str) -> Any:
    """The universal encoder, where a file names it and it is still the same."""
    from cate_hf.encodings.universal import UniversalEncoder

    encoder = UniversalEncoder()
    if fingerprint is None:
        return None
    if encoder.fingerprint() != fingerprint:
        raise ValueError(
            f"{source}: made with the encoder {fingerprint!r:.80}, this version has {encoder.fingerprint()}"
        )
    return encoder


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


def predictor_path(name: str) -> Path:
    """Folder of a bundled predictor."""
    return Path(str(_bundled().joinpath(name)))


def _folder(name_or_path: str | os.PathLike) -> Path:
    from cate_hf.hub.download import is_repo_id
    from cate_hf.hub.load import resolve_checkpoint

    name, known = str(name_or_path), predictor_names()
    if not os.path.exists(name_or_path):
        if name in known:
            return predictor_path(name)
        if not is_repo_id(name):
            raise ValueError(
                f"no bundled predictor {name!r}; {nearest(name, known)}; and there is no such folder, nor is it a "
                "repository of the Hub, owner/name"
            )
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


_OPTIONAL: dict[str, Callable[[Any], bool]] = {  # not in predictors of before
    "cells": lambda value: _is_count(value, 2) and value > 0,
    "encoder": lambda value: isinstance(value, str),
    "auxiliary": lambda value: isinstance(value, list) and len(value) <= 10_000 and all(map(_is_target, value)),
    "parts": lambda value: isinstance(value, list) and all(isinstance(name, str) and name in KINDS for name in value),
}


def _read(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    check_fetched(file)
    try:
        with safe_open(file, "np") as opened:
            about = json.loads((opened.metadata() or {})["predictor"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{file}: damaged, or not of a predictor ({error})") from None
    if not isinstance(about, dict) or (lacking := [name for name in ("format", *_SOUND) if name not in about]):
        raise ValueError(f"{file}: its description lacks {'all' if not isinstance(about, dict) else lacking[0]!r}")
    if about["format"] != FORMAT:
        raise ValueError(f"{file}: format {about['format']!r:.80}, this version reads {FORMAT}")
    for name, sound in (_SOUND | _OPTIONAL).items():
        if name in about and not sound(about[name]):
            raise ValueError(f"{file}: its description's {name!r} cannot be {about[name]!r:.80}")
    return about, tensors


def _part(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _labels(folder: Path, space: Any, targets: list[Target]) -> Labels | None:

    file = folder / LABELS_FILE
    if not file.is_file():
        return None
    table = read_parquet(file, space.vocabulary)
    if missing := [t.name for t in targets if f"label:{t.name}" not in table.columns]:
        raise ValueError(f"{file}: no column 'label:{missing[0]}'")
    columns = {t.name: np.asarray(table.columns[f"label:{t.name}"], np.float64) for t in targets}
    kept = {name: table.columns[name] for name in (TEXT,) if name in table.columns}
    return Labels(table.replace_columns({"hash": space.hash_many(table), **kept}), columns)
