"""The tab of the nearest architectures in an encoding."""

from typing import Any

import numpy as np

from cate_hf.app import _parts as parts
from cate_hf.app import _shared as shared
from cate_hf.app._reading import Given, single_cell
from cate_hf.encodings.neighbours import neighbours_in
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import get_space

MOST = 12


def nearest(given: Given, encoding: str, k: int) -> tuple[str, str, str]:
    """HTML of the k architectures nearest to one, and the Python and the command line that find the same."""
    cell, said = single_cell(given)
    assert given.space is not None
    shared.check_encoding(given.space, encoding)
    space = get_space(given.space)
    query = space.with_costs(space.table([space.validate(cell)]))
    table = shared.bounded_pool(given.space)
    vector = shared.encode(given.space, encoding, query)[0]
    found = neighbours_in(space, table, shared.encoded(given.space, encoding), query, vector, min(max(int(k), 1), MOST))
    whole = space.size is not None and len(table) == len(space.pool())
    among = f"all {len(table):,} architectures" if whole else f"{len(table):,} architectures at random"
    note = f"Among {among} of {space.name}. {said}".strip()
    return (
        parts.remark(note) + _cards(given.space, query, found.found),
        _python(given, encoding, k),
        _shell(given, encoding, k),
    )


def _cards(space: str, query: ArchitectureTable, found: ArchitectureTable) -> str:
    cards = []
    for table, own in ((query, True), (found, False)):
        known = shared.accuracies(space, table)
        for row in range(len(table)):
            column = {name: values[row] for name, values in table.columns.items()}
            lines = [] if own else [("distance", f"{column['distance']:.3f}")]
            if not own and "edit_distance" in column:
                lines.append(("edit distance", str(column["edit_distance"])))
            lines += [(parts.in_words(name), f"{column[name]:,}") for name in get_space(space).cost_names]
            if known is not None and not np.isnan(known[row]):
                lines.append(("accuracy", f"{100 * known[row]:.2f} %"))
            title = "yours" if own else f"{row + 1}"
            text = "".join(f"<tr><td>{name}</td><td class='num'>{value}</td></tr>" for name, value in lines)
            hash_line = f'<code title="hash">{column["hash"]}</code>'
            cards.append(
                f'<div class="cate-card{" own" if own else ""}"><b>{title}</b>{parts.picture(table[row])}'
                f"<table>{text}</table>{hash_line}</div>"
            )
    return f'{parts.legend(parts.inner(get_space(space)))}<div class="cate-cards">{"".join(cards)}</div>'


def _python(given: Given, encoding: str, k: int) -> str:
    cell = given.python if "" in given.cells else f"{given.python}.normal"
    sample = "" if get_space(given.space or "").size is not None else ".sample(10_000, seed=0)"
    return f"""from cate_hf import get_encoding, get_space
from cate_hf.encodings.neighbours import neighbours_in
{"from cate_hf.graphs import read_architecture" if "read_architecture" in cell else ""}
space = get_space("{given.space}")
cell = {cell}
query = space.with_costs(space.table([cell]))
table = space.with_costs(space{sample or ".pool()"})
encoding = get_encoding("{encoding}", space)
found = neighbours_in(space, table, encoding.transform(table), query, encoding.transform(query)[0], {k})
print(found.found.columns)"""


def _shell(given: Given, encoding: str, k: int) -> str:
    cell = given.cells.get("", given.cells.get("normal"))
    assert cell is not None
    if encoding != "cate":
        return "# cate neighbours takes checkpoints; for other encodings see the Python"
    first = parts.command("echo", cell.to_json()) + " > cell.jsonl"
    words = ("--model", given.space or "", "--input", "cell.jsonl", "-k", str(k))
    return f"{first}\n{parts.command('cate', 'neighbours', *words)}  # of the whole space"


def tab(gr: Any, inputs: list, read: Any) -> None:
    """The tab; `read` makes a `Given` of the values of `inputs`."""
    with gr.Row():
        encoding = gr.Dropdown(shared.choices(), value="cate", label="Encoding", elem_id="near-encoding")
        k = gr.Slider(1, MOST, value=5, step=1, label="How many")
    button = gr.Button("Find the nearest", variant="primary", elem_id="near-go")
    message = gr.HTML(elem_id="near-problem")
    shown = gr.HTML(elem_id="near-shown")
    python, shell = parts.reproduce(gr)
    handler = parts.guarded(lambda encoding, k, *values: nearest(read(*values), encoding, k), 3)
    parts.on_click(button, handler, [encoding, k, *inputs], [message, shown, python, shell])
