"""The plug-in's rules one by one, and then as nbval applies them to a notebook."""

from pathlib import Path

import nbformat
import nbval_tolerance
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nbval_tolerance import NUMBER, snap

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("reference", "computed"),
    [
        ("recall@20 0.672", "recall@20 0.674"),
        ("0.0004", "-0.0004"),
        ("0.0", "-0.0"),
        (".25", "0.251"),
        ("1e-3", "1.2e-3"),
        ("1.00E+05", "101000.0"),
        ("12.0%", "12.1%"),
        ("loss −0.50", "loss −0.501"),
        ("0.672 ± 0.003", "0.671 ± 0.004"),
        ("tensor([-0.0004,  0.5000])", "tensor([0.0003, 0.5001])"),
        ("   recall\n0    9.99", "    recall\n0    10.01"),
        ("<td>0.672</td>", "<td>0.67</td>"),
        ("in all 0.5.", "in all 0.501."),
        ("nan inf 5. 12% 2.13.0 v1.2 3d", "nan inf 5. 12% 2.13.0 v1.2 3d"),
    ],
)
def test_passes(reference, computed):
    assert snap(reference, computed) == reference


@pytest.mark.parametrize(
    ("reference", "computed"),
    [
        ("0.672", "0.742"),
        ("0.5", "-0.5"),
        ("100", "101"),
        ("1,000 users", "1,001 users"),
        ("tensor([100.])", "tensor([101.])"),
        ("12%", "13%"),
        ("2.13.0", "2.13.1"),
        ("v1.20", "v1.21"),
        ("12.00ms", "12.01ms"),
        ("1234e5ab", "1235e5ab"),
        ("recall@20 0.5", "recall@50 0.5"),
        ("recall 0.5", "ndcg 0.5"),
        ("1.0", "1"),
        ("1", "1.0"),
        ("0.5", "nan"),
        ("nan", "0.5"),
        ("inf", "-inf"),
        ("0.5", "0.5 0.5"),
        ("0.5", ""),
        ("a b", "ab"),
        ("1e400", "-1e400"),
    ],
)
def test_fails(reference, computed):
    assert snap(reference, computed) == computed


def test_only_the_wrong_number_is_left_for_the_report():
    assert snap("recall 0.672, ndcg 0.400", "recall 0.674, ndcg 0.500") == "recall 0.672, ndcg 0.500"


def test_zero_tolerance_is_equality():
    assert snap("0.672", "0.6720001", relative=0.0) == "0.6720001"


@given(st.text())
def test_a_text_passes_for_itself(text):
    assert snap(text, text, relative=0.0) == text


@given(st.text(), st.text())
def test_texts_without_floats_pass_only_if_equal_but_for_blanks(reference, computed):
    assume("".join(reference.split()) != "".join(computed.split()))
    assume(not any("." in number or "e" in number.lower() for number in NUMBER.findall(reference)))
    assert snap(reference, computed) == computed


@given(st.floats(-1e6, 1e6), st.floats(-0.5, 0.5), st.sampled_from([".4f", ".6e"]))
def test_floats_pass_exactly_within_the_tolerance(value, drift, form):
    reference, computed = f"{value:{form}}", f"{value * (1 + drift):{form}}"
    difference = abs(float(computed) - float(reference))
    allowed = max(0.02 * abs(float(reference)), 0.02 * abs(float(computed)), 0.001)
    assume(abs(difference - allowed) > 1e-9 * abs(value))
    assert (snap(f"x={reference}, y", f"x={computed}, y") == f"x={reference}, y") == (difference <= allowed)


@given(st.integers(), st.integers())
def test_integers_pass_only_if_equal(reference, computed):
    assert (snap(f"n = {reference}", f"n = {computed}") == f"n = {reference}") == (reference == computed)


def run_notebook(pytester, *cells):
    """Runs nbval over a notebook of (source, reference output, tags) cells."""
    notebook = nbformat.v4.new_notebook()
    for count, (source, reference, tags) in enumerate(cells, 1):
        output = nbformat.v4.new_output("stream", name="stdout", text=reference)
        cell = nbformat.v4.new_code_cell(source, outputs=[output], execution_count=count)
        cell.metadata.tags = ["nbval-check-output", *tags]
        notebook.cells.append(cell)
    nbformat.write(notebook, pytester.path / "trial.ipynb")
    pytester.makeini(f"[pytest]\npythonpath = {Path(nbval_tolerance.__file__).parent}")
    pytester.makeconftest("pytest_plugins = ['nbval_tolerance']")
    return pytester.runpytest_subprocess("--nbval-lax", "--nbval-current-env", "--color=no")


def test_in_nbval(pytester):
    result = run_notebook(
        pytester,
        ("print('recall', 0.672)", "recall 0.672\n", []),
        ("print('recall', 0.674)", "recall 0.672\n", []),
        ("print('recall', 0.742)", "recall 0.672\n", []),
        ("print('recall', 0.742)", "recall 0.672\n", ["tolerance-0.2"]),
        ("print('recall', 0.674)", "recall 0.672\n", ["tolerance-0"]),
        ("print('recall', 0.672); print('ndcg', 0.4)", "recall 0.672\n", []),
    )
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(["*Cell 2: Cell outputs differ*", "*recall 0.672*==*recall 0.742*"])
