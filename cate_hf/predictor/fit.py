"""Fitting a predictor to labelled architectures."""

import copy
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core.progress import progress_bar
from cate_hf.predictor._combine import NORMAL, Combination
from cate_hf.predictor._features import Features
from cate_hf.predictor.labels import Labels, as_labels
from cate_hf.predictor.members import (
    MemberSettings,
    batches,
    checked_training,
    left_out,
    make_members,
    predict_members,
    train_members,
)
from cate_hf.predictor.model import Predictor
from cate_hf.predictor.targets import Target
from cate_hf.spaces import get_space
from cate_hf.surrogates.process import Process
from cate_hf.surrogates.trees import Trees

if TYPE_CHECKING:
    from cate_hf.encodings.cate import Encoder
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces import Space

_POINTS = 500  # of the picture of residuals
_MANY_LABELS = 1000
_FOLDS = 5  # of trees without members
_MOST_LABELS = 5000  # of a Gaussian process, whose time grows with their cube


def fit_predictor(
    archs: "ArchitectureTable | Sequence[Architecture]",
    accuracies: "Mapping[str, Any] | Any",
    encoder: "str | os.PathLike | Encoder | None" = None,
    space: "str | os.PathLike | Space | None" = None,
    seed: int = 0,
    members: int | None = None,
    statistics: str = "structure",
    trees: bool = True,
    gp: bool = True,
    transform: str | Mapping[str, str] | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    training: Mapping[str, float] | None = None,
    initialisations: int = 1,
    device: str | None = None,
    progress: bool = False,
) -> Predictor:
    """Fine-tune an encoder to predict labels of architectures, with an ensemble's and a forest's help.

    Each member is the pre-trained encoder with a head of its own, trained by a pairwise logistic ranking loss and a
    smooth L1 loss; each leaves a part of the labels out. A forest of extremely randomised trees and a Gaussian process
    see structural statistics and the frozen encoding. How far to trust each, and how uncertain a prediction is, is told
    by the labels that were left out. Nothing but the labelled architectures is looked at. Equal arguments give an equal
    predictor.

    Args:
        archs: n labelled architectures, at least 5 that differ; isomorphic ones count as one, their labels averaged.
        accuracies: (n,) numbers, as fractions or all in per cent; or name -> (n,) of several labels of any kind, such
            as latencies, all predicted by one model.
        encoder: a checkpoint's name or folder (of a predictor too), or an `Encoder`; the one bundled for the space when
            None. One of several spaces is an encoder of each.
        space: of the architectures; the encoder's when None.
        members: K encoders that are fine-tuned, 5 of up to 1,000 labels and 3 of more when None; 0 for the process and
            trees alone, on statistics alone where `encoder` is None.
        statistics: what the trees see beside the encoding: "structure", "both" (of the network at initialisation too,
            tens of milliseconds an architecture, here and when predicting), or "none".
        trees, gp: whether there is a forest, and a Gaussian process on what it sees (of up to 5,000 labels).
        transform: of the labels (`cate_hf.predictor.targets.TRANSFORMS`), or of each by name; by their names when None.
        epochs, batch: of the members' training; by the number of labels when None.
        training: other settings of the members' training than theirs by name: learning rates, weights of the losses
            (`cate_hf.predictor.members.MemberSettings`).
        initialisations: of statistics "both", networks an architecture.
        device: where members are trained; where the encoder is when None.
        progress: draw a progress bar.

    Raises:
        ValueError: labels or architectures that do not fit (the row is named), or settings that do not.
    """
    start = time.perf_counter()
    if members is not None and (members < 0 or (not members and not trees)):
        raise ValueError(f"members must be at least {0 if trees else 1}, not {members}")  # a process ends at 5,000
    training = checked_training(training or {})
    loaded = _encoder(encoder, space, members != 0)
    search_space = get_space(space) if space is not None else loaded.search_space
    if loaded is not None and not _knows(loaded, search_space):
        raise ValueError(f"the encoder is of {loaded.space}, not of {search_space.name}")
    labels = as_labels(search_space, archs, accuracies)
    transforms = transform if isinstance(transform, Mapping) else dict.fromkeys(labels.columns, transform)
    members = (5 if len(labels) <= _MANY_LABELS else 3) if members is None else members
    targets = [Target.of(name, values, transforms.get(name)) for name, values in labels.columns.items()]
    settings = MemberSettings(members=members, epochs=epochs, batch=batch, **training)
    features = Features(search_space, statistics, loaded, initialisations)
    device = device or (str(loaded.model.device) if loaded is not None else "cpu")
    models = make_members(loaded.model, members, len(targets), seed) if members else []
    predictor = Predictor(
        search_space, targets, models, None if loaded is None else loaded.tokenizer, features, labels=labels
    )
    predictor.facts = {
        "seed": int(seed),
        "members": members,
        "statistics": statistics,
        "initialisations": initialisations,
        "encoder": None if loaded is None else Path(str(loaded.model.config._name_or_path or "encoder")).name,
        "updates": 0,
        "training": training,
    }
    absent = _folds(len(labels), members, seed)
    _fit(predictor, absent, settings, (gp, trees), device, progress)
    predictor.facts["seconds"] = time.perf_counter() - start
    return predictor


