"""What writing whole files and folders leaves behind: the old or the new, and nothing of writers that were killed."""

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


def fill(text):
    return lambda folder: (folder / "value").write_text(text)


def test_a_folder_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "data"
    write_folder(path, fill("old"))
    (path / "more").write_text("")

    def half(folder):
        (folder / "value").write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(path, half)
    assert (names(tmp_path), names(path)) == (["data"], ["more", "value"])
    replace = type(path).replace

    def refuse(source, target):
        if source.name.endswith(f"{os.getpid()}.tmp") and ".old." not in source.name:
            raise PermissionError(13, "Permission denied")
        return replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", refuse)
        with pytest.raises(OSError, match=r"data: cannot be written \(Permission denied\)"):
            write_folder(path, fill("new"))
    assert (names(tmp_path), names(path)) == (["data"], ["more", "value"])  # put back
    write_folder(path, fill("new"))
    assert (names(tmp_path), names(path), (path / "value").read_text()) == (["data"], ["value"], "new")


def test_folders_of_dead_writers_are_swept_if_they_name_this_host(tmp_path):
    dead, here = dead_process(), platform.node().replace(".", "_")
    for name in (f".data.{here}-{dead}.tmp", f".data.old.{here}-{dead}.tmp", f".data.{dead}.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "value").write_text("half")
    write_folder(tmp_path / "data", fill("new"))
    assert names(tmp_path) == sorted([f".data.{dead}.tmp", "data"])
