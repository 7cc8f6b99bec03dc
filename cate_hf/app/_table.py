"""The tab of results of one's own: a predictor from a table, and what to train next."""

import csv
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cate_hf.app import _parts as parts
from cate_hf.app import _shared as shared
from cate_hf.benchmarks.table.table_benchmark import TableBenchmark
from cate_hf.graphs._columns import TABLE_SUFFIXES, read_columns
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.hub._layout import checkpoint_names
from cate_hf.predictor import fit_predictor
from cate_hf.predictor.model import Predictor
from cate_hf.predictor.report import report
from cate_hf.spaces import Space, get_space
from cate_hf.spaces.custom import CustomSpace
from cate_hf.spaces.sampling import sample_unique

OWN = "one of my own (YAML below)"
MOST_BYTES, MOST_ROWS, MOST_LABELS, MOST_NODES, MOST_YAML = 5_000_000, 20_000, 300, 24, 20_000
_CANDIDATES, _SHOWN, _MOST_TESTED = 2_000, 5, 1_000


class Fitted(NamedTuple):
    """A predictor of somebody's results, and what it says.

    Attributes:
        results: the table; field: its column that is predicted.
        predictor: fitted to `labels` of its rows; tau: Kendall's of the rows that were left out, None without such.
        next: architectures that are not in the table, the best prediction first, with columns predicted and deviation.
        remarks: on how the file was understood.
    """

    results: TableBenchmark
    field: str
    predictor: Predictor
    labels: int
    tau: float | None
    next: ArchitectureTable
    remarks: list[str]


def own_space(text: str) -> Space:
    """A search space from YAML text; it is not registered, so that no other session sees it.

    Raises:
        ValueError: not the description of a space, or a larger one than the app takes.
    """
    if not (text or "").strip():
        raise ValueError("paste the YAML of your search space, or choose one of the known ones")
    if len(text) > MOST_YAML:
        raise ValueError(f"YAML of {len(text):,} characters; at most {MOST_YAML:,} are read here")
    space = CustomSpace.from_definition(text)
    if space.max_nodes > MOST_NODES:
        raise ValueError(f"{space.name}: up to {space.max_nodes} nodes; at most {MOST_NODES} are taken here")
    return space


def read_table(path: str | os.PathLike, space: Space) -> tuple[TableBenchmark, list[str]]:
    """A user's table within the bounds, and remarks on it. Errors name the file without its folder.

    Raises:
        ValueError: too large, or not a table of architectures of the space and numbers.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise ValueError(f"{path.name}: expected a file ending in {', '.join(TABLE_SUFFIXES)}")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"{path.name}: {size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are read here")
    try:
        columns = read_columns(path).table
        if len(columns) > MOST_ROWS:
            raise ValueError(f"{path.name}: {len(columns):,} rows; at most {MOST_ROWS:,} are read here")
        if isinstance(space, CustomSpace) and not {"architecture", "adjacency", "module_adjacency"} & {
            *columns.column_names
        }:
            raise ValueError(
                f"{path.name}: no column adjacency or architecture; of a space of your own, hashes are not enough"
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results = TableBenchmark(path, space, progress=False)
    except (ValueError, OSError) as error:
        raise ValueError(_without_folder(str(error), path)) from None
    said = [results.understood, *(str(warning.message) for warning in caught)]
    return results, [_without_folder(text, path) for text in said if text]


def _without_folder(text: str, path: Path) -> str:
    return text.replace(f"{path.parent}{os.sep}", "")


def candidates(space: Space) -> ArchitectureTable:
    """Architectures of a space to choose from, with columns hash and the costs."""
    if isinstance(space, CustomSpace):  # nothing of it goes to the cache
        drawn = sample_unique(space, _CANDIDATES, np.random.default_rng(0), fewer=True)
        return space.with_costs(drawn.replace_columns({}))
    pool = shared.bounded_pool(space.name)
    return pool[np.sort(np.random.default_rng(1).permutation(len(pool))[:_CANDIDATES])]


def fit_to_table(results: TableBenchmark, field: str | None, k: int, remarks: list[str]) -> Fitted:
    """Fit a predictor to some of a table's rows, measure it on the others, and rank what is not in the table.

    Raises:
        ValueError: no such field, or too few labels.
    """
    space, name = results.space, (field or "").strip() or results.default_field
    table = results.candidates()
    values = results.query_many(table, name, missing="nan")
    order = np.random.default_rng(0).permutation(np.flatnonzero(~np.isnan(values)))
    trained, tested = np.sort(order[:MOST_LABELS]), order[MOST_LABELS : MOST_LABELS + _MOST_TESTED]
    bare = table.replace_columns({})
    encoder = space.name if space.name in checkpoint_names() and not isinstance(space, CustomSpace) else None
    predictor = fit_predictor(
        bare[trained], {name: values[trained]}, encoder=encoder, space=space, seed=0, **shared.FIT
    )
    tau = None
    if len(tested) >= 2:
        tau = report(predictor, bare[tested], {name: values[tested]})[name]["kendall_tau"]
    others = candidates(space)
    others = others[~np.isin(others.columns["hash"], table.columns["hash"])]
    if not len(others):
        raise ValueError(
            f"{space.name}: the table has every architecture that was drawn; there is nothing to train next"
        )
    best = predictor.top_k(min(max(int(k), 1), len(others)), others)
    if len(order) > MOST_LABELS:
        remarks = [*remarks, f"fitted to {MOST_LABELS} of {len(order):,} rows, at random, so that you need not wait"]
    return Fitted(results, name, predictor, len(trained), tau, best, remarks)


def summary(fitted: Fitted) -> str:
    """HTML of what was read, how good the predictor is, and what to train next."""
    results, found = fitted.results, fitted.predictor.report()[fitted.field]
    rows = [
        ("read", f"{len(results):,} architectures of {results.space.name}; {', '.join(results.fields)}"),
        ("predicted", fitted.field),
        ("fitted to", f"{fitted.labels} labels"),
    ]
    if fitted.tau is not None:
        rows.append(("Kendall τ", f"{fitted.tau:.3f}, on rows that it was not fitted to"))
    else:
        held_out = found["parts"][found["carried_by"]]["kendall_tau"]
        if held_out is not None:
            rows.append(("Kendall τ", f"{held_out:.3f}, of its strongest part, on labels held out in turn"))
    rows.append(("carried by", found["parts"][found["carried_by"]]["what"]))
    pieces = [
        *map(parts.remark, fitted.remarks),
        parts.table(rows),
        "<b>What to train next, the best prediction first</b>",
    ]
    pieces.append(parts.legend(parts.inner(results.space)))
    cards = []
    columns = fitted.next.columns
    for row in range(min(_SHOWN, len(fitted.next))):
        text = [(fitted.field, f"{columns['predicted'][row]:.4g} ± {columns['deviation'][row]:.2g}")]
        text += [(parts.in_words(name), f"{columns[name][row]:,}") for name in results.space.cost_names]
        cards.append(f'<div class="cate-card">{parts.picture(fitted.next[row])}{parts.table(text)}</div>')
    pieces.append(f'<div class="cate-cards">{"".join(cards)}</div>')
    pieces.append(parts.download("train_next.csv", as_csv(fitted.next), f"Download all {len(fitted.next)} (CSV)"))
    return "".join(pieces)


def as_csv(table: ArchitectureTable) -> str:
    """Architectures with their columns as CSV, operations and adjacency as JSON: what `load_benchmark` reads."""
    import json

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((*table.columns, "operations", "adjacency"))
    for row, architecture in enumerate(table):
        graph = architecture.to_dict()
        numbers = [values[row] for values in table.columns.values()]
        writer.writerow((*numbers, json.dumps(graph["operations"]), json.dumps(graph["adjacency"])))
    return buffer.getvalue()


def _python(fitted: Fitted, k: int) -> str:
    space = fitted.results.space
    own = isinstance(space, CustomSpace)
    name = "my_space.yaml" if own else space.name
    options = f'encoder="{name}"' if not own and name in checkpoint_names() else f'space="{name}"'
    return f"""from cate_hf import fit_predictor, load_benchmark