def update_predictor(
    predictor: Predictor,
    archs: "ArchitectureTable | Sequence[Architecture]",
    values: "Mapping[str, Any] | Any",
    progress: bool = False,
) -> Predictor:
    """See `Predictor.update`: members go on from their weights for a third of the epochs, the forest is a new one.

    A label that a member left out stays left out, so that what calibrates the predictor stays unseen. An architecture
    that was labelled before gets its new label.
    """
    if predictor.labels is None:
        raise ValueError("this predictor was saved without its labels; fit a new one, with its folder as encoder")
    new = as_labels(predictor.space, archs, values, least=1)
    if set(new.columns) != set(predictor.target_names):
        raise ValueError(
            f"labels {', '.join(new.columns)} given, this predictor has {', '.join(predictor.target_names)}"
        )
    start = time.perf_counter()
    updates = predictor.facts.get("updates", 0) + 1
    seed = int(np.random.SeedSequence([predictor.facts["seed"], updates]).generate_state(1)[0])
    old, members = predictor.labels, len(predictor.models)
    fresh = ~np.isin(new.table.columns["hash"], old.table.columns["hash"])
    by_hash = {h: i for i, h in enumerate(new.table.columns["hash"].tolist())}
    again = np.array([by_hash.get(h, -1) for h in old.table.columns["hash"].tolist()])
    columns = {}
    for name, numbers in old.columns.items():
        relabelled = np.where(again >= 0, new.columns[name][again], numbers)
        columns[name] = np.concatenate([relabelled, new.columns[name][fresh]])
    hashes = [table.columns["hash"] for table in (old.table, new.table[fresh])]
    table = type(old.table).concatenate([t.replace_columns({}) for t in (old.table, new.table[fresh])])
    changed = copy.copy(predictor)  # an interruption leaves the predictor as it was
    changed.models, changed.facts = copy.deepcopy(predictor.models), dict(predictor.facts)
    changed.labels = Labels(table.with_columns(hash=np.concatenate(hashes)), columns)
    absent = _folds(len(table), members, seed, predictor.facts["folds"], len(old))
    training = checked_training(predictor.facts.get("training", {}))
    settings = MemberSettings(members=members, **training).for_labels(len(table))
    settings = replace(settings, epochs=max(3, settings.epochs // 3))
    device = str(next(predictor.models[0].parameters()).device) if members else "cpu"
    kinds = (predictor.process is not None, predictor.trees is not None)
    _fit(changed, absent, settings, kinds, device, progress, seed)
    changed.facts |= {"updates": updates, "seconds": time.perf_counter() - start}
    changed.facts.pop("report", None)  # of the predictor before, perhaps on what is now a label
    predictor.__dict__.update(changed.__dict__)
    return predictor


def _fit(
    predictor: Predictor,
    absent: np.ndarray,
    settings: MemberSettings,
    kinds: tuple[bool, bool],
    device: str,
    progress: bool,
    seed: int | None = None,
) -> None:
    """Train members, Gaussian process, forest (`kinds`: which of the two) and combination on the predictor's labels;
    absent (F, n) bool is what is held out."""
    labels, targets = predictor.labels, predictor.targets
    seed = predictor.facts["seed"] if seed is None else seed
    columns = [labels.columns[target.name] for target in targets]
    wanted = np.column_stack([t.forward(v) for t, v in zip(targets, columns, strict=True)])
    true = np.column_stack([t.standardised(v) for t, v in zip(targets, columns, strict=True)])
    table = labels.table.replace_columns({})
    held_out = [np.flatnonzero(row) for row in absent]
    where = np.concatenate(held_out)
    parts = []
    if predictor.models:
        settings = settings.for_labels(len(table))
        steps = len(batches(absent, settings.epochs, settings.batch, seed))
        inputs = predictor.tokenizer(table, return_tensors="pt")
        with progress_bar("fine-tuning", steps, "steps", progress) as advance:
            train_members(predictor.models, inputs, wanted, absent, settings, seed, device, advance)
        scores = predict_members(predictor.models, predictor.tokenizer, table)
        parts.append(np.concatenate([scores[k, rows] for k, rows in enumerate(held_out)]))
    deviations = np.zeros((len(where), len(targets)))
    gp, trees = kinds[0] and len(table) <= _MOST_LABELS, kinds[1]
    predictor.process = predictor.trees = None
    if gp or trees:
        features = predictor.features(table, progress)
    if gp:
        predictor.process = process = Process.fit(features, wanted)
        unseen = [
            Process.fit(features[~absent[fold]], wanted[~absent[fold]], process.logs).predict(features[rows])
            for fold, rows in enumerate(held_out)
        ]
        parts.append(np.concatenate(unseen))
    if trees:
        unseen = [
            Trees.fit(features[~absent[fold]], wanted[~absent[fold]], seed).predict(features[rows])
            for fold, rows in enumerate(held_out)
        ]
        mean, deviations = (np.concatenate(pair) for pair in zip(*unseen, strict=True))
        parts.append(mean)
        predictor.trees = Trees.fit(features, wanted, seed)
    stacked = np.stack(parts)
    predictor.combinations = [
        Combination.fit(stacked[..., i], deviations[:, i], wanted[where, i], true[where, i], bool(predictor.models))
        for i in range(len(targets))
    ]
    alone = [
        Combination.fit(stacked[:1, :, i], 0 * deviations[:, i], wanted[where, i], true[where, i])
        for i in range(len(targets))
    ]
    predictor.facts |= {
        "labels": len(table),
        "epochs": settings.epochs,
        "batch": settings.batch,
        "folds": [rows.tolist() for rows in held_out],
        "lines": [(float(c.weights[0]), c.shift) for c in alone] if predictor.models else [],
    }
    _note_held_out(predictor, where, stacked, deviations, columns)


def _note_held_out(
    predictor: Predictor, where: np.ndarray, parts: np.ndarray, deviations: np.ndarray, columns: list[np.ndarray]
) -> None:
    """How well the labels held out were predicted, among the predictor's facts."""
    from cate_hf.predictor.report import measures

    found, points = {}, {}
    for i, (target, combination) in enumerate(zip(predictor.targets, predictor.combinations, strict=True)):
        mean, deviation = combination(parts[..., i], deviations[:, i])
        half = deviation * combination.factor(NORMAL)
        predicted, true = target.inverse(mean), columns[i][where]
        spread = (target.inverse(mean + half) - target.inverse(mean - half)) / 2
        found[target.name] = {"labels": len(where)} | measures(predicted, true)
        kept = slice(_POINTS)
        points[target.name] = [np.round(column[kept], 7).tolist() for column in (predicted, true, spread)]
    predictor.facts |= {"held_out": found, "residual_points": points}


def _folds(n: int, members: int, seed: int, before: Sequence[Sequence[int]] = (), known: int = 0) -> np.ndarray:
    """(F, n) bool: the labels held out, by each member or, of trees alone, in each fold. Of those `known` before, what
    was held out stays so; of the labels that came since, as large a part is added."""
    rng = np.random.default_rng([seed, 0])
    if not before:
        if members:
            return left_out(n, members, rng)
        return rng.permutation(n) % min(_FOLDS, n) == np.arange(min(_FOLDS, n))[:, None]
    result = np.zeros((len(before), n), dtype=bool)
    for fold, rows in enumerate(before):
        result[fold, list(rows)] = True
    share = result.sum() / known
    chosen = rng.permutation(np.arange(known, n))[: round(share * (n - known))]
    result[rng.permutation(len(chosen)) % len(before), chosen] = True
    return result


def _knows(encoder: "Encoder", space: "Space") -> bool:
    """Whether an encoder is of a space, or of several of which it is one."""
    from cate_hf.spaces.mixed import MixedSpace

    own = encoder.search_space
    return space.name == encoder.space or (
        isinstance(own, MixedSpace) and space.name in [member.name for member in own.members]
    )


def _encoder(encoder: Any, space: Any, needed: bool) -> "Encoder | None":
    from cate_hf.encodings.cate import Encoder, load_encoder
    from cate_hf.hub.layout import checkpoint_names

    if isinstance(encoder, Encoder):
        return encoder
    if encoder is not None:
        return load_encoder(encoder)
    if space is None:
        raise ValueError("give the architectures' search space, or an encoder of it")
    name = get_space(space).name
    if not needed:
        return None
    if name not in checkpoint_names():
        raise ValueError(
            f"no checkpoint is bundled for {name}, only for {', '.join(checkpoint_names())}; give an encoder, or "
            "members=0 for trees on structural statistics"
        )
    return load_encoder(name)
