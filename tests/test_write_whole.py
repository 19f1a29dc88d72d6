"""What `write_whole` leaves behind: the old file or the new one, and nothing of writers that were killed."""

import multiprocessing
import os
import platform

import pytest

from mmkd_core.files import write_folder, write_json, write_whole


def write(path, text):
    write_whole(path, lambda temporary: temporary.write_text(text))


def dead_process():
    """The id of a process that has ended."""
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    return process.pid


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_write_whole_keeps_the_old_file_when_the_new_one_fails(tmp_path):
    write(tmp_path / "value", "old")

    def half(temporary):
        temporary.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "value", half)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("value", "old")]


def test_the_next_writer_sweeps_what_dead_ones_left(tmp_path):
    dead, here = dead_process(), platform.node().replace(".", "_")
    left = [f".value.{here}-{dead}.tmp", f".other.json.{here}-{dead}.tmp", f".value.{dead}.tmp"]
    kept = [
        f".value.{here}-{os.getppid()}.tmp",  # of a writer that lives
        f".value.elsewhere-{dead}.tmp",  # of another host: its process may live
        f".value.{os.getppid()}.tmp",
        ".value.tmp",
        f".value.{10**30}.tmp",  # no process has this number
        f"value.{dead}.tmp",
        f".{dead}.json",
    ]
    for name in left + kept:
        (tmp_path / name).write_text("half")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / left[0]).write_text("half")
    write_json(tmp_path / "value.json", {"a": 1})
    assert names(tmp_path) == sorted([*kept, "value.json", "below"])
    assert names(tmp_path / "below") == left[:1]


def test_folders_that_dead_writers_left_are_swept_too(tmp_path):
    left = tmp_path / f".export.{platform.node().replace('.', '_')}-{dead_process()}.tmp"
    left.mkdir()
    (left / "half").write_text("half")
    write_folder(tmp_path / "export", lambda temporary: (temporary / "value").write_text("whole"))
    assert (names(tmp_path), names(tmp_path / "export")) == (["export"], ["value"])


def test_a_folder_is_replaced_only_by_the_file_that_it_is_known_by(tmp_path):
    for text in ("old", "new"):
        write_folder(tmp_path / "export", lambda temporary, text=text: (temporary / "card").write_text(text), "card")
        assert ((tmp_path / "export" / "card").read_text(), names(tmp_path)) == (text, ["export"])
    for replaces in (None, "other"):
        with pytest.raises(ValueError, match="export: is there already; expected no such path"):
            write_folder(tmp_path / "export", lambda temporary: None, replaces)


def test_an_old_folder_that_a_killed_writer_set_aside_goes_when_the_new_one_is_there(tmp_path):
    aside = tmp_path / ".export.before"
    write_folder(aside, lambda temporary: (temporary / "value").write_text("old"))

    def half(temporary):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "export", half)
    assert (names(tmp_path), (tmp_path / "export" / "value").read_text()) == (["export"], "old")
    (tmp_path / "export").rename(aside)
    write_folder(tmp_path / "export", lambda temporary: (temporary / "value").write_text("new"))
    assert (names(tmp_path), (tmp_path / "export" / "value").read_text()) == (["export"], "new")


def test_a_writer_spares_its_own_temporary_file(tmp_path):
    def outer(temporary):
        temporary.write_text("outer")
        write(tmp_path / "inner", "inner")
        assert temporary.exists()

    write_whole(tmp_path / "outer", outer)
    assert names(tmp_path) == ["inner", "outer"]


@pytest.mark.skipif(os.name != "posix", reason="a folder's rights")
def test_what_cannot_be_swept_stays(tmp_path, monkeypatch):
    left = tmp_path / f".value.{dead_process()}.tmp"
    left.write_text("half")

    def refuse(path, missing_ok=False):
        if path == left:
            raise PermissionError(path)
        unlink(path, missing_ok)

    unlink = type(left).unlink
    monkeypatch.setattr(type(left), "unlink", refuse)
    write(tmp_path / "value", "whole")
    assert names(tmp_path) == [left.name, "value"]
