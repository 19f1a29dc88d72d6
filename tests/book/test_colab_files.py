"""What copies install from the site: the library's wheel and the records, served from there and nowhere else."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import colab_check
import mmkd_colab
import nbformat
import pytest

ROOT = Path(__file__).parents[2]
PRINTS = "import os\nprint(os.path.basename(os.getcwd()), 'MMKD_BOOK' in os.environ)"


def app(out, url):
    config = SimpleNamespace(html_theme_options={"repository_url": ""}, html_baseurl=url)
    return SimpleNamespace(srcdir=str(ROOT), outdir=str(out), config=config, builder=SimpleNamespace(name="html"))


@pytest.fixture
def without_address(monkeypatch):
    monkeypatch.delenv("BOOK_URL", raising=False)


@pytest.mark.usefixtures("without_address")
def test_the_library_and_the_records_lie_beside_the_pages(tmp_path):
    mmkd_colab.write_files(app(tmp_path, "https://example.org/book"), None)
    wheel = tmp_path / "files" / mmkd_colab.wheel_of(ROOT)
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mmkd_core/__init__.py", "mmkd_core/hparams/mmkd.toml", "mmkd_core/evidence/claims.toml"} <= set(names)
    assert not [name for name in names if name.startswith("tests/")]
    with tarfile.open(tmp_path / "files" / mmkd_colab.ARCHIVE) as archive:
        members = archive.getnames()
    assert all(name.startswith("book/records") for name in members)
    assert len(members) > 1000


@pytest.mark.usefixtures("without_address")
def test_a_site_without_an_address_has_none_and_loses_old_ones(tmp_path):
    (tmp_path / "files").mkdir()
    mmkd_colab.write_files(app(tmp_path, ""), None)
    assert not (tmp_path / "files").exists()


def site(folder, source):
    """A site with one copy of one chapter."""
    (folder / "colab").mkdir(parents=True)
    cells = [nbformat.v4.new_markdown_cell("# A"), nbformat.v4.new_code_cell(source)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "colab" / "chapter.ipynb")
    return folder


def call(*arguments):
    command = [sys.executable, str(ROOT / "tools" / "colab_check.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_copy_runs_away_from_the_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("MMKD_BOOK", str(ROOT))
    done = call(site(tmp_path, PRINTS), 0, sys.executable)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("chapter: ran, ")
    assert done.stdout.rstrip().endswith("False")


@pytest.mark.parametrize(
    ("source", "names", "says"),
    [("1 / 0", (), "failed: chapter"), ("1", ("other",), "no such copies in .*other.*run `make colab-check`")],
)
def test_what_fails_is_named(source, names, says, tmp_path):
    done = call(site(tmp_path, source), 0, sys.executable, *names)
    assert done.returncode == 1
    assert re.search(says, done.stderr)


def test_the_site_is_served_on_loopback(tmp_path):
    from urllib.request import urlopen

    (tmp_path / "a.txt").write_text("here")
    server = colab_check.served(tmp_path, 0)
    with urlopen(f"http://127.0.0.1:{server.server_port}/a.txt") as answer:
        assert answer.read() == b"here"
    server.shutdown()
    server.server_close()
