"""Files that are replaced whole or not at all."""

import errno
import os
import signal
import subprocess
import sys

import pytest
from secateur.errors import InputError
from secateur.files import disk_is_full, put, replace_file, replace_text
from secateur.supernet.stored.replacing import replacing


def test_a_file_and_its_folders_are_made_and_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    for text in ("first", "später"):
        replace_text(path, text)
        assert path.read_text(encoding="utf-8") == text
        assert os.listdir(path.parent) == ["file.txt"]


def test_it_has_the_permissions_of_any_new_file(tmp_path):
    replace_text(tmp_path / "ours", "")
    (tmp_path / "plain").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replace_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == tmp_path
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt(), InputError("said already")])
def test_an_error_leaves_the_old_file_alone_and_stays_what_it_is(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(type(error)) as raised, replace_file(path) as part:  # noqa: PT012
        part.write_text("half")
        raise error
    assert raised.value is error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_two_writers_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file"
    with replace_file(path) as one, replace_file(path) as two:
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["file"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_text("old")
    code = """
import os, pathlib, signal, sys
from secateur.files import replace_file
with replace_file(pathlib.Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")]).returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "inside"
    with pytest.raises(InputError) as raised:
        replace_text(path, "")
    reason = os.strerror(errno.ENOTDIR)
    assert str(raised.value) == f"cannot write {path}: {reason}; choose another place"


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "no space"), OSError(errno.EDQUOT, "quota"), ValueError("I/O error (os error 28)")],
)
def test_a_full_disk_is_one_line(tmp_path, error):
    told = r"cannot write .*file: the disk is full; free some space and run again"
    with pytest.raises(InputError, match=told), replace_file(tmp_path / "file"):
        raise error
    assert os.listdir(tmp_path) == []


def test_what_came_of_a_full_disk_is_one():
    outer = RuntimeError("writing failed")
    outer.__cause__ = OSError(errno.ENOSPC, "no space")
    assert disk_is_full(outer)
    assert not disk_is_full(OSError(errno.EACCES, "denied"))


def test_a_folder_is_put_with_all_in_it(tmp_path):
    (tmp_path / "part" / "inner").mkdir(parents=True)
    (tmp_path / "part" / "inner" / "file").write_text("text")
    put(tmp_path / "part", tmp_path / "folder")
    assert (tmp_path / "folder" / "inner" / "file").read_text() == "text"
    assert os.listdir(tmp_path) == ["folder"]


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path):
    for name in (".to[1].0123abcd.part", ".to[1].0123abcd.old"):
        (tmp_path / name).mkdir()
    (tmp_path / ".to[1].01234567.part").touch()
    others = {".to[1].export", ".to[1].0123.part", ".to1.0123abcd.part", "to[1].0123abcd.part"}
    for name in others:
        (tmp_path / name).touch()
    with replacing(tmp_path / "to[1]") as part:
        (part / "config.json").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"to[1]", *others}
