"""A search with real evaluations: ask, evaluate, tell, until a budget is spent."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.search.base import Optimizer

__all__ = ["run"]


def check_budget(budget: int, candidates: int | None, name: str = "the budget") -> None:
    """Raise ValueError for a budget that no search of so many candidates (None: not known) can spend."""
    if budget < 1 or (candidates is not None and budget > candidates):
        most = "at least 1" if candidates is None else f"1 to {candidates}, the number of candidates"
        raise ValueError(f"{name} must be {most}, not {budget}")


def run(
    optimizer: "Optimizer",
    evaluate: "Callable[[Architecture], float]",
    budget: int,
    batch: int = 1,
    failures: tuple[type[Exception], ...] = (),
    on_result: "Callable[[Architecture, float], None] | None" = None,
    stop: Callable[[], bool] | None = None,
) -> None:
    """Evaluate until `budget` candidates have been told, those of earlier runs included.

    What was asked for and not told, before an interruption, is evaluated first. With a journal
    (`Journal(optimizer, folder)`) nothing is evaluated again whose value was told, however the process ended.

    Args:
        optimizer: the search.
        evaluate: the value of an architecture, higher is better; NaN says that the evaluation failed.
        budget: candidates to be told in all.
        batch: how many are asked for at a time.
        failures: exceptions of `evaluate` that count as a failed evaluation; others end the run.
        on_result: called after each tell.
        stop: asked before each evaluation whether to end before the budget is spent.

    Raises:
        ValueError: the budget is below 1 or above the number of candidates.
    """
    check_budget(budget, len(optimizer.candidates))
    waiting = optimizer.pending()
    while len(optimizer.rows) < budget and not (stop and stop()):
        if not waiting:
            waiting = optimizer.ask(min(batch, budget - len(optimizer.rows)))
        architecture = waiting.pop(0)
        try:
            value = evaluate(architecture)
        except failures:
            value = float("nan")
        optimizer.tell(architecture, value)
        if on_result:
            on_result(architecture, value)