results = load_benchmark("{fitted.results.name}", space="{name}")
trained, labels = results.candidates(), results.query_many(results.candidates(), "{fitted.field}")
predictor = fit_predictor(trained, labels, {options}, members=0, wiring=False)  # without these: better, in minutes
print(predictor.top_k({k}).columns)  # of the whole space"""


def _shell(fitted: Fitted) -> str:
    own = isinstance(fitted.results.space, CustomSpace)
    words = [
        "--space",
        "my_space.yaml" if own else fitted.results.space.name,
        "--table",
        f"table={fitted.results.name}",
    ]
    words += ["--field", fitted.field, "--train-size", str(min(fitted.labels, max(len(fitted.results) - 2, 1)))]
    return parts.command("cate", "finetune", *words, "--members", "0", "--output-dir", "predictor")


def tab(gr: Any, spaces: list[str]) -> None:
    """The tab."""
    gr.HTML(
        parts.remark(
            f"A table of architectures you trained (CSV, JSON or Parquet; up to {MOST_BYTES / 1e6:.0f} MB and "
            f"{MOST_ROWS:,} rows): columns operations and adjacency, or architecture (a notation of the space), or "
            "hash; and numbers, such as accuracy. It is read for you alone, and removed after an hour."
        )
    )
    with gr.Row():
        upload = gr.File(label="Your table", file_types=list(TABLE_SUFFIXES), elem_id="table-file", height=170)
        with gr.Column():
            space = gr.Dropdown([*spaces, OWN], value=spaces[0], label="Search space", elem_id="table-space")
            field = gr.Textbox(label="Column to predict", placeholder="the table's accuracy", max_lines=1)
            k = gr.Slider(5, 100, value=20, step=5, label="How many to train next")
    yaml = gr.Code(language="yaml", label="YAML of your space", value=_YAML, visible=False, elem_id="table-yaml")
    space.change(lambda name: gr.update(visible=name == OWN), space, yaml, api_visibility="private")
    button = gr.Button("Fit a predictor", variant="primary", elem_id="table-go")
    message = gr.HTML(elem_id="table-problem")
    shown = gr.HTML(elem_id="table-shown")
    python, shell = parts.reproduce(gr)

    def run(path: str | None, name: str, text: str, field: str, k: float) -> Iterator[list[Any]]:
        try:
            if path is None:
                raise ValueError("upload a table first")
            known = own_space(text) if name == OWN else get_space(name)
            yield [parts.remark("Reading the table …"), None, None, None]
            results, remarks = read_table(path, known)
            yield [
                parts.remark(f"Fitting to {min(len(results), MOST_LABELS)} labels; some seconds …"),
                None,
                None,
                None,
            ]
            fitted = fit_to_table(results, field, int(k), remarks)
            texts = parts.code("python", _python(fitted, int(k))), parts.code("bash", _shell(fitted))
            yield ["", summary(fitted), *texts]
        except Exception as error:
            yield [parts.problem(parts.message_of(error)), None, None, None]

    inputs = [upload, space, yaml, field, k]
    parts.on_click(button, run, inputs, [message, shown, python, shell], concurrency_limit=2)


_YAML = """name: my-space
operations: {conv3x3: {parameters: 36864}, conv1x1: {parameters: 4096}, pool: {parameters: 0}}
nodes: [3, 8]
edges: [2, 12]
in_degree: [1, 3]
"""
