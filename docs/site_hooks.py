"""Pages that are made while the site is built: the command line from typer, the changelog from its file."""

import re
from pathlib import Path

from mkdocs.structure.files import File
from typer.cli import get_docs_for_click
from typer.main import get_command

from cate_hf.cli import _app
from cate_hf.commands import _listed

_COMMAND = re.compile(r"  (?:cate|accelerate|python) ")
_HEAD = """# Command line

Bad input gives one line on standard error and exit code 2, an interruption exit code 130; `CATE_DEBUG=1` shows the
traceback. `cate VERB --help` prints what stands here. How to complete names with the tab key:
[Set up the command line](../how_to/command_line.md).
"""


def command_line() -> str:
    """The reference of all verbs, as Markdown."""
    command = get_command(_app)
    context = command.make_context("cate", ["--help"], resilient_parsing=True)
    text = re.sub(r"<(\w+)>", _named, get_docs_for_click(obj=command, ctx=context, name="cate"))
    lines: list[str] = []
    inside = False
    for line in text.split("\n", 1)[1].splitlines():
        if "`-h, --help`" in line:
            continue
        example = bool(_COMMAND.match(line))
        if example and not inside:
            lines.append("```bash")
        elif inside and line.strip() and not example:
            lines += ["```", ""]
        if inside and not line.strip():
            continue  # no empty lines between commands
        inside = example or (inside and not line.strip())
        lines.append(line.strip() if example else line)
    return _HEAD + "\n".join(lines)


def _named(found: re.Match) -> str:
    """Names of a registry in the place of <name>; a type, such as <str>, stays."""
    try:
        return _listed(found[1])
    except KeyError:
        return found[0]


def on_files(files, config):
    """Add the pages to those of the folder."""
    changes = Path(config.config_file_path).with_name("CHANGELOG.md").read_text(encoding="utf-8")
    for name, text in {"reference/command_line.md": command_line(), "changelog.md": changes}.items():
        files.append(File.generated(config, name, content=text))
    return files
