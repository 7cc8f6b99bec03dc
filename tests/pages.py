"""The examples of README.md, AGENTS.md, docs/ and the notebooks: how they are found, and a process that runs them.

A page's fenced blocks of Python and bash run as they are written, one after the other, in a folder of the page's own
and, Python, in one session. Comments before a block say what is done with it:

    <!-- tested -->                 it runs, and must succeed
    <!-- not run: REASON -->        it does not
    <!-- printed -->                a text block: what the block before prints; numbers to 2 %

The cells of a notebook run so, too, and must print what is stored in it.

`<!-- after: PAGE -->` at the top: the page goes on in the folder of another one.
"""

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hub.conftest import Client

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^(?:<!-- (tested|printed|not run: [^\n]+?) -->\n)?( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.M | re.S)
_NUMBER = re.compile(r"\d[\d,]*\.?\d*(?:e[+-]?\d+)?")
# Verbs and Python run in one process, which has imported what they need.
_CATE = """
import contextlib, io, os, shlex, sys
from cate_hf.cli import main

os.chdir(folder)
os.environ["COLUMNS"] = "120"
arguments, printed, told = shlex.split(line)[1:], io.StringIO(), io.StringIO()
sys.argv = ["cate", *arguments]
with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
    code = main(arguments)
result = [code, printed.getvalue(), told.getvalue()]
"""
_PYTHON = """
import builtins, contextlib, io, os

os.chdir(folder)
sessions = builtins.__dict__.setdefault("sessions", {})
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    exec(source, sessions.setdefault(folder, {"__name__": "__main__"}))
result = printed.getvalue()
"""


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the comment before it, None without one."""

    mark: str | None
    language: str
    code: str


@dataclass
class Ran:
    """A page that has run: its folder, and what each statement of its bash and each block of its Python printed."""

    folder: Path
    printed: dict[str, str] = field(default_factory=dict)

    def of(self, start: str) -> str:
        """What the one statement that starts so printed."""
        (found,) = (text for statement, text in self.printed.items() if statement.startswith(start))
        return found


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        return [block for cell in json.loads(text)["cells"] if cell["cell_type"] == "code" for block in _of_cell(cell)]
    return [Block(mark or None, language, code) for mark, _, language, code in _BLOCK.findall(text)]


def _of_cell(cell: dict) -> list[Block]:
    texts = ["".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream"]
    return [Block("tested", "python", "".join(cell["source"])), Block("printed", "text", "".join(texts))]


def page_before(page: str) -> str | None:
    found = re.search(r"^<!-- after: (\S+) -->$", (ROOT / page).read_text(encoding="utf-8"), re.M)
    return found[1] if found else None


def statements(code: str) -> list[str]:
    """The statements of a bash block: lines, continued by a backslash or a here-document."""
    found, waiting, end = [], [], None
    for line in code.splitlines():
        waiting.append(line)
        if end is None and (here := re.search(r"<<'(\w+)'", line)):
            end = here[1]
        elif end is not None and line == end:
            end = None
        if end is None and not line.endswith("\\"):
            statement = "\n".join(waiting).strip()
            if statement and not statement.startswith("#"):
                found.append(statement)
            waiting = []
    return found


class Pages:
    """Runs pages, each once: `client` runs Python and verbs, bash the other statements, with `environment`."""

    def __init__(self, client: Client, environment: dict[str, str], root: Path):
        self.client, self.environment, self.root = client, environment, root
        self._ran: dict[str, Ran] = {}

    def cate(self, folder: Path, line: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a verb."""
        code, printed, told = self.client.run(_CATE, folder=str(folder), line=line)
        return code, printed, told

    def ran(self, page: str) -> Ran:
        """The page after it has run, which is now where it has not; what it goes on from runs first."""
        if page not in self._ran:
            before = page_before(page)
            folder = self.root / page.replace("/", "-") if before is None else self.ran(before).folder
            folder.mkdir(exist_ok=True)
            found = Ran(folder)
            last = ""
            for block in blocks(page):
                if block.mark == "tested":
                    last = self._run(found, block)
                elif block.mark == "printed":
                    check_printed(last, block.code)
            self._ran[page] = found
        return self._ran[page]

    def _run(self, found: Ran, block: Block) -> str:
        if block.language == "python":
            found.printed[block.code] = self.client.run(_PYTHON, folder=str(found.folder), source=block.code)
            return found.printed[block.code]
        for statement in statements(block.code):
            line = statement.replace("\\\n", " ")
            if line.startswith("cate ") and not re.search(r"[|&;<>$`]", re.sub(r'"[^"]*"', "", line.split(" #")[0])):
                code, printed, told = self.cate(found.folder, line.split(" #")[0])
                assert code == 0, f"{line}\n{told}"
            else:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", statement],
                    cwd=found.folder,
                    env=self.environment,
                    capture_output=True,
                    text=True,
                    timeout=600,
                )
                assert done.returncode == 0, f"{statement}\n{done.stdout[-1000:]}{done.stderr[-3000:]}"
                printed = done.stdout
            found.printed[statement] = printed
        return "".join(found.printed[statement] for statement in statements(block.code))


def check_printed(found: str, expected: str) -> None:
    """What was printed, spaces aside: equal texts, numbers that differ by at most 2 %."""
    first, second = (" ".join(text.split()) for text in (found, expected))
    assert _NUMBER.sub("#", first) == _NUMBER.sub("#", second), found
    numbers = [[float(n.replace(",", "")) for n in _NUMBER.findall(text)] for text in (first, second)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02), found
