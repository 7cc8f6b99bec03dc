"""Fitting a predictor to labelled architectures."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cate_hf.encodings.universal import UniversalEncoder
from cate_hf.predictor._auxiliary import read_auxiliary
from cate_hf.predictor._features import Features
from cate_hf.predictor._labels import as_labels
from cate_hf.predictor._training import folds_of, train_parts
from cate_hf.predictor.members import MemberSettings, checked_training, make_members
from cate_hf.predictor.model import Predictor
from cate_hf.predictor.targets import Target
from cate_hf.spaces import get_space

if TYPE_CHECKING:
    from cate_hf.encodings.cate import Encoder
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces import Space

__all__ = ["fit_predictor"]

_MANY_LABELS = 1000


def fit_predictor(
    archs: "ArchitectureTable | Sequence[Architecture]",
    accuracies: "Mapping[str, Any] | Any",
    encoder: "str | os.PathLike | Encoder | UniversalEncoder | None" = None,
    space: "str | os.PathLike | Space | None" = None,
    seed: int = 0,
    members: int | None = None,
    statistics: str = "structure",
    trees: bool = True,
    gp: bool = True,
    wiring: bool = True,
    transform: str | Mapping[str, str] | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    training: Mapping[str, float] | None = None,
    initialisations: int = 1,
    auxiliary: Any = None,
    device: str | None = None,
    progress: bool = False,
) -> Predictor:
    """Fit a predictor of labels of architectures: fine-tuned encoders, and simple parts beside them.

    Each member is the pre-trained encoder with a head of its own, trained by a pairwise logistic ranking loss and a
    smooth L1 loss; each leaves a part of the labels out. Beside them Gaussian processes, extremely randomised trees and
    ridge regressions see structural statistics, costs, the frozen encoding and the canonical adjacency. How much each
    counts, and how uncertain a prediction is, is decided by the labels that were left out (`Predictor.report`). Nothing
    but the labelled architectures is looked at. Equal arguments give an equal predictor.

    Args:
        archs: n labelled architectures, at least 5 that differ; isomorphic ones count as one, their labels averaged.
        accuracies: (n,) numbers, as fractions or all in per cent; or name -> (n,) of several labels of any kind, such
            as latencies, all predicted by one model.
        encoder: a checkpoint's name or folder (of a predictor too), or an `Encoder`; the one bundled for the space when
            None. One of several spaces is an encoder of each. A space without one has "universal" beside the simple
            parts, which is not fine-tuned.
        space: of the architectures; the encoder's when None.
        seed: of the heads, of the order and of the labels that are left out.
        members: K encoders that are fine-tuned, 5 of up to 1,000 labels and 3 of more when None; 0 for the simple parts
            alone, without an encoding where `encoder` is None.
        statistics: what the simple parts see beside encoding and adjacency: "structure" (with costs), "both" (of the
            network at initialisation too, tens of milliseconds an architecture, here and when predicting), or "none".
        trees: whether there are forests.
        gp: whether there are Gaussian processes (of up to 5,000 labels).
        wiring: whether there are parts on the canonical adjacency, in spaces where it has at most 1,024 numbers.
        transform: of the labels (`cate_hf.predictor.targets.TRANSFORMS`), or of each by name; by their names when None.
        epochs: of the members' training; by the number of labels when None.
        batch: cells a step of each member; by the number of labels when None.
        training: other settings of the members' training than theirs by name: learning rates, weights of the losses
            (`cate_hf.predictor.members.MemberSettings`).
        initialisations: of statistics "both", networks an architecture.
        auxiliary: what else is known: a file or table of architectures, labelled or others, with columns of numbers
            (NaN where unknown), such as latencies on other devices; or name -> (n,) numbers of the labelled ones. Which
            columns help is decided by the labels that were left out.
        device: where members are trained; where the encoder is when None.
        progress: draw a progress bar.

    Raises:
        ValueError: labels or architectures that do not fit (the row is named), or settings that do not.
    """
    start = time.perf_counter()
    if members is not None and (members < 0 or (not members and not trees)):
        raise ValueError(f"members must be at least {0 if trees else 1}, not {members}")  # a process ends at 5,000
    training = checked_training(training or {})
    loaded = _encoder(encoder, space, members)
    if space is None:
        if loaded is None or isinstance(loaded, UniversalEncoder):
            raise ValueError("the encoder 'universal' is of no space; give the architectures' search space")
        search_space = loaded.search_space
    else:
        search_space = get_space(space)
    model, tokenizer = (None, None) if isinstance(loaded, UniversalEncoder | None) else (loaded.model, loaded.tokenizer)
    if loaded is not None and not isinstance(loaded, UniversalEncoder) and not _knows(loaded, search_space):
        raise ValueError(f"the encoder is of {loaded.space}, not of {search_space.name}")
    labels = as_labels(search_space, archs, accuracies)
    transforms = transform if isinstance(transform, Mapping) else dict.fromkeys(labels.columns, transform)
    missing, cells = None, len(getattr(labels.table, "parts", (labels.table,)))
    if loaded is not None and model is None and members:
        raise ValueError("the encoder 'universal' cannot be fine-tuned; leave members out, or give members=0")
    if cells > 1 and members:
        raise ValueError("encoders are not fine-tuned on pairs of cells; leave members out, or give members=0")
    if cells > 1:
        members, missing = 0, "encoders are not fine-tuned on pairs of cells: simple parts alone"
    elif members is None:
        members = 0 if model is None else 5 if len(labels) <= _MANY_LABELS else 3
        if model is None:
            missing = "the encoder 'universal' is not fine-tuned: simple parts on it alone"
    targets = [Target.of(name, values, transforms.get(name)) for name, values in labels.columns.items()]
    settings = MemberSettings(members=members, epochs=epochs or 0, batch=batch or 0, **training)
    features = Features(search_space, statistics, loaded, initialisations, wiring, cells)
    if auxiliary is not None:
        features = replace(features, auxiliary=read_auxiliary(search_space, auxiliary, labels, features, seed))
    device = device or (str(model.device) if model is not None else "cpu")
    models = make_members(model, members, len(targets), seed) if members and model is not None else []
    predictor = Predictor(search_space, targets, models, tokenizer, features, labels=labels)
    predictor.facts = {
        "seed": int(seed),
        "members": members,
        "statistics": statistics,
        "initialisations": initialisations,
        "encoder": None if loaded is None else _name(loaded),
        "updates": 0,
        "training": training,
        "missing": missing,
    }
    absent = folds_of(len(labels), members, seed)
    train_parts(predictor, absent, settings, (gp, trees), device, progress)
    predictor.facts["seconds"] = time.perf_counter() - start
    return predictor


def _knows(encoder: "Encoder", space: "Space") -> bool:
    """Whether an encoder is of a space, or of several of which it is one."""
    from cate_hf.spaces.mixed import MixedSpace

    own = encoder.search_space
    return space.name == encoder.space or (
        isinstance(own, MixedSpace) and space.name in [member.name for member in own.members]
    )


def _name(encoder: "Encoder | UniversalEncoder") -> str:
    """What a predictor's facts call its encoder."""
    if isinstance(encoder, UniversalEncoder):
        return encoder.space
    return Path(str(encoder.model.config._name_or_path or "encoder")).name


def _encoder(encoder: Any, space: Any, members: int | None) -> "Encoder | UniversalEncoder | None":
    """The encoder that was given, the one bundled for the space, or the universal one; None where none is needed."""
    from cate_hf.encodings.cate import Encoder, load_encoder
    from cate_hf.encodings.defaults import default_encoder
    from cate_hf.hub._layout import checkpoint_names

    if isinstance(encoder, Encoder | UniversalEncoder):
        return encoder
    if encoder is not None:
        return load_encoder(encoder)
    if space is None:
        raise ValueError("give the architectures' search space, or an encoder of it")
    name = get_space(space).name
    if members == 0:
        return None
    if members and name not in checkpoint_names():
        raise ValueError(
            f"no checkpoint is bundled for {name}, only for {', '.join(checkpoint_names())}; give an encoder, or "
            "members=0 for simple parts alone"
        )
    return load_encoder(default_encoder(name, stacklevel=3))
