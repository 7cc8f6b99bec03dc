"""Training all parts of a predictor on its labels, and their combination."""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._progress import progress_bar
from cate_hf.predictor._combine import NORMAL, SPREAD_OF_STARTS, Combination
from cate_hf.predictor._labels import TEXT, Labels, as_labels
from cate_hf.predictor._simple import (
    MEMBERS_HEAD_START,
    chosen_kinds,
    fit_part,
    head_starts,
    held_out_predictions,
    seen_by,
)
from cate_hf.predictor.members import (
    MemberSettings,
    batches,
    checked_training,
    left_out,
    predict_members,
    train_members,
)
from cate_hf.surrogates.measures import measures

if TYPE_CHECKING:
    from cate_hf.predictor.model import Architectures, Predictor

_POINTS = 500  # of the picture of residuals
_FOLDS = 5  # of trees without members


def update_predictor(
    predictor: "Predictor",
    archs: "Architectures",
    values: "Mapping[str, Any] | Any",
    progress: bool = False,
) -> "Predictor":
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
    tables = (old.table, new.table[fresh])
    kept = {"hash": np.concatenate([table.columns["hash"] for table in tables])}
    if any(TEXT in table.columns for table in tables):
        texts = [table.columns.get(TEXT, np.full(len(table), "", dtype=object)) for table in tables]
        kept[TEXT] = np.concatenate(texts)
    table = type(old.table).concatenate([t.replace_columns({}) for t in tables])
    changed = copy.copy(predictor)  # an interruption leaves the predictor as it was
    changed.models, changed.facts = copy.deepcopy(predictor.models), dict(predictor.facts)
    changed.labels = Labels(table.with_columns(**kept), columns)
    absent = folds_of(len(table), members, seed, predictor.facts["folds"], len(old))
    training = checked_training(predictor.facts.get("training", {}))
    settings = MemberSettings(members=members, **training).for_labels(len(table))
    settings = replace(settings, epochs=max(3, settings.epochs // 3))
    device = str(next(predictor.models[0].parameters()).device) if members else "cpu"
    kinds = (any("process" in name for name in predictor.simple), predictor.trees is not None)
    train_parts(changed, absent, settings, kinds, device, progress, seed)
    changed.facts |= {"updates": updates, "seconds": time.perf_counter() - start}
    changed.facts.pop("report", None)  # of the predictor before, perhaps on what is now a label
    predictor.__dict__.update(changed.__dict__)
    return predictor


def train_parts(
    predictor: "Predictor",
    absent: np.ndarray,
    settings: MemberSettings,
    kinds: tuple[bool, bool],
    device: str,
    progress: bool,
    seed: int | None = None,
) -> None:
    """Train members, simple parts (`kinds`: whether Gaussian processes and trees are among them) and combination on the
    predictor's labels; absent (F, n) bool is what is held out."""
    labels, targets = predictor.labels, predictor.targets
    assert labels is not None
    seed = predictor.facts["seed"] if seed is None else seed
    columns = [labels.columns[target.name] for target in targets]
    wanted = np.column_stack([t.forward(v) for t, v in zip(targets, columns, strict=True)])
    true = np.column_stack([t.standardised(v) for t, v in zip(targets, columns, strict=True)])
    table = labels.table
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
    predictor.simple = {}
    names = chosen_kinds(predictor.features, len(table), *kinds)
    features = predictor.features(table, progress, labelled=True) if names else np.empty((len(table), 0))
    for name in names:
        inputs = seen_by(name, predictor.features, features)
        fitted = fit_part(name, inputs, wanted, seed, predictor.features)
        mean, spread = held_out_predictions(name, fitted, inputs, wanted, absent, seed, predictor.features)
        predictor.simple[name] = fitted
        parts.append(mean)
        if spread.any():
            deviations = spread
    stacked = np.stack(parts)
    ensemble = bool(predictor.models)
    starts, spreads = head_starts(names, predictor.features)
    starts, spreads = [MEMBERS_HEAD_START] * ensemble + starts, [SPREAD_OF_STARTS] * ensemble + spreads
    predictor.combinations = [
        Combination.fit(stacked[..., i], deviations[:, i], wanted[where, i], true[where, i], ensemble, starts, spreads)
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
    if "auxiliary_shares" in predictor.simple or "auxiliary_ridge" in predictor.simple:
        predictor.facts["auxiliary"] = _of_auxiliary(predictor, features, wanted)


def _of_auxiliary(predictor: "Predictor", features: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    """Target -> auxiliary column -> its share in their weighted mean, and Kendall τ with the labels."""
    auxiliary, first = predictor.features.auxiliary, predictor.features.own_dim
    assert auxiliary is not None
    name = next(name for name in ("auxiliary_shares", "auxiliary_ridge") if name in predictor.simple)
    weights = predictor.simple[name].weights[-len(auxiliary.names) :]
    shares = weights / np.maximum(np.abs(weights).sum(0), 1e-9)
    found: dict[str, Any] = {}
    for i, target in enumerate(predictor.targets):
        taus = [measures(column, wanted[:, i])["kendall_tau"] for column in features[:, first:].T]
        found[target.name] = {
            name: {"share": round(float(share), 4), "kendall_tau": round(tau, 4)}
            for name, share, tau in zip(auxiliary.names, shares[:, i], taus, strict=True)
        }
    return found


def _note_held_out(
    predictor: "Predictor", where: np.ndarray, parts: np.ndarray, deviations: np.ndarray, columns: list[np.ndarray]
) -> None:
    """How well the labels held out were predicted, among the predictor's facts."""
    found, points, shares = {}, {}, {}
    names = predictor.part_names
    for i, (target, combination) in enumerate(zip(predictor.targets, predictor.combinations, strict=True)):
        mean, deviation = combination(parts[..., i], deviations[:, i])
        half = deviation * combination.factor(NORMAL)
        predicted, true = target.inverse(mean), columns[i][where]
        spread = (target.inverse(mean + half) - target.inverse(mean - half)) / 2
        found[target.name] = {"labels": len(where)} | measures(predicted, true)
        wanted = target.standardised(true)
        taus = [measures(part, wanted)["kendall_tau"] for part in parts[..., i]]
        scaled = combination.weights * np.maximum(parts[..., i].std(1), 1e-9)
        share = scaled / max(float(scaled.sum()), 1e-9)
        shares[target.name] = {
            name: {"share": round(float(s), 4), "kendall_tau": round(t, 4)}
            for name, s, t in zip(names, share, taus, strict=True)
        }
        kept = slice(_POINTS)
        points[target.name] = [np.round(column[kept], 7).tolist() for column in (predicted, true, spread)]
    predictor.facts |= {"held_out": found, "residual_points": points, "parts": shares}


def folds_of(n: int, members: int, seed: int, before: Sequence[Sequence[int]] = (), known: int = 0) -> np.ndarray:
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
