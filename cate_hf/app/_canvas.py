"""The canvas on which an architecture is clicked together (canvas.js), as a component of the page."""

from pathlib import Path
from typing import Any

from cate_hf.app._parts import inner
from cate_hf.spaces import get_space

_SPACES = ("nasbench201", "nasbench101")  # whose graphs have one node "input" and one "output"
_SVG = """<svg viewBox="0 0 440 260" role="img" aria-label="canvas"><defs><marker id="cate-arrow" viewBox="0 0 10 10"
refX="6" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0 L10,5 L0,10 z"></path></marker></defs>
</svg>"""


def canvas(gr: Any, text: Any) -> None:
    """Add the canvas to the page; what is drawn becomes the value of `text`, as JSON."""
    groups = []
    for name in _SPACES:
        names = sorted(inner(get_space(name)), key=lambda operation: "3x3" not in operation or "pool" in operation)
        options = "".join(f"<option>{operation}</option>" for operation in names)  # a convolution first
        groups.append(f'<optgroup label="{name}">{options}</optgroup>')
    bar = (
        f'<div class="bar"><select aria-label="operation">{"".join(groups)}</select>'
        '<button class="remove" type="button">Remove node</button>'
        '<button class="anew" type="button">Anew</button></div>'
    )
    drawn = gr.HTML(
        value="",
        html_template=f'<div class="cate-canvas">{bar}{_SVG}<p class="hint"></p></div>',
        js_on_load=(Path(__file__).parent / "canvas.js").read_text(encoding="utf-8"),
        elem_id="canvas",
    )

    def read(event: Any) -> str:
        return str(event.text)

    read.__annotations__ = {"event": gr.EventData}
    drawn.input(
        read, None, text, api_visibility="private", show_progress="hidden", queue=False, trigger_mode="always_last"
    )
