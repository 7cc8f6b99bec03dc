"""The description in a predictor's file: whatever stands in it is refused in one line, or harmless."""

import json
import shutil

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from cate_hf.predictor.files import PREDICTOR_FILE, _bundled, load_predictor, predictor_names

WRONG = {
    "members": ["1", 10**12, -1, True, None],
    "targets": [[], {}, "x", [1], [{"name": 1}], [{"name": "x", "scale": "1"}], [{"name": "x", "centre": 1e999}]],
    "statistics": [1, ["structure"], None, "structures"],
    "initialisations": [10**9, 1.5, "1"],
    "process": [1, "yes"],
    "trees": ["", None],
    "space": [1, {}, "nasbench10l"],
    "facts": [[], None, 5],
    "format": [2, "\x1b[31m", [[[]]]],
}


@pytest.fixture
def folder(tmp_path):
    names = predictor_names()
    if not names:
        pytest.skip("no predictor is bundled")
    shutil.copytree(str(_bundled().joinpath(names[0])), tmp_path / "predictor")
    return tmp_path / "predictor"


def test_wrong_descriptions_are_refused_in_one_line(folder):
    file = folder / PREDICTOR_FILE
    with safe_open(file, "np") as opened:
        about = json.loads(opened.metadata()["predictor"])
    tensors = load_file(file)
    texts = ["", "[]", "[" * 100_000, "{", json.dumps({k: v for k, v in about.items() if k != "targets"})]
    texts += [json.dumps(about | {name: value}) for name, values in WRONG.items() for value in values]
    for text in texts:
        save_file(tensors, file, {"predictor": text})
        with pytest.raises(ValueError, match=r"\S") as caught:
            load_predictor(folder)
        assert str(caught.value).isprintable(), text[:200]
        assert len(str(caught.value)) < 500, text[:200]
