"""The tab of searches that race on published results: curves of regret while they run."""

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cate_hf.app import _parts as parts
from cate_hf.app import _shared as shared
from cate_hf.experiments.settings import NO_ENCODING, CompareSettings
from cate_hf.search import parse_algorithm
from cate_hf.search.evaluation import Evaluation

ALGORITHMS = (
    *("random", "regularized-evolution", "local-search", "bo-gp", "bo-dngo", "cate-dngo-ls", "mlp-predictor"),
    *("bananas", "cate-predictor"),
)
MOST_ARMS, MOST_QUERIES, MOST_TRIALS = 6, 150, 5
_SECONDS = 0.7  # between pictures
_COLOURS = ("#1b6ca8", "#d1495b", "#5b8c5a", "#8d5a97", "#c98a1b", "#3aa6a6")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


class Racer(NamedTuple):
    """One trial of one arm.

    Attributes:
        algorithm, encoding, seed: of it; optimizer: the search.
        regrets: after each query, the distance to the best possible; hashes, values: of the queries.
    """

    algorithm: str
    encoding: str
    seed: int
    optimizer: Any
    regrets: list[float]
    hashes: list[str]
    values: list[float]

    @property
    def arm(self) -> str:
        """Its name in the picture."""
        return self.algorithm if self.encoding == NO_ENCODING else f"{self.algorithm}, {self.encoding}"


def settings_of(
    space: str, encodings: Sequence[str], algorithms: Sequence[str], queries: float, trials: float, seed: float
) -> CompareSettings:
    """The comparison that was asked for.

    Raises:
        ValueError: nothing to compare, more than the app runs, or a name that is not offered.
    """
    if shared.results_of(space) is None:
        raise ValueError(f"no results of {space} come with the package; `cate compare` takes a file of yours")
    if not algorithms:
        raise ValueError("choose at least one search algorithm")
    for name in algorithms:
        if name not in ALGORITHMS:
            raise ValueError(f"{name!r} is not one of {', '.join(ALGORITHMS)}")
    for name in encodings:
        shared.check_encoding(space, name)
    for what, number, most in (("queries", queries, MOST_QUERIES), ("trials", trials, MOST_TRIALS)):
        if not 1 <= int(number) <= most:
            raise ValueError(f"{what} must be 1 to {most}, not {number}")
    if not any(parse_algorithm(name)[2] for name in algorithms):
        encodings = encodings or ["cate"]  # not looked at by any of them
    chosen = CompareSettings(
        space, None, tuple(encodings), tuple(algorithms), int(queries), int(trials), max(int(seed), 0)
    )
    if len(chosen.arms()) > MOST_ARMS:
        raise ValueError(f"{len(chosen.arms())} searches; at most {MOST_ARMS} race at a time. Choose fewer")
    return chosen


def race(settings: CompareSettings, stop: Callable[[], bool] = lambda: False) -> Iterator[list[Racer]]:
    """Run all trials of all arms side by side, a query each in turn; yield them after every round. They are the same as
    those of `cate compare`.
    """
    benchmark = shared.results_of(settings.space)
    assert benchmark is not None
    evaluation = Evaluation(benchmark, shared.bounded_pool(settings.space))
    best, hashes = evaluation.best_possible, evaluation.candidates.columns["hash"]
    assert best is not None
    racers = []
    for algorithm, encoding in settings.arms():
        made, named, looks = parse_algorithm(algorithm)
        for seed in range(settings.seed, settings.seed + settings.trials):
            vectors = shared.encoded(settings.space, encoding) if looks else None
            optimizer = made(benchmark.space, evaluation.candidates, seed, vectors, None, **named)
            racers.append(Racer(algorithm, encoding, seed, optimizer, [], [], []))
    yield racers
    for _ in range(settings.queries):
        for racer in racers:
            if stop():
                return
            (row,) = racer.optimizer.ask_rows(1)
            value = float(evaluation.guide([row])[0])
            racer.optimizer.tell_row(row, value)
            racer.regrets.append(min(best - value, racer.regrets[-1] if racer.regrets else np.inf))
            racer.hashes.append(str(hashes[row]))
            racer.values.append(value)
        yield racers


def by_arm(racers: list[Racer]) -> dict[str, np.ndarray]:
    """Arm -> (trials, queries) regret, as far as all its trials are."""
    found: dict[str, list[list[float]]] = {}
    for racer in racers:
        found.setdefault(racer.arm, []).append(racer.regrets)
    return {arm: np.array([c[: min(map(len, curves))] for c in curves]) for arm, curves in found.items()}


def curves(racers: list[Racer], queries: int) -> dict[str, Any]:
    """A figure of plotly's, as its JSON has it: mean regret in points of accuracy by number of queries."""
    traces = []
    for i, (arm, regrets) in enumerate(by_arm(racers).items()):
        mean = 100 * regrets.mean(axis=0) if regrets.size else np.empty(0)
        line = {"color": _COLOURS[i % len(_COLOURS)], "dash": _DASHES[i % len(_DASHES)], "width": 2}
        xs = list(range(1, len(mean) + 1))
        # The best architecture itself has no place on an axis of logarithms.
        ys = np.maximum(mean, 1e-3).round(4).tolist()
        traces.append({"type": "scatter", "mode": "lines", "name": arm, "x": xs, "y": ys, "line": line})
    layout = {
        "height": 430,
        "margin": {"l": 60, "r": 10, "t": 10, "b": 45},
        "xaxis": {"title": {"text": "architectures queried"}, "range": [0, queries + 1]},
        "yaxis": {"title": {"text": "regret, points of accuracy"}, "type": "log", "tickformat": "~g", "dtick": "D2"},
        "legend": {"orientation": "h", "y": -0.2},
    }
    return {"data": traces, "layout": layout, "config": {"displaylogo": False}}


