"""The page: the architecture on the left, what can be known of it on the right, and the tabs that need none."""

from pathlib import Path
from typing import Any

from cate_hf.app import _look, _map, _neighbours, _predict, _race, _table
from cate_hf.app import _shared as shared
from cate_hf.app._canvas import canvas
from cate_hf.app._reading import ANY, KINDS, Given, read_given

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONOSPACE = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")

_CELL_201 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
_CELL_101 = """[[0,1,1,0,1],[0,0,0,1,0],[0,0,0,1,0],[0,0,0,0,1],[0,0,0,0,0]]
["input", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "output"]"""
_DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
_JSON = (
    '{"operations": ["input", "conv3x3-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"], '
    '"adjacency": [[0,1,0,1,0],[0,0,1,0,0],[0,0,0,0,1],[0,0,0,0,1],[0,0,0,0,0]]}'
)
EXAMPLES = {
    "NAS-Bench-201's string": _CELL_201,
    "NAS-Bench-101's matrix and operations": _CELL_101,
    "DARTS' genotype": _DARTS,
    "JSON": _JSON,
}


def theme() -> Any:
    """Gradio's look with the fonts of the visitor's machine: none is fetched."""
    import gradio as gr

    return gr.themes.Soft(primary_hue="blue", font=list(_FONTS), font_mono=list(_MONOSPACE))


def build() -> Any:
    """The page, a `gradio.Blocks` that has not been launched."""
    import gradio as gr

    spaces = shared.known_spaces()

    def read(text: str | None, space: str, upload: str | None) -> Given:
        return read_given(text, space, spaces, upload)

    with gr.Blocks(title="cate_hf", analytics_enabled=False, delete_cache=(300, 3600)) as page:
        gr.HTML(_HEAD)
        with gr.Tabs():
            with gr.Tab("Architecture"), gr.Row():
                with gr.Column(scale=2, min_width=320):
                    text = gr.Textbox(
                        label="Architecture", lines=7, max_lines=14, value=_CELL_201, elem_id="given-text"
                    )
                    labels = list(EXAMPLES)
                    gr.Examples(
                        [[EXAMPLES[label]] for label in labels], [text], example_labels=labels, label="Examples"
                    )
                    with gr.Accordion("or draw one", open=False):
                        canvas(gr, text)
                    space = gr.Dropdown(
                        [("whichever it belongs to", ANY), *spaces],
                        value=ANY,
                        label="Search space",
                        elem_id="given-space",
                    )
                    upload = gr.File(
                        label="or upload a file",
                        file_types=list(KINDS),
                        elem_id="given-file",
                        height=170,
                    )
                inputs = [text, space, upload]
                with gr.Column(scale=5, min_width=320), gr.Tabs():
                    with gr.Tab("Look"):
                        _look.tab(gr, inputs, read)
                    with gr.Tab("Neighbours"):
                        _neighbours.tab(gr, inputs, read)
                    with gr.Tab("Map"):
                        _map.tab(gr, inputs, read, spaces)
                    with gr.Tab("Predict"):
                        _predict.tab(gr, inputs, read)
            with gr.Tab("Race"):
                _race.tab(gr)
            with gr.Tab("Your table"):
                _table.tab(gr, spaces)
    return page


_HEAD = """<div class="cate-head"><h1>Neural architectures as vectors</h1><p>See an architecture, what lies near it and
what it would score; race searches; learn from results of your own. Every tab shows the Python and the command that do
the same.</p></div>"""
