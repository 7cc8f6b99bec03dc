import os
import stat
from pathlib import Path

import pytest

from cate_hf.core._files import atomic_output, check_output, clear_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path):
    with atomic_output(tmp_path / "new" / "out.txt") as temporary:
        assert temporary.suffix == ".txt"
        assert temporary.parent == tmp_path / "new"
        temporary.write_text("text")
        assert names(tmp_path / "new") == [temporary.name]
    assert (tmp_path / "new" / "out.txt").read_text() == "text"
    assert names(tmp_path / "new") == ["out.txt"]


def test_a_folder_appears_whole_and_replaces_the_old(tmp_path):
    for text in ("first", "second"):
        with atomic_output(tmp_path / "out", overwrite=True) as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["second"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("folder", [False, True])
def test_the_old_output_stays_when_writing_fails(tmp_path, error, folder):
    target = tmp_path / "out"
    old = target / "part" if folder else target
    old.parent.mkdir(exist_ok=True)
    old.write_text("old")

    def write():
        with atomic_output(target, overwrite=True) as temporary:
            if folder:
                temporary.mkdir()
            (temporary / "part" if folder else temporary).write_text("half of the n")
            raise error

    with pytest.raises(type(error)):
        write()
    assert names(tmp_path) == ["out"]
    assert old.read_text() == "old"


def test_a_folder_that_cannot_be_placed_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    rename, calls = os.rename, []

    def second_fails(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(OSError, match="no"), atomic_output(tmp_path / "out", overwrite=True) as temporary:
        temporary.mkdir()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["old"]


def test_an_existing_output_is_refused_before_any_work(tmp_path):
    (tmp_path / "out").write_text("old")
    with pytest.raises(FileExistsError, match=r"out exists already.*--overwrite"):
        check_output(tmp_path / "out")
    with pytest.raises(FileExistsError), atomic_output(tmp_path / "out"):
        pytest.fail("the block must not run")
    assert check_output(tmp_path / "out", overwrite=True) == tmp_path / "out"
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError):
        check_output(tmp_path / "dangling")


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    def write():
        with atomic_output(tmp_path / "out") as temporary:
            temporary.write_text("mine")
            (tmp_path / "out").write_text("theirs")

    with pytest.raises(FileExistsError):
        write()
    assert (tmp_path / "out").read_text() == "theirs"
    assert names(tmp_path) == ["out"]


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(FileExistsError, match="is a folder"),
        atomic_output(tmp_path / "out", overwrite=True) as temporary,
    ):
        temporary.write_text("x")
    assert (tmp_path / "out").is_dir()


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need no permission on POSIX only")
def test_a_folder_replaces_a_link_to_one_and_leaves_what_it_points_to(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    (tmp_path / "out").symlink_to("theirs")
    with atomic_output(tmp_path / "out", overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert names(tmp_path) == ["out", "theirs"]
    assert names(tmp_path / "out") == ["new"]
    assert names(tmp_path / "theirs") == ["file"]


@pytest.mark.parametrize("path", [".", "..", "/", "nowhere/..", ""])
def test_a_path_without_a_name_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="expected the name of a file or folder"):
        check_output(path, overwrite=True)


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing was written"), atomic_output(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_a_parent_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        check_output(tmp_path / "file" / "out")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(PermissionError, match="no permission"):
        check_output(tmp_path / "out")


def test_a_folder_with_something_else_is_never_replaced(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "pairs.json").write_text("{}")
    with atomic_output(folder, overwrite=True, own=("pairs.json", "*.parquet")) as new:
        new.mkdir()
        (new / "pairs.json").write_text("{1}")
    (folder / "thesis.txt").write_text("precious")
    with (
        pytest.raises(FileExistsError, match="out holds 'thesis.txt', which is not of such an output"),
        atomic_output(folder, overwrite=True, own=("pairs.json", "*.parquet")),
    ):
        pytest.fail("refused before any work")
    with pytest.raises(FileExistsError, match=r"thesis\.txt"):
        clear_folder(folder, ("pairs.json",))
    assert sorted(path.name for path in folder.iterdir()) == ["pairs.json", "thesis.txt"]
    clear_folder(folder, ("pairs.json",), keep=("thesis.txt",))
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
