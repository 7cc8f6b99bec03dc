"""The models of D-VAE and arch2vec that come with the package."""

from pathlib import Path

import numpy as np
import pytest

from cate_hf.autoencoders._figures import prior, reconstruction
from cate_hf.autoencoders.training import EncodingTraining
from cate_hf.encodings import get_encoding
from tests.encodings.conftest import space_of

BUNDLED = [(kind, space) for kind in ("d-vae", "arch2vec") for space in ("nasbench101", "nasbench201")]
# Shares of cells decoded exactly, and lower bounds of validity in the range of the training.
EXACT = {"d-vae": (0.95, 0.98), "arch2vec": (0.72, 0.97)}
VALID = {"d-vae": (0.75, 0.85), "arch2vec": (0.15, -1.0)}


@pytest.mark.parametrize(("kind", "name"), BUNDLED)
def test_it_is_there_without_training_and_is_what_its_facts_say(kind, name, monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr(EncodingTraining, "__init__", fail)
    space = space_of(name)
    pool = space.pool()
    encoding = get_encoding(kind, name)
    assert encoding.fit(pool) is encoding  # trained on these
    place = name == "nasbench201"
    table = pool[np.random.default_rng(3).permutation(len(pool))[:500]]
    figures = reconstruction(encoding.model, space, table, "cpu", sampled=0)
    assert figures["exact"] > EXACT[kind][place]
    assert figures["exact"] == pytest.approx(encoding.facts["measured"]["reconstruction"]["exact"], abs=0.06)
    samples = prior(encoding.model, space, table, "cpu", points=400, decodings=1)["training_range"]
    assert samples["validity"] > VALID[kind][place]
    vectors = encoding.transform(table)
    assert vectors.shape == (500, {"d-vae": 56, "arch2vec": 16}[kind])
    assert np.isfinite(vectors).all()
    folder = Path(__file__).parents[2] / "cate_hf" / "autoencoders" / "bundled" / f"{kind}-{name}"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "facts.json", "model.safetensors"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def shared(vectors: np.ndarray) -> int:
    """How many rows have the vector of another, to three places (their standard deviation is 0.1 and more)."""
    vectors = np.ascontiguousarray(vectors.round(3) + 0.0)
    _, counts = np.unique(vectors.view(f"V{vectors.shape[1] * 4}"), return_counts=True)
    return int(counts[counts > 1].sum())


@pytest.mark.parametrize("kind", ["d-vae", "arch2vec"])
def test_no_two_graphs_of_nasbench201_share_a_vector(kind):
    space = space_of("nasbench201")
    assert shared(get_encoding(kind, space).transform(space.pool())) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cells"), [("d-vae", 790), ("arch2vec", 264_758)])
def test_as_many_cells_of_nasbench101_share_a_vector_as_the_docstring_says(kind, cells):
    encoding = get_encoding(kind, "nasbench101")
    assert shared(encoding.transform(space_of("nasbench101").pool())) == pytest.approx(cells, rel=0.01)
    assert f"{cells:,} of the 423,624 cells" in " ".join(type(encoding).__doc__.split())
