"""Consoles that lack characters, and locales that are not UTF-8."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cate_hf

ROOT = Path(cate_hf.__file__).parents[1]
ENCODINGS = ["ascii", "cp437", "cp1252", "iso8859-15", "utf-8"]
ENTRIES = ["cate_hf.cli", "cate_hf.demo", "cate_hf.encode", "cate_hf.training.pretrain"]


def run(encoding: str, *command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "0", "LC_ALL": "C"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, timeout=600)


def characters() -> str:
    """All that are no ASCII in the package's code."""
    found = {c for file in (ROOT / "cate_hf").rglob("*.py") for c in file.read_text(encoding="utf-8") if c > "\x7f"}
    return "".join(sorted(found))


def test_any_character_can_be_written():
    code = "from cate_hf.core._console import any_console\nany_console()\nimport sys\n"
    code += f"for stream in (sys.stdout, sys.stderr):\n    print({characters()!a}, '\\udcff', file=stream)"
    for encoding in ENCODINGS:
        done = run(encoding, "-c", code)
        assert done.returncode == 0, done.stderr
        for text in (done.stdout.decode(encoding), done.stderr.decode(encoding)):
            shown = text.strip()
            assert "τ" in shown if "τ".encode(encoding, "ignore") else "tau" in shown
            assert "\\udcff" in shown


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252"])
def test_cate_evaluate_shows_its_table(tmp_path, encoding):
    options = ["--space", "nasbench201", "--encodings", "path", "--labels", "30", "--seeds", "1", "--pool", "1200"]
    options += ["--test-size", "300", "--predictors", "ridge", "--output", str(tmp_path / "evaluation")]
    done = run(encoding, "-m", "cate_hf.cli", "evaluate", *options)
    assert done.returncode == 0, done.stderr.decode(encoding)
    table = (tmp_path / "evaluation" / "table.md").read_bytes().decode("utf-8")
    assert "τ" in table
    shown = done.stdout.decode("utf-8" if encoding == "ascii" else encoding)  # click writes UTF-8 where it finds ASCII
    symbol = {"ascii": "τ", "cp437": "τ", "cp1252": "tau"}[encoding]
    assert f"| predictor | {symbol} @30 |" in shown
    assert f"| dims | {symbol} |" in shown


@pytest.mark.parametrize("module", ENTRIES)
def test_help_of_every_entry(module):
    done = run("ascii", "-m", module, "--help")
    assert done.returncode == 0, done.stderr.decode()
    assert b"usage" in done.stdout.lower()


def test_every_entry_makes_its_output_safe():
    entries = [f for f in (ROOT / "cate_hf").rglob("*.py") if 'if __name__ == "__main__"' in f.read_text("utf-8")]
    assert {".".join(f.relative_to(ROOT).with_suffix("").parts) for f in entries} >= set(ENTRIES)
    for file in entries:
        if file.name != "_treelite.py":  # it writes bytes to another process of ours
            assert "any_console()" in file.read_text(encoding="utf-8"), file


def test_text_files_are_utf8_whatever_the_locale():
    """Calls that read or write text name its encoding."""
    lacking = []
    for folder in ("cate_hf", "modeling", "tokenization", "hub_cards", "examples"):
        for file in (ROOT / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and _is_text(call) and "encoding" not in {k.arg for k in call.keywords}:
                    lacking.append(f"{file}:{call.lineno}: {ast.unparse(call)[:80]}")
    assert lacking == []


def _is_text(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("read_text", "write_text") or {"text", "universal_newlines"} & {k.arg for k in call.keywords}:
        return True
    mode = next((ast.unparse(k.value) for k in call.keywords if k.arg == "mode"), None)
    mode = mode or (ast.unparse(call.args[1]) if len(call.args) > 1 else "r")
    return isinstance(call.func, ast.Name) and name == "open" and "b" not in mode
