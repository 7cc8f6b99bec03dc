"""The tab of a space in two dimensions."""

from typing import Any

import numpy as np

from cate_hf.app import _parts as parts
from cate_hf.app import _shared as shared
from cate_hf.app._reading import Given, single_cell
from cate_hf.experiments.maps import principal_map
from cate_hf.spaces import get_space

ACCURACY = "accuracy"
_COLOURS = ("parameters", "flops", ACCURACY)


def space_map(space_name: str, encoding: str, colour: str, given: Given | None = None) -> tuple[dict[str, Any], str]:
    """A figure of plotly's, as its JSON has it, of a space's encodings, and a remark.

    Args:
        space_name: of the space.
        encoding: by which architectures lie near each other.
        colour: a cost, or `ACCURACY`.
        given: an architecture of the space to mark.

    Raises:
        ValueError: the space has no such encoding, cost or results.
    """
    space, table = get_space(space_name), shared.bounded_pool(space_name)
    shared.check_encoding(space_name, encoding)
    known = shared.accuracies(space_name, table)
    if colour == ACCURACY and known is None:
        raise ValueError(
            f"no accuracies come with the package for {space_name}; colour by {' or '.join(space.cost_names)}"
        )
    if colour != ACCURACY and colour not in space.cost_names:
        raise ValueError(f"{space_name} has no {colour}; it has {', '.join(space.cost_names)}")
    vectors, marked, said = shared.encoded(space_name, encoding), None, ""
    if given is not None:
        cell, said = single_cell(given)
        marked = space.with_costs(space.table([space.validate(cell)]))
        vectors = np.vstack([vectors, shared.encode(space_name, encoding, marked)])
    points, share = principal_map(vectors.astype(np.float64))
    values = known if colour == ACCURACY and known is not None else table.columns[colour].astype(np.float64)
    label = parts.in_words(colour)
    texts = [f"{h}<br>{_numbers(space.cost_names, table.columns, i)}" for i, h in enumerate(table.columns["hash"])]
    if known is not None:
        texts = [f"{text}<br>accuracy {100 * value:.2f} %" for text, value in zip(texts, known, strict=True)]
    low, high = np.quantile(values, [0.02, 0.98])
    scale = 100 if colour == ACCURACY else 1
    order = np.random.default_rng(0).permutation(len(table))  # so that no colour lies on top
    dots = {
        "type": "scattergl",
        "mode": "markers",
        "x": points[order, 0].round(4).tolist(),
        "y": points[order, 1].round(4).tolist(),
        "text": [texts[i] for i in order],
        "hoverinfo": "text",
        "marker": {
            "size": 4,
            "color": (scale * values[order]).round(4).tolist(),
            "cmin": scale * low,
            "cmax": scale * high,
            "colorscale": "Viridis",
            "colorbar": {
                "title": {"text": f"{label}, %" if colour == ACCURACY else label, "side": "right"},
                "thickness": 12,
            },
        },
    }
    traces: list[dict[str, Any]] = [dots]
    if marked is not None:
        star = {"size": 16, "symbol": "star", "color": "#e4002b", "line": {"width": 1.5, "color": "white"}}
        text = f"yours: {_numbers(space.cost_names, marked.columns, 0)}"
        ends = {"x": [float(points[-1, 0])], "y": [float(points[-1, 1])], "text": [text], "hoverinfo": "text"}
        traces.append({"type": "scattergl", "mode": "markers", "marker": star, **ends})
    axis = {"showticklabels": False, "zeroline": False, "showgrid": False, "title": {"text": ""}}
    layout = {
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "height": 520,
        "showlegend": False,
        "xaxis": axis,
        "yaxis": axis,
        "hovermode": "closest",
        "dragmode": "pan",
    }
    kind = "all" if space.size is not None and len(table) < shared.SAMPLE else "a sample of"
    note = (
        f"{kind} {len(table):,} architectures of {space_name}; two main directions of {vectors.shape[1]} numbers, "
        f"{100 * share:.0f} % of their variance. Scroll or pinch to zoom, drag to move, hover for the hash. {said}"
    )
    return {"data": traces, "layout": layout, "config": {"scrollZoom": True, "displaylogo": False}}, (
        note[0].upper() + note[1:]
    ).strip()


def _numbers(costs: tuple[str, ...], columns: Any, row: int) -> str:
    return ", ".join(f"{columns[name][row]:,} {parts.in_words(name)}" for name in costs)


def _python(space: str, encoding: str) -> str:
    listed = get_space(space).size is not None
    return f"""from cate_hf import get_encoding, get_space
from cate_hf.experiments.maps import principal_map

space = get_space("{space}")
table = space.{"pool()" if listed else "sample(10_000, seed=0)"}
vectors = get_encoding("{encoding}", space).transform(table)
points, share = principal_map(vectors.astype(float))  # (N, 2)"""


def _shell(space: str, encoding: str) -> str:
    own = [] if shared.results_of(space) is not None else ["--benchmark", "results.parquet"]  # a file of the user's
    return parts.command("cate", "evaluate", "--space", space, *own, "--encodings", encoding, "--output", "maps")


def tab(gr: Any, inputs: list, read: Any, spaces: list[str]) -> None:
    """The tab; `read` makes a `Given` of the values of `inputs`."""
    with gr.Row():
        space = gr.Dropdown(spaces, value=spaces[0], label="Space", elem_id="map-space")
        encoding = gr.Dropdown(shared.choices(), value="cate", label="Encoding")
        colour = gr.Dropdown(
            [(parts.in_words(name), name) for name in _COLOURS],
            value=ACCURACY,
            label="Colour",
        )
    button = gr.Button("Draw the map", variant="primary", elem_id="map-go")
    message = gr.HTML(elem_id="map-problem")
    note = gr.HTML(elem_id="map-note")
    plot = gr.Plot(show_label=False, elem_id="map-plot")
    python, shell = parts.reproduce(gr)

    def drawn(space: str, encoding: str, colour: str, *values: Any) -> tuple[Any, ...]:
        given, said = None, ""
        if values[0] or values[2]:
            try:
                found = read(*values)
            except ValueError as error:
                said = f" Your architecture is not marked: {error}"
            else:
                given = found if found.space == space else None
                said = "" if given else f" Your architecture is of {found.space or 'no known space'} and not marked."
        figure, note = space_map(space, encoding, colour, given)
        return parts.remark(note + said), parts.plotly(figure), _python(space, encoding), _shell(space, encoding)

    handler = parts.guarded(drawn, 4)
    parts.on_click(button, handler, [space, encoding, colour, *inputs], [message, note, plot, python, shell])
