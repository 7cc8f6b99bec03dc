"""Writing a predictor's folder: a checkpoint's like any other, and beside it what the members are combined with.

predictor.safetensors holds the forest, the Gaussian process, the weights of the parts, what intervals are made of, and
the frozen encoder; its metadata are JSON.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.core._files import atomic_output, check_output
from cate_hf.encodings.universal import UniversalEncoder
from cate_hf.graphs.io import write_parquet
from cate_hf.hub._layout import OWN_FILES, SPACE_FILE
from cate_hf.hub.save import save_checkpoint
from cate_hf.predictor._assemble import assemble
from cate_hf.predictor.card import draw_residuals, render_card

if TYPE_CHECKING:
    from cate_hf.predictor.model import Predictor

FORMAT = 1
_OF_LABELS = ("folds", "residual_points")  # facts about single labels
PREDICTOR_FILE, LABELS_FILE, PICTURE_FILE = "predictor.safetensors", "labels.parquet", "residuals.png"
EXTRA_FILES = (PREDICTOR_FILE, LABELS_FILE, PICTURE_FILE)
"""Names of the files that a predictor has beside those of a checkpoint."""


def save_predictor(
    predictor: "Predictor", directory: str | os.PathLike, overwrite: bool = False, keep_labels: bool = True
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

    own = (*OWN_FILES, *EXTRA_FILES)
    check_output(directory, overwrite, own)
    tensors: dict[str, np.ndarray] = {}
    for name, model in predictor.simple.items():
        tensors |= {f"{name}.{key}": value for key, value in model.arrays().items()}
    for i, combination in enumerate(predictor.combinations):
        tensors |= {f"combination.{i}.{name}": value for name, value in combination.arrays().items()}
    encoder, auxiliary = predictor.features.encoder, predictor.features.auxiliary
    if auxiliary is not None:
        tensors |= {f"auxiliary.{name}": value for name, value in auxiliary.arrays().items()}
    if encoder is not None and not isinstance(encoder, UniversalEncoder) and predictor.simple and predictor.models:
        tensors |= {f"encoder.{k}": v.float().cpu().numpy() for k, v in encoder.model.state_dict().items()}
    about = {
        "format": FORMAT,
        "space": predictor.space.name,
        "targets": [asdict(target) for target in predictor.targets],
        "statistics": predictor.features.statistics,
        "initialisations": predictor.features.initialisations,
        "process": predictor.process is not None,
        "trees": predictor.trees is not None,
        "cells": predictor.features.cells,
        "parts": [name for name in predictor.simple if name not in ("process", "trees")],
        "members": len(predictor.models),
        **({"encoder": encoder.fingerprint()} if isinstance(encoder, UniversalEncoder) else {}),
        "auxiliary": [] if auxiliary is None else auxiliary.about(),
        "facts": {k: v for k, v in predictor.facts.items() if keep_labels or k not in _OF_LABELS},
    }
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    definition = predictor.space.definition()
    with atomic_output(directory, overwrite, own) as folder:
        if predictor.models:
            model = assemble(predictor.models, predictor.targets, predictor.facts["lines"])
            facts = {"space": predictor.space.name}
            save_checkpoint(folder, model, predictor.tokenizer, facts, space_definition=definition)
        elif encoder is not None and not isinstance(
            encoder, UniversalEncoder
        ):  # the folder is that of the frozen encoder
            facts = {"space": encoder.space}
            save_checkpoint(folder, encoder.model, encoder.tokenizer, facts, space_definition=definition)
        else:
            folder.mkdir(parents=True)
            if definition is not None:
                (folder / SPACE_FILE).write_text(definition, encoding="utf-8")
        save_file(tensors, folder / PREDICTOR_FILE, {"predictor": json.dumps(about)})
        single = predictor.features.cells == 1  # of pairs of cells no labels are kept
        if keep_labels and single and predictor.labels is not None:
            columns = {f"label:{name}": values for name, values in predictor.labels.columns.items()}
            write_parquet(predictor.labels.table.with_columns(**columns), folder / LABELS_FILE)
        draw_residuals(predictor, folder / PICTURE_FILE, keep_labels)
        picture = (folder / PICTURE_FILE).is_file()
        (folder / "README.md").write_text(render_card(predictor, picture=picture), encoding="utf-8")
        for file in folder.glob("*.safetensors"):
            file.chmod(0o644 & (folder / "README.md").stat().st_mode)
    return Path(directory)
