"""Pieces of the page that several tabs have: messages, pictures, numbers, and how to do the same without the page."""

import base64
import html
import io
import json
import logging
import re
import shlex
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from cate_hf.core._names import one_line
from cate_hf.graphs.drawing import draw, operation_colour

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.spaces import Space


_LOG = logging.getLogger(__name__)
_DRAWING = threading.Lock()  # matplotlib's caches of fonts are not made for several threads
_MOST_DRAWN = 80  # nodes


def problem(message: str) -> str:
    """HTML of one line that says what was wrong."""
    return f'<p class="cate-problem" role="alert">{html.escape(message)}</p>' if message else ""


def remark(message: str) -> str:
    """HTML of a plain line."""
    return f'<p class="cate-remark">{html.escape(message)}</p>' if message else ""


def guarded(function: Callable[..., Sequence[Any]], outputs: int) -> Callable[..., list[Any]]:
    """A handler of an event: what `function` returns, its last two as code in Python and for a shell, with an empty
    message before it; or the message of what was wrong and `outputs` times None.
    """

    def handler(*values: Any) -> list[Any]:
        try:
            *shown, python, shell = function(*values)
            return ["", *shown, code("python", python), code("bash", shell)]
        except Exception as error:
            return [problem(message_of(error)), *[None] * outputs]

    return handler


def message_of(error: Exception) -> str:
    """What a user is told: the library's own words, or that it was not the user's fault."""
    if isinstance(error, ValueError | OSError):
        return one_line(error)
    _LOG.exception("the app could not answer", exc_info=error)
    return f"this could not be computed ({type(error).__name__}); the server's log says more"


def picture(architecture: "Architecture", label: str = "") -> str:
    """HTML of a drawing, an SVG within an <img>, in which nothing can run."""
    if architecture.num_nodes > _MOST_DRAWN:
        return remark(f"{architecture.num_nodes} nodes; up to {_MOST_DRAWN} are drawn here")
    buffer = io.BytesIO()
    with _DRAWING:
        figure: Any = draw(architecture).figure
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        width = figure.get_size_inches()[0]
    source = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(label or f"drawing of {architecture.num_nodes} nodes and {architecture.num_edges} edges")
    style = f"width:100%;max-width:{96 * width:.0f}px"
    return (
        f'<div class="cate-drawing"><img alt="{text}" style="{style}" src="data:image/svg+xml;base64,{source}"></div>'
    )


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """HTML of a table of text."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="cate-table"><table>{f"<tr>{top}</tr>" if top else ""}{body}</table></div>'


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """HTML of bars to the right (positive, good) and to the left of a middle line.

    Args:
        title: above them.
        rows: label, number, and the number as text.
    """
    largest = max((abs(number) for _, number, _ in rows), default=0.0) or 1.0
    lines = []
    for label, number, text in rows:
        share, side = 50 * abs(number) / largest, "good" if number >= 0 else "bad"
        start = 50 if number >= 0 else 50 - share
        bar = f'<i class="{side}" style="left:{start:.1f}%;width:{share:.1f}%"></i>'
        cells = f"<td>{html.escape(label)}</td><td class='cate-bar'>{bar}</td><td class='num'>{html.escape(text)}</td>"
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="cate-bars"><b>{html.escape(title)}</b><table>{"".join(lines)}</table></div>'


def download(name: str, content: str, words: str) -> str:
    """HTML of a link that holds the file itself: nothing is kept on the server."""
    data = base64.b64encode(content.encode()).decode()
    return (
        f'<a class="cate-download" download="{html.escape(name)}" href="data:text/csv;base64,{data}">'
        f"{html.escape(words)}</a>"
    )


def in_words(name: str) -> str:
    """A name of a column as people write it."""
    return "FLOPs" if name == "flops" else name.replace("_", " ")


def plotly(figure: dict[str, Any]) -> Any:
    """What `gr.Plot` shows of a figure in plotly's JSON; the package plotly is not needed for it."""
    from gradio.components.plot import PlotData

    return PlotData(type="plotly", plot=json.dumps(figure))


def on_click(button: Any, handler: Callable[..., Any], inputs: list, outputs: list, **options: Any) -> Any:
    """Call a handler at a click; it is no part of the page's public API."""
    return button.click(handler, inputs, outputs, api_visibility="private", **options)


def command(*words: str) -> str:
    """A command line of these words, quoted where a shell needs it; text with single quotes only, in double ones."""
    return " ".join(
        f'"{word}"' if "'" in word and not re.search(r'["$`\\!]', word) else shlex.quote(word) for word in words
    )


def code(language: str, text: str) -> str:
    """Markdown of code, whatever is in it."""
    fence = "~" * (3 + max((len(run) for run in re.findall("~+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def reproduce(gr: Any) -> tuple[Any, Any]:
    """The two boxes that show the Python and the command line of what a tab did, as Markdown of `code`."""
    with gr.Accordion("The same in Python and on the command line", open=True):
        python = gr.Markdown(elem_classes="cate-code")
        shell = gr.Markdown(elem_classes="cate-code")
    return python, shell


def inner(space: "Space") -> tuple[str, ...]:
    """The operations of a space between its inputs and its output."""
    return space.vocabulary[space.num_inputs : -1]


def legend(operations: Iterable[str]) -> str:
    """HTML of the colours of operations in drawings that are too small for their names."""
    marks = (
        f'<span><i style="background:{operation_colour(name)}"></i>{html.escape(name)}</span>' for name in operations
    )
    return f'<div class="cate-legend">{"".join(marks)}</div>'
