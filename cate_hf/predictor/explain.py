"""What a prediction hangs on: the predicted effect of each single change of an architecture, with a picture."""

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.predictor.model import Predictor

__all__ = ["contributions", "draw_explanation", "explain"]

_MOST_BARS = 40
_LONGEST_NOTATION = 120  # characters


class Change(NamedTuple):
    """One step from an architecture.

    Attributes:
        what: in words, nodes by their numbers in the drawing, such as "node 2: conv3x3-bn-relu → maxpool3x3".
        difference: of the predicted label, in its units; deviation: of the changed architecture's prediction.
        architecture: the changed one, without nodes that the change left unused.
        place: the node whose operation changed, or the edge (source, target) that was taken away or added; None of a
            step of the space that is neither in the drawing.
    """

    what: str
    difference: float
    deviation: float
    architecture: "Architecture"
    place: "int | tuple[int, int] | None"


def explain(predictor: "Predictor", architecture: "Architecture", target: str | None = None) -> list[Change]:
    """Every valid change of one operation or one edge (taken away or added), all predicted at once, the change with the
    largest predicted gain first. In a space with a short notation also its other steps, such as an operation on an edge
    of NAS-Bench-201 that had none.

    Raises:
        ValueError: the architecture is not of the predictor's space, or no such target.
    """
    space = predictor.space
    start = space.validate(architecture)
    found = [*_changes(space, start)]
    found += _other_steps(space, start, [other for _, other, _ in found])
    changed = [other for _, other, _ in found]
    mean, deviation = predictor.predict([start, *changed], target)
    steps = [
        Change(what, float(m - mean[0]), float(d), other, place)
        for (what, other, place), m, d in zip(found, mean[1:], deviation[1:], strict=True)
    ]
    which = predictor.targets[predictor.target_names.index(target) if target else 0]
    return sorted(steps, key=lambda step: -step.difference if which.higher_is_better else step.difference)


def contributions(architecture: "Architecture", steps: list[Change]) -> dict["int | tuple[int, int]", float]:
    """What each operation and edge of an architecture adds to its predicted label, in the label's units: an operation
    beside the mean of all others in its place, an edge beside its absence. Places that no valid change is of are left
    out.

    Args:
        steps: what `explain` gave for the architecture.
    """
    found: dict[int | tuple[int, int], list[float]] = {}
    for step in steps:
        if step.place is not None and (isinstance(step.place, int) or architecture.adjacency[step.place]):
            found.setdefault(step.place, []).append(-step.difference)
    order = sorted(found, key=lambda place: (not isinstance(place, int), place))  # nodes first
    return {place: float(np.mean(found[place])) for place in order}


def draw_explanation(
    predictor: "Predictor", architecture: "Architecture", file: str | os.PathLike, target: str | None = None
) -> list[Change]:
    """Write a picture of an architecture beside the predicted effects of its changes; returns these.

    Raises:
        ValueError: as `explain`, or a suffix that is no image format.
        FileExistsError, OSError: the file exists, or cannot be written.
    """
    from matplotlib.figure import Figure

    from cate_hf.core._files import atomic_output
    from cate_hf.graphs.drawing import check_picture, draw

    check_picture(file)
    steps = explain(predictor, architecture, target)
    start = predictor.space.validate(architecture)
    mean, deviation = predictor.predict(start, target)
    shown = steps if len(steps) <= _MOST_BARS else [*steps[: _MOST_BARS // 2], *steps[-_MOST_BARS // 2 :]]
    figure = Figure(figsize=(13, max(3.5, 0.19 * len(shown) + 1)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    draw(start, left)
    name = target or predictor.target_names[0]
    left.set_title(f"{name}, predicted: {mean[0]:.4g} ± {deviation[0]:.2g}", fontsize=10)
    rows = np.arange(len(shown))[::-1]
    differences = np.array([step.difference for step in shown])
    better = (differences > 0) == predictor.targets[predictor.target_names.index(name)].higher_is_better
    right.barh(rows, differences, color=np.where(better, "#4c9f70", "#c65b5b"))
    right.set_yticks(rows, [step.what for step in shown], fontsize=7)
    right.axvline(0, color="#555555", linewidth=0.8)
    right.set_xlabel(f"predicted change of {name}")
    if len(shown) < len(steps):
        right.set_title(f"the {_MOST_BARS} most extreme of {len(steps)} changes", fontsize=9)
    with atomic_output(file) as temporary:
        figure.savefig(temporary, dpi=130)
    return steps


def _other_steps(space, start: "Architecture", known: list["Architecture"]):
    """(what, architecture, None) of each neighbour that is not known yet, where the space has a short notation."""
    if len(space.native(start) or "?" * _LONGEST_NOTATION) >= _LONGEST_NOTATION:
        return []
    hashes = {*space.hash_many(space.table(known)).tolist()} if known else set()
    others = space.neighbours(start)
    return [
        (f"to {space.native(o)}", o, None)
        for o, h in zip(others, others.columns["hash"], strict=True)
        if h not in hashes
    ]


def _changes(space, start: "Architecture"):
    """(what, architecture, place) of each valid single change to another architecture; of isomorphic ones each."""
    from cate_hf.graphs.architecture import Architecture

    operations, adjacency = list(start.operations), np.array(start.adjacency, dtype=np.uint8)
    own = space.hash(start)
    names = list(space.vocabulary[space.num_inputs : -1])
    candidates: list[tuple[str, list[str], np.ndarray, int | tuple[int, int]]] = []
    for node, operation in enumerate(operations):
        if operation in names:
            others = [other for other in names if other != operation]
            for other in others:
                names_then = [*operations[:node], other, *operations[node + 1 :]]
                candidates.append((f"node {node}: {operation} → {other}", names_then, adjacency, node))
    for first in range(len(operations)):
        for second in range(first + 1, len(operations)):
            edges = adjacency.copy()
            edges[first, second] ^= 1
            what = "added" if edges[first, second] else "taken away"
            candidates.append((f"edge {first} → {second} {what}", operations, edges, (first, second)))
    for what, ops, edges, place in candidates:
        try:
            changed = space.validate(Architecture(ops, edges))
        except ValueError:
            continue
        if space.hash(changed) != own:
            yield what, changed, place
