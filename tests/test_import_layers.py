"""Imports inside mmkd_core go one way: a module may import only from the rows above its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmkd_core"
LAYERS = [
    {"settings", "files", "errors", "onnx_graph", "fold_in"},
    {"kernels", "cold", "shown"},
    {"data", "sparse"},
    {"memory"},
    {"metrics", "layers", "sampling", "datasets", "cost"},
    {"graph", "losses", "exported", "taste"},
    {"sheet", "versions"},
    {"evaluation", "refresh"},
    {"models", "approximate"},
    {"checkpoint", "parallel", "history"},
    {"steps"},
    {"training"},
    {"hits"},
    {"chosen"},
    {"experiment", "study"},
    {"runs", "progress"},
    {"tuning"},
    {"served"},
    {"export", "lists", "serving"},
    {"__init__"},
    {"evidence"},
    {"commands"},
    {"__main__"},
]
EVIDENCE = PACKAGE / "evidence"
EVIDENCE_LAYERS = [  # the rows within it
    {"paper", "shapes", "derivation", "workshop"},
    {"measurement", "counts", "meters"},
    {"cases"},
    {"store"},
    {"compare", "effort"},
    {"tables", "style"},
    {"verdicts", "figures", "widgets"},
    {"question", "report"},
    {"questions"},
    {"engine", "ledger"},
    {"challenge"},
    {"__init__"},
]
LONGEST = 300


def ranks_of(layers):
    return {module: rank for rank, layer in enumerate(layers) for module in layer}


def modules(package):
    """The layered name of every file: a file of a folder counts as that folder."""
    for path in sorted(package.rglob("*.py")):
        yield path, path.relative_to(package).with_suffix("").parts[0]


def imported(path, package, root):
    """The layered names that a file imports from its own package, wherever in the file; `root` is what lies above."""
    own, inside = list(package.relative_to(root).parts), list(path.relative_to(root).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = inside[: len(inside) + 1 - node.level] if node.level else []
            origin = origin + (node.module.split(".") if node.module else [])
            names = [[*origin, alias.name] for alias in node.names]
        for name in names:
            if name[: len(own)] == own:
                module = name[len(own)] if len(name) > len(own) else ""
                known = module and ((package / module).is_dir() or (package / f"{module}.py").exists())
                yield node.lineno, module if known else "__init__"


def violations(package, ranks, root):
    for path, module in modules(package):
        where = path.relative_to(root)
        if module not in ranks:
            yield f"{where}: give {module!r} a place in LAYERS of tests/test_import_layers.py"
            continue
        for line, other in sorted(set(imported(path, package, root))):
            if other != module and ranks.get(other, -1) >= ranks[module]:
                yield f"{where}:{line}: {module!r} may not import {other!r}"


@pytest.mark.parametrize(("package", "layers"), [(PACKAGE, LAYERS), (EVIDENCE, EVIDENCE_LAYERS)])
def test_imports_go_one_way(package, layers):
    assert not list(violations(package, ranks_of(layers), PACKAGE.parent))


@pytest.mark.parametrize(("package", "layers"), [(PACKAGE, LAYERS), (EVIDENCE, EVIDENCE_LAYERS)])
def test_every_place_is_taken(package, layers):
    assert {module for _, module in modules(package)} == set().union(*layers)


def test_the_library_needs_neither_evidence_nor_what_draws_and_tabulates_it():
    """In a process of its own that has neither of them, though scikit-learn would import pandas by itself."""
    program = """
import sys
sys.modules["matplotlib"] = sys.modules["pandas"] = None  # to import either is an ImportError
import mmkd_core
assert mmkd_core.MODELS and mmkd_core.load and mmkd_core.fit
for name in mmkd_core.__all__:
    getattr(mmkd_core, name)
unwanted = ("matplotlib", "pandas", "mmkd_core.evidence")
print(*(name for name, module in sys.modules.items() if name.startswith(unwanted) and module))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_no_file_is_long():
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


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
    assert list(violations(package, ranks, tmp_path)) == ([found] if found else [])


@pytest.mark.parametrize(
    ("file", "source", "found"),
    [
        ("top.py", "from pkg.wing.low import x\nfrom pkg.wing import low\nfrom . import low", None),
        ("top.py", "from pkg.high import x\nfrom ..high import x", None),  # the package around it has rows of its own
        ("part/a.py", "from ..low import x\nfrom pkg.wing.part.b import x", None),
        ("low.py", "import pkg.wing.top", "pkg/wing/low.py:1: 'low' may not import 'top'"),
        ("low.py", "from .part import b", "pkg/wing/low.py:1: 'low' may not import 'part'"),
        ("part/a.py", "from .. import top", "pkg/wing/part/a.py:1: 'part' may not import 'top'"),
        ("part/a.py", "from pkg.wing.top import x", "pkg/wing/part/a.py:1: 'part' may not import 'top'"),
        ("top.py", "from pkg.wing import x", "pkg/wing/top.py:1: 'top' may not import '__init__'"),
        ("new.py", "", "pkg/wing/new.py: give 'new' a place in LAYERS of tests/test_import_layers.py"),
    ],
)
def test_the_gate_of_a_folder_with_rows_of_its_own(tmp_path, file, source, found):
    wing = tmp_path / "pkg" / "wing"
    (wing / "part").mkdir(parents=True)
    for name in ("low.py", "top.py", "part/a.py", "part/b.py"):
        (wing / name).touch()
    (wing / file).write_text(source)
    ranks = {"low": 0, "part": 1, "top": 2, "__init__": 3}
    assert list(violations(wing, ranks, tmp_path)) == ([found] if found else [])
