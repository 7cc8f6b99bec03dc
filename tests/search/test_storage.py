"""Searches saved and loaded."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf.search import Optimizer, get_algorithm, load_search, save_search
from cate_hf.search.storage import STATE_FILE, identity
from tests.search.searches import CANDIDATES, ENCODINGS, NAMES, QUICK, SPACE, VARIANTS, go_on, optimizer


def load(folder, cls=None, candidates=CANDIDATES, encodings=ENCODINGS, space=SPACE):
    return load_search(folder, space, candidates, encodings, algorithm=cls)


@pytest.mark.parametrize(("name", "chosen"), VARIANTS, ids=NAMES)
def test_a_search_goes_on_to_the_bit(name, chosen, tmp_path):
    first = go_on(optimizer(name, chosen, seed=5), 17, batch=3)
    waiting = first.ask_rows(2)
    save_search(first, tmp_path)
    second = load(tmp_path)
    assert type(second) is type(first)
    assert second.settings == first.settings
    assert second.pending_rows() == waiting
    assert second.state_dict() == first.state_dict()
    for one, other in zip(first.state_arrays().values(), second.state_arrays().values(), strict=True):
        np.testing.assert_array_equal(one, other)
    for search in (first, second):
        search.tell_row(waiting[1], 0.1 + 0.2)
        go_on(search, 30)
    assert second.state_dict() == first.state_dict()
    save_search(second, tmp_path)  # replaces the older state and its arrays
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == 1 + bool(second.state_arrays())
    assert load(tmp_path).rows == first.rows


def test_arrays_are_kept_as_safetensors(tmp_path):
    search = go_on(optimizer("neural-predictor"), 20)
    assert set(search.state_arrays()) == {"_ranking"}
    save_search(search, tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="damaged, its digest is not that of its name"):
        load(tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match=r"safetensors: cannot be read"):
        load(tmp_path)


def test_a_folder_of_another_search_is_refused_naming_the_difference(tmp_path):
    save_search(go_on(optimizer("bo-dngo"), 8), tmp_path)
    other = ENCODINGS.copy()
    other[5, 5] += 1
    for arguments, message in (
        ({"cls": get_algorithm("random")}, "algorithm is 'bo-dngo' there, 'random' here"),
        ({"candidates": CANDIDATES[::-1]}, "candidates are '300, SHA-256 .* there, '300, SHA-256"),
        ({"candidates": CANDIDATES[:299], "encodings": ENCODINGS[:299]}, "candidates are '300, .*'299,"),
        ({"encodings": other}, "encodings are '36 numbers, SHA-256 .* there"),
        ({"encodings": ENCODINGS[:, :5]}, "there, '5 numbers, "),
        ({"encodings": None}, "needs encodings"),
    ):
        with pytest.raises(ValueError, match=message):
            load(tmp_path, **arguments)
    assert load(tmp_path, get_algorithm("bo-dngo")).rows == load(tmp_path).rows


def test_an_existing_state_is_kept_where_asked(tmp_path):
    save_search(optimizer("random"), tmp_path)
    with pytest.raises(FileExistsError):
        save_search(optimizer("random"), tmp_path, overwrite=False)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_a_class_of_ones_own_is_loaded_by_itself(tmp_path):
    class Last(Optimizer):
        """The last rows first."""

        name = "last"
        defaults = {"step": 1}

        def _propose(self, n):
            return self._unseen()[:: -self.settings["step"]][:n].tolist()

    search = Last(SPACE, CANDIDATES, 0, step=2)
    assert search.ask_rows(2) == [299, 297]
    save_search(search, tmp_path)
    assert load(tmp_path, Last).ask_rows(2) == [298, 295]
    with pytest.raises(ValueError, match="unknown search algorithm 'last'"):
        load(tmp_path)


def test_saving_that_fails_leaves_the_older_state(tmp_path, monkeypatch):
    search = go_on(optimizer("neural-predictor"), 12)
    save_search(search, tmp_path)
    told = search.rows.copy()
    go_on(search, 20)
    monkeypatch.setattr(search, "state_dict", lambda: {"values": [float("nan")]})  # no JSON
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_search(search, tmp_path)
    assert load(tmp_path).rows == told


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_state_is_one_clear_line(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    save_search(go_on(optimizer("cate-dngo-ls"), 12), folder)
    path = folder / STATE_FILE
    content = json.loads(path.read_text())
    if data.draw(st.booleans()):
        text = path.read_text()
        at = data.draw(st.integers(0, len(text) - 2))  # not its end of line
        other = data.draw(st.sampled_from([c for c in ("", "x", "}", "[", "9", '"') if c != text[at]]))
        path.write_text(text[:at] + other + text[at + 1 :])
    else:
        wrong = data.draw(st.sampled_from([3.5, "x", {}, [None], {"rows": 3}, 1e9, [-1], [10**6], True]))
        place = content if data.draw(st.booleans()) else content["state"]
        place[data.draw(st.sampled_from(sorted(place)))] = wrong  # no state holds any of these
        path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"^[^\n]*state\.json: [^\n]*$"):
        load(folder)


def test_every_algorithm_is_told_apart():
    identities = [json.dumps(identity(optimizer(name, chosen)), sort_keys=True) for name, chosen in VARIANTS]
    assert len(set(identities)) == len(identities)
    assert json.dumps(identity(optimizer("random", QUICK["random"], seed=1))) not in identities
