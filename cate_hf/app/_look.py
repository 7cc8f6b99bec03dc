"""The tab that shows one architecture: what was understood, its drawing, costs and hash."""

from typing import Any

from cate_hf.app import _parts as parts
from cate_hf.app._reading import Given
from cate_hf.spaces import get_space
from cate_hf.spaces.facts import facts, in_words


def look(given: Given) -> tuple[str, str, str]:
    """HTML of what an architecture is, and the Python and the command line that show the same."""
    space = None if given.space is None else get_space(given.space)
    known = {"understood": given.understood} | in_words(facts(given.architecture, space))
    if space is not None:
        known.pop("space")
    pieces = []
    for name, cell in given.cells.items():
        size = f"{cell.num_nodes} nodes, {cell.num_edges} edges"
        pieces.append(f"<h4>{name} cell: {size}</h4>" if name else f"<h4>{size}</h4>")
        pieces.append(parts.picture(cell))
    pieces.append(parts.table([(parts.in_words(name), text) for name, text in known.items()]))
    return "".join(pieces), _python(given), _shell(given)


def _python(given: Given) -> str:
    lines = ["from cate_hf import get_space"] if given.space else []
    if "Architecture." in given.python:
        lines.append("from cate_hf import Architecture")
    needed = ["draw", *(["read_architecture"] if "read_architecture" in given.python else [])]
    lines += [f"from cate_hf.graphs import {', '.join(needed)}", ""]
    lines += [f'space = get_space("{given.space}")'] if given.space else []
    name = "cell" if "" in given.cells else "pair"
    lines.append(f"{name} = {given.python}")
    lines.append(
        f"print(space.hash({name}), space.parameters({name}), space.flops({name}))"
        if given.space
        else "print(cell.hash())"
    )
    attributes = {"": "cell", "normal": "pair.normal", "reduction": "pair.reduction"}
    lines += [f'draw({attributes[kind]}, "{kind or "cell"}.svg")' for kind in given.cells]
    return "\n".join(lines)


def _shell(given: Given) -> str:
    space = ["--space", given.space] if given.space else []
    return parts.command("cate", "show", given.argument, *space, "--output", "cell.svg")


def tab(gr: Any, inputs: list, read: Any) -> None:
    """The tab; `read` makes a `Given` of the values of `inputs`."""
    button = gr.Button("Show it", variant="primary", elem_id="look-go")
    message = gr.HTML(elem_id="look-problem")
    shown = gr.HTML(elem_id="look-shown")
    python, shell = parts.reproduce(gr)
    handler = parts.guarded(lambda *values: look(read(*values)), 3)
    parts.on_click(button, handler, inputs, [message, shown, python, shell])
