"""Pages that are made while the site is built: the command line from typer, the changelog from its file."""

import re
from pathlib import Path

from mkdocs.structure.files import File
from typer.cli import get_docs_for_click
from typer.main import get_command

from cate_hf.cli import _app
from cate_hf.commands import _listed
from cate_hf.commands._doctor import EXTRAS

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
    text = re.sub(
        r"<(\w+)>", _named, get_docs_for_click(obj=command, ctx=context, name="cate")
    )
    before, verbs = (
        text.split("**Usage**:", 1)[0].split("\n", 1)[1],
        text[text.index("## `cate ") :],
    )
    lines = [*before.splitlines(), "| verb | what it does |", "|---|---|"]
    for name, verb in command.commands.items():
        lines.append(
            f"| [`{name}`](#cate-{name}) | {' '.join(verb.help.split(chr(10) * 2)[0].split())} |"
        )
    lines += ["", *verbs.splitlines()]
    return _HEAD + re.sub(r"\*\*Options\*\*:\n\n+(?=#|$)", "", _examples(lines))


def _examples(lines: list[str]) -> str:
    """Commands in a paragraph of their own become blocks of code; --help goes."""
    found: list[str] = []
    inside = False
    for line in lines:
        example = bool(_COMMAND.match(line))
        if "`-h, --help`" in line or (inside and not line.strip()):
            continue
        if example != inside:
            found += ["```bash"] if example else ["```", ""]
        inside = example
        found.append(line.strip() if example else line)
    return "\n".join(found)


def _named(found: re.Match) -> str:
    """Names of a registry in the place of <name>; a type, such as <str>, stays."""
    try:
        return _listed(found[1])
    except KeyError:
        return found[0]


def on_page_markdown(markdown, **_):
    """The table of extras, from what `cate doctor` says of them."""
    rows = "".join(f"| `{name}` | {purpose} |\n" for name, purpose in EXTRAS.items())
    return markdown.replace("EXTRAS\n", f"| extra | what it is for |\n|---|---|\n{rows}")


def on_files(files, config):
    """Add the pages to those of the folder."""
    changes = (
        Path(config.config_file_path).with_name("CHANGELOG.md").read_text(encoding="utf-8")
    )
    for name, text in {
        "reference/command_line.md": command_line(),
        "changelog.md": changes,
    }.items():
        files.append(File.generated(config, name, content=text))
    return files
