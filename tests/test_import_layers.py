"""Imports inside mmkd_core go one way: a module may import only from the rows above its own."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmkd_core"
LAYERS = [
    {"settings", "files"},
    {"data", "sparse"},
    {"memory"},
    {"losses", "metrics", "layers", "sampling", "datasets"},
    {"graph"},
    {"evaluation"},
    {"models"},
    {"training", "cost"},
    {"experiment"},
    {"measures"},
    {"recipes"},
    {"results", "engine", "compare"},
    {"claims"},
    {"tables", "figures", "export"},
    {"__init__"},
    {"commands"},
    {"__main__"},
]
RANKS = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}


def modules(package):
    """The layered name of every file: a file of a folder counts as that folder."""
    for path in sorted(package.rglob("*.py")):
        yield path, path.relative_to(package).with_suffix("").parts[0]


def imported(path, package):
    """The layered names that a file imports from its own package, wherever in the file."""
    inside = [package.name, *path.relative_to(package).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = inside[: len(inside) + 1 - node.level] if node.level else []
            origin = origin + (node.module.split(".") if node.module else [])
            names = [[*origin, alias.name] for alias in node.names]
        for name in names:
            if name[0] == package.name:
                known = len(name) > 1 and ((package / name[1]).is_dir() or (package / f"{name[1]}.py").exists())
                yield node.lineno, name[1] if known else "__init__"


def violations(package, ranks):
    for path, module in modules(package):
        where = path.relative_to(package.parent)
        if module not in ranks:
            yield f"{where}: give {module!r} a place in LAYERS of tests/test_import_layers.py"
            continue
        for line, other in sorted(set(imported(path, package))):
            if other != module and ranks.get(other, -1) >= ranks[module]:
                yield f"{where}:{line}: {module!r} may not import {other!r}"


def test_imports_go_one_way():
    assert not list(violations(PACKAGE, RANKS))


@pytest.mark.parametrize(
    ("file", "source", "found"),
    [
        ("top.py", "from pkg.low import x", None),
        ("top.py", "import pkg.low, os", None),
        ("top.py", "from . import low", None),
        ("mid/a.py", "from pkg.mid.b import x", None),
        ("mid/a.py", "from .b import x", None),
        ("mid/a.py", "from ..low import x", None),
        ("low.py", "import pkg.top", "pkg/low.py:1: 'low' may not import 'top'"),
        ("low.py", "def f():\n    from pkg import top", "pkg/low.py:2: 'low' may not import 'top'"),
        ("low.py", "from .mid import b", "pkg/low.py:1: 'low' may not import 'mid'"),
        ("mid/a.py", "from ..top import x", "pkg/mid/a.py:1: 'mid' may not import 'top'"),
        ("mid/a.py", "from .. import top", "pkg/mid/a.py:1: 'mid' may not import 'top'"),
        ("mid/a.py", "from pkg.side import x", "pkg/mid/a.py:1: 'mid' may not import 'side'"),
        ("top.py", "from pkg import x", "pkg/top.py:1: 'top' may not import '__init__'"),
        ("new.py", "", "pkg/new.py: give 'new' a place in LAYERS of tests/test_import_layers.py"),
    ],
)
def test_the_gate(tmp_path, file, source, found):
    package = tmp_path / "pkg"
    (package / "mid").mkdir(parents=True)
    for name in ("low.py", "side.py", "top.py", "mid/a.py", "mid/b.py"):
        (package / name).touch()
    (package / file).write_text(source)
    ranks = {"low": 0, "mid": 1, "side": 1, "top": 2, "__init__": 3}
    assert list(violations(package, ranks)) == ([found] if found else [])
