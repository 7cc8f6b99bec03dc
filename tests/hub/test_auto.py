"""Registration with the Auto classes, in fresh processes: what is imported, and in which order."""

import subprocess
import sys

import pytest

from tests.tiny import save_tiny

CHECK = """
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification
from transformers import AutoTokenizer
path = sys.argv[1]
names = [type(c.from_pretrained(path)).__module__ + "." + type(c.from_pretrained(path)).__name__ for c in
         (AutoConfig, AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification, AutoTokenizer)]
assert names == ["cate_hf.modeling.configuration_cate.CateConfig", "cate_hf.modeling.modeling_cate.CateModel",
                 "cate_hf.modeling.modeling_cate.CateForPreTraining",
                 "cate_hf.modeling.modeling_cate.CateForSequenceClassification",
                 "cate_hf.tokenization.tokenization_cate.CateTokenizer"], names
assert not any("_AfterImport" in type(f).__name__ for f in sys.meta_path), "nothing is left to wait for"
"""


def run(code: str, *arguments) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + code, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("auto") / "tiny")


@pytest.mark.long
@pytest.mark.parametrize(
    "first",
    [
        "from transformers import AutoModel, AutoTokenizer\nimport cate_hf",
        "import cate_hf\nfrom transformers.modeling_layers import GradientCheckpointingLayer",
        "from cate_hf.modeling.modeling_cate import CateModel",
        "from cate_hf import CateTokenizer",
    ],
)
def test_any_order_of_imports_registers(checkpoint, first):
    run(first + CHECK, checkpoint)


def test_importing_is_light():
    heavy = ("torch", "transformers", "datasets", "numpy", "pyarrow", "numba", "sklearn", "matplotlib", "typer")
    run(f"import cate_hf\nfound = [n for n in {heavy!r} if n in sys.modules]\nassert not found, found")
    heavy = ("torch", "transformers", "datasets", "pyarrow", "numba", "sklearn", "matplotlib", "numpy")
    run(f"import cate_hf.cli\nfound = [n for n in {heavy!r} if n in sys.modules]\nassert not found, found")


def test_public_names_are_there():
    code = """
import cate_hf
assert set(cate_hf.__all__) <= set(dir(cate_hf))
for name in cate_hf.__all__:
    assert getattr(cate_hf, name) is not None, name
try:
    cate_hf.load_encoders
except AttributeError as error:
    assert "load_encoders" in str(error)
else:
    raise SystemExit("a name that does not exist was found")
"""
    run(code)


def test_an_error_while_registering_is_told_and_another_try_works():
    code = """
import cate_hf, cate_hf.hub._auto
finder = next(f for f in sys.meta_path if type(f).__name__ == "_AfterImport")
name = "transformers.models.auto.modeling_auto"
register, finder.pending[name] = finder.pending[name], lambda: 1 / 0
try:
    from transformers import AutoModel
except Exception as error:
    assert "ZeroDivision" in repr(error) or "division" in str(error), repr(error)
else:
    raise SystemExit("the error was swallowed")
finder.pending[name] = register
from transformers import AutoModel
from cate_hf import CateConfig
assert type(AutoModel.from_config(CateConfig(hidden_size=16, num_attention_heads=4))).__name__ == "CateModel"
"""
    run(code)
