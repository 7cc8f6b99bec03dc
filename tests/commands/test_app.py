"""`cate app` and `cate publish-space`."""

import sys

from cate_hf.cli import main


def test_without_gradio_a_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app"]) == 2
    said = capsys.readouterr().err
    assert said == "cate: the app needs Gradio: pip install 'cate_hf[app]'\n"


def test_options_are_passed_on(monkeypatch):
    asked = []
    monkeypatch.setattr("cate_hf.app.launch", lambda *arguments: asked.append(arguments))
    assert main(["app", "--host", "0.0.0.0", "--port", "8080", "--browser"]) == 0
    assert asked == [("0.0.0.0", 8080, True)]
    assert main(["app", "--port", "0"]) == 2


def test_a_dry_run_lists_the_files(capsys):
    assert main(["publish-space", "someone/app", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "requirements.txt" in said
    assert "nothing was sent" in said
