"""The tab of a predicted accuracy: its interval, what it hangs on, and the best single changes."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from cate_hf.app import _parts as parts
from cate_hf.app import _shared as shared
from cate_hf.app._reading import Given, single_cell
from cate_hf.graphs.architecture import Architecture
from cate_hf.predictor.explain import Change, contributions, explain
from cate_hf.predictor.files import predictor_names
from cate_hf.spaces import get_space

_CHANGES = 5  # best ones that are drawn


def predict(given: Given) -> tuple[str, str, str]:
    """HTML of an architecture's predicted accuracy, and the Python and the command line that predict it.

    Raises:
        ValueError: of a space for which no results and no predictor come with the package.
    """
    cell, said = single_cell(given)
    assert given.space is not None
    found = shared.predictor_of(given.space)
    if found is None:
        raise ValueError(
            f"neither a predictor nor results of {given.space} come with the package; give results of your own to "
            'the tab "Your table"'
        )
    predictor, lock = found
    space = get_space(given.space)
    cell = space.validate(cell)
    with lock:
        mean, deviation = (float(numbers[0]) for numbers in predictor.predict(cell))
        low, high = (float(numbers[0]) for numbers in predictor.interval(cell, 0.9))
        steps = explain(predictor, cell)
    rows = [
        ("predicted accuracy", f"{100 * mean:.2f} % ± {100 * deviation:.2f}"),
        ("90 % interval", _interval(low, high)),
    ]
    known = shared.accuracies(given.space, space.with_costs(space.table([cell])))
    if known is not None and not np.isnan(known[0]):
        rows.append(("measured", f"{100 * known[0]:.2f} %"))
    rows.append(("predicted by", _by(given.space, predictor)))
    pieces = [parts.remark(said) if said else "", parts.picture(cell), parts.table(rows)]
    pieces.append(parts.bars("What each operation and edge adds, in points of accuracy", _added(cell, steps)))
    pieces.append(parts.remark("An operation beside the mean of all others in its place, an edge beside its absence."))
    pieces.append(_best(steps, parts.inner(space)))
    return "".join(pieces), _python(given), _shell(given.space)


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.2f} % to {100 * min(high, 1.0):.2f} %"


def _by(space: str, predictor: Any) -> str:
    if f"{space}-accuracy" in predictor_names():
        return f"the bundled predictor, fitted to {predictor.facts.get('labels', 0):,} measured cells"
    return f"a predictor fitted here to {shared.LABELS} measured cells, with the bundled encoder"


def _added(cell: Architecture, steps: list[Change]) -> list[tuple[str, float, str]]:
    rows = []
    for place, number in contributions(cell, steps).items():
        label = f"{place} {cell.operations[place]}" if isinstance(place, int) else f"edge {place[0]} → {place[1]}"
        rows.append((label, number, f"{100 * number:+.2f}"))
    return rows


def _best(steps: list[Change], operations: Iterable[str]) -> str:
    cards = []
    for step in steps[:_CHANGES]:
        points = f"{100 * step.difference:+.2f} points, ± {100 * step.deviation:.2f}"
        text = parts.table([(step.what,), (points,)])
        cards.append(f'<div class="cate-card">{parts.picture(step.architecture)}{text}</div>')
    title = "<b>The best single changes, by prediction</b>" if cards else parts.remark("No single change is valid.")
    return f'{title}{parts.legend(operations)}<div class="cate-cards">{"".join(cards)}</div>'


def _python(given: Given) -> str:
    space = given.space
    read = "\nfrom cate_hf.graphs import read_architecture" if "read_architecture" in given.python else ""
    cell = given.python if "" in given.cells else f"{given.python}.normal"
    if f"{space}-accuracy" in predictor_names():
        imports, made = "get_space, load_predictor", f'predictor = load_predictor("{space}-accuracy")'
    else:
        imports = "fit_predictor, get_space, load_benchmark"
        field = getattr(shared.results_of(space or ""), "default_field", "accuracy")
        made = f"""results = load_benchmark("{space}")
trained = space.sample({shared.LABELS}, seed=0)
accuracies = results.query_many(trained, "{field}")
predictor = fit_predictor(trained, accuracies, encoder="{space}", members=0, wiring=False)"""
    return f"""from cate_hf import {imports}
from cate_hf.predictor.explain import contributions, explain{read}

space = get_space("{space}")
cell = space.validate({cell})
{made}
print(predictor.predict(cell), predictor.interval(cell, 0.9))
steps = explain(predictor, cell)  # the best change first
print(contributions(cell, steps), steps[:{_CHANGES}])"""


def _shell(space: str) -> str:
    if f"{space}-accuracy" in predictor_names():
        return parts.command("cate", "export", f"{space}-accuracy", "predictor") + "  # then the Python, on this folder"
    words = ("--space", space, "--train-size", str(shared.LABELS), "--members", "0", "--output-dir", "predictor")
    return parts.command("cate", "finetune", *words) + "  # then load_predictor"


def tab(gr: Any, inputs: list, read: Any) -> None:
    """The tab; `read` makes a `Given` of the values of `inputs`."""
    button = gr.Button("Predict and explain", variant="primary", elem_id="predict-go")
    message = gr.HTML(elem_id="predict-problem")
    shown = gr.HTML(elem_id="predict-shown")
    python, shell = parts.reproduce(gr)
    parts.on_click(
        button, parts.guarded(lambda *values: predict(read(*values)), 3), inputs, [message, shown, python, shell]
    )
