"""Templates of cards, and the filters through which text from elsewhere goes, so that it stays text."""

import html
import re
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

__all__ = ["render_template"]


def template_environment() -> "jinja2.Environment":
    """Where templates are rendered: StrictUndefined, and filters for all that comes from elsewhere."""
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["number"] = _number
    environment.filters["prose"] = _prose
    environment.filters["line"] = lambda text: " ".join(str(text).split())  # of a block of code
    environment.filters["cell"] = lambda text: _inline(text).replace("|", "\\|").replace("`", "\\`")  # of a table
    environment.filters["code"] = _code
    environment.filters["fence"] = _fence
    environment.filters["percent"] = lambda value: f"{100 * value:.2f} %"
    return environment


def _number(value: float) -> str:
    """With commas; of fractions four digits, and none after the point where there are more before it."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def _inline(text: object) -> str:
    """Text from elsewhere on one line, in which Markdown sees no HTML, no link and no picture."""
    return re.sub(r"([\[\]\\])", r"\\\1", html.escape(" ".join(str(text).split()), quote=False))


def _prose(text: object) -> str:
    """The same where it may start a line: nor a heading, a list or a block of code."""
    return re.sub(r"^(\d*)([-+*#~=`.)])", r"\1\\\2", _inline(text))


def _code(text: object) -> str:
    """Text as code within a line or a cell of a table; nothing in it ends the code."""
    text = " ".join(str(text).split()).replace("|", "\\|") or " "
    ticks = "`" * (_longest_run(text) + 1)
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def _fence(text: object, language: str = "") -> str:
    """Text as a block of code; nothing in it ends the block."""
    ticks = "`" * max(3, _longest_run(str(text)) + 1)
    return f"{ticks}{language}\n{str(text).strip()}\n{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def render_template(template: str, **values) -> str:
    """A template of hub_cards/ with these values; one that it needs and does not get is an error (StrictUndefined).

    Values from elsewhere go through a filter: prose, cell, code, line or fence.
    """
    text = files("cate_hf.hub_cards").joinpath(template).read_text(encoding="utf-8")
    return template_environment().from_string(text).render(**values)
