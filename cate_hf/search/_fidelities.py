"""Searches on a benchmark by successive halving: cheap measurements first, the budget in full ones."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.search.halving import SuccessiveHalving

if TYPE_CHECKING:
    from cate_hf.search.base import Optimizer
    from cate_hf.search.evaluation import Evaluation


def measure_by_halving(
    optimizer: "Optimizer", evaluation: "Evaluation", queries: int, fidelities: Mapping[str, float]
) -> tuple[list[int], list[float], np.ndarray, list[dict]]:
    """Measure until the cost of so many full measurements is spent.

    Returns:
        rows and values of the n measurements; the position (queries,) of the best one after the cost of each full
        measurement; of each measurement its fidelity and cost.
    """
    halving = SuccessiveHalving(optimizer, fidelities)
    full = halving.costs[-1]
    rows: list[int] = []
    values: list[float] = []
    about: list[dict] = []
    position: dict[tuple[int, int], int] = {}
    leading, known = np.zeros(queries, dtype=np.intp), False
    while halving.unfinished():
        row, level = halving.ask_row()
        if halving.spent + halving.costs[level] > queries * full:
            break
        value = float(evaluation.at(level, [row], optimizer.candidates)[0])
        halving.tell_row(row, level, value)
        position[row, level] = len(rows)
        rows.append(row)
        values.append(value)
        about.append({"fidelity": halving.names[level], "cost": halving.costs[level]})
        after = -int(-halving.spent // full)  # the first whole number of full measurements that covers it
        known = known or not np.isnan(value)
        if known:
            leading[after - 1 :] = position[halving.best_row()]
    return rows, values, leading, about