def standings(racers: list[Racer]) -> str:
    """HTML of a table: each arm's mean regret after as many queries as there are, and the best that it found."""
    rows = []
    found = by_arm(racers)
    for arm, regrets in found.items():
        if not regrets.size:
            continue
        last = 100 * regrets[:, -1]
        error = f" ± {last.std(ddof=1) / len(last) ** 0.5:.3f}" if len(last) > 1 else ""
        best = max(max(racer.values) for racer in racers if racer.arm == arm)
        rows.append((last.mean(), (arm, str(regrets.shape[1]), f"{last.mean():.3f}{error}", f"{100 * best:.2f} %")))
    rows.sort(key=lambda row: row[0])
    return parts.table([row for _, row in rows], ("search", "queries", "mean regret, points", "best found"))


def as_csv(racers: list[Racer]) -> str:
    """All queries of all trials as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("algorithm", "encoding", "seed", "query", "hash", "value", "regret"))
    for racer in racers:
        for query, (name, value, regret) in enumerate(zip(racer.hashes, racer.values, racer.regrets, strict=True), 1):
            encoding = "" if racer.encoding == NO_ENCODING else racer.encoding
            writer.writerow((racer.algorithm, encoding, racer.seed, query, name, value, regret))
    return buffer.getvalue()


def _python(settings: CompareSettings) -> str:
    chosen = {
        name: getattr(settings, name) for name in ("space", "encodings", "algorithms", "queries", "trials", "seed")
    }
    reference = ",".join(settings.arms()[-1])  # that the p-values of the table compare with
    arguments = ", ".join(f"{name}={value!r}" for name, value in chosen.items())
    return f"""from pathlib import Path
from cate_hf.experiments.grid import run_grid
from cate_hf.experiments.report import write_report
from cate_hf.experiments.settings import CompareSettings

settings = CompareSettings({arguments})
facts = run_grid(Path("comparison"), settings)
print(write_report(Path("comparison"), facts, facts["settings"], "by hand", "{reference}"))"""


def _shell(settings: CompareSettings) -> str:
    lists = [("--encodings", ",".join(settings.encodings)), ("--algorithms", ",".join(settings.algorithms))]
    numbers = [("--queries", settings.queries), ("--trials", settings.trials), ("--seed", settings.seed)]
    words = [str(word) for pair in (*lists, *numbers) for word in pair]
    return parts.command("cate", "compare", "--space", settings.space, *words, "--output", "comparison")


def tab(gr: Any) -> None:
    """The tab."""
    space = shared.known_spaces()[0]
    gr.HTML(
        parts.remark(
            f"Searches look for the best of {space} by its published results; no network is trained. Regret is how far "
            "the best that was found is from the best that there is."
        )
    )
    encodings = gr.CheckboxGroup(shared.choices(space), value=["cate", "adjacency"], label="Encodings")
    algorithms = gr.CheckboxGroup(
        list(ALGORITHMS),
        value=["random", "cate-dngo-ls"],
        label="Search algorithms",
        info="random, evolution and local search look at no encoding",
    )
    with gr.Row():
        queries = gr.Slider(10, MOST_QUERIES, value=60, step=10, label="Queries in each trial")
        trials = gr.Slider(1, MOST_TRIALS, value=3, step=1, label="Trials")
        seed = gr.Number(0, label="First seed", precision=0, minimum=0)
    with gr.Row():
        start = gr.Button("Start the race", variant="primary", elem_id="race-go")
        stop = gr.Button("Stop", variant="stop", elem_id="race-stop")
    message = gr.HTML(elem_id="race-problem")
    plot = gr.Plot(show_label=False, elem_id="race-plot")
    table = gr.HTML(elem_id="race-table")
    python, shell = parts.reproduce(gr)
    stopped: set[str] = set()  # sessions that asked for it

    def run(encodings: list, algorithms: list, queries: float, trials: float, seed: float, request: gr.Request) -> Any:
        session = str(request.session_hash)
        stopped.discard(session)
        try:
            settings = settings_of(space, encodings, algorithms, queries, trials, seed or 0)
            texts = parts.code("python", _python(settings)), parts.code("bash", _shell(settings))
            racers: list[Racer] = []
            shown = -np.inf
            yield [parts.remark("Getting ready: encoding the space …"), None, "", *texts]
            for racers in race(settings, lambda: session in stopped):
                if time.monotonic() - shown > _SECONDS:
                    shown = time.monotonic()
                    yield ["", parts.plotly(curves(racers, settings.queries)), standings(racers), gr.skip(), gr.skip()]
            link = parts.download("race.csv", as_csv(racers), "Download all queries (CSV)")
            said = parts.remark("Stopped.") if session in stopped else ""
            yield [said, parts.plotly(curves(racers, settings.queries)), standings(racers) + link, gr.skip(), gr.skip()]
        except Exception as error:
            yield [parts.problem(parts.message_of(error)), None, "", None, None]
        finally:
            stopped.discard(session)

    run.__annotations__ = {"request": gr.Request}
    inputs = [encodings, algorithms, queries, trials, seed]
    parts.on_click(start, run, inputs, [message, plot, table, python, shell], concurrency_limit=2)

    def ask_to_stop(request: gr.Request) -> None:
        stopped.add(str(request.session_hash))

    ask_to_stop.__annotations__ = {"request": gr.Request}
    parts.on_click(stop, ask_to_stop, [], [], queue=False)
