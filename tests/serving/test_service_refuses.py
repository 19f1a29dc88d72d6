"""What `mmkd serve` has no answer for, a problem that says why and never a 5xx, and what it does not start with."""

import json
import re
import socket
import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service import NAMED, client_of, problem, write_made_up
from shop import item_id, user_id

BAD = Path(__file__).parents[1] / "bad_input" / "http.toml"
CASES = tomllib.loads(BAD.read_text(encoding="utf-8"))["cases"]
HOLES = {
    "{user}": user_id(7), "{item}": item_id(4), "{long}": "x" * 300, "{digits}": "1" * 5000, "{deep}": "[" * 100_000,
    "{many}": ",".join(["1"] * 1001),
}  # fmt: skip
PLAIN = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.just(item_id(4))
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
BODY = st.fixed_dictionaries(
    {"items": st.lists(JSON, max_size=3)}, optional={"k": JSON, "deny": JSON, "allow": JSON | st.lists(PLAIN)}
)
FILES = {
    "file": "x",
    "short": "abcde\n",
    "spaces": "a token of more than enough",
    "narrow.csv": "id\nB001\n",
    "others.csv": "id,title\nx,y\n",
    "quotes.csv": 'id,title\nB001,"a"b"\n',
}
ROUTES = ("recommend", "similar", "history", "pictures", "users", "metrics", "")


@pytest.fixture(scope="module")
def client(exported):
    with client_of(exported) as client:
        yield client


def filled(text):
    for name, value in HOLES.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_it_has_no_answer(case, client):
    sent = {"json": case["json"]} if "json" in case else {}
    if "body" in case or "bytes" in case:
        body = bytes(case["bytes"]) if "bytes" in case else filled(case["body"]).encode()
        sent = {"content": body, "headers": {"content-type": "application/json"}}
    response = client.request(case.get("method", "GET"), filled(case["path"]), **sent)
    detail = problem(response, case["status"])
    assert re.search(case["says"], detail), detail
    assert len(detail) < 400
    assert ("allow" in response.headers) == (case["status"] == 405)


@given(st.sampled_from(ROUTES), st.text(max_size=20), st.text(max_size=8))
def test_any_path_has_an_answer_or_a_problem(client, route, name, k):
    path = f"/{route}/{quote(name, safe='', errors='replace')}?k={quote(k, errors='replace')}"
    assert client.get(path).status_code in (200, 404, 422)


@settings(max_examples=60)
@given(JSON | BODY)
def test_any_body_has_an_answer_or_a_problem(client, body):
    response = client.post("/recommend", content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code in (200, 400, 422)


# --- what it does not start with ---


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "required: EXPORT"),
        (["{tmp}/none"], r"card\.json: no such card of an export; expected a file that `mmkd export` wrote"),
        (["{tmp}"], r"card\.json: no such card of an export"),
        (["{tmp}/file"], r"card\.json: (no such|not a) card of an export"),
        (["{broken}"], r"tables\.npz: damaged: got sha256"),
        (["{export}", "--port", "many"], "argument --port: 'many' is not a whole number"),
        (["{export}", "--port", "65536"], "--port 65536; expected from 1 to 65535, or 0 for any that is free"),
        (["{export}", "--port", "-1"], "--port -1; expected from 1 to 65535"),
        (
            ["{export}", "--port", "{taken}"],
            r"port \d+ of 127.0.0.1: cannot be had \(Address already in use\)",
        ),
        (["{export}", "--host", "no such host"], "--host 'no such host': no address"),
        (["{export}", "--host", "192.0.2.1", "--port", "0"], r"port 0 of 192\.0\.2\.1: cannot be had"),
        (["{export}", "--host", "x" * 300], "--host 'x+.*: no address"),
        (["{export}", "--token", "secret"], "unrecognized arguments: --token secret"),
        (
            ["{export}", "--token-file", "{tmp}/none"],
            "none: cannot be read .No such file or directory.; expect",
        ),
        (["{export}", "--token-file", "{tmp}"], "cannot be read .Is a directory.; expected a token of 16"),
        (["{export}", "--token-file", "{tmp}/short"], "short: got 5 characters; expected a token of 16 or more"),
        (["{export}", "--token-file", "{tmp}/spaces"], "spaces: got 27 characters; expected a token of 16 or more"),
        (["{export}", "--token-file", "{tmp}/accents"], "accents: cannot be read .it is not ASCII.; expected a token"),
        (["{export}", "--titles", "{tmp}/none.csv"], "none.csv: cannot be read as titles .No such file"),
        (
            ["{export}", "--titles", "{tmp}/file"],
            r"file: expected a .csv or .tsv file with the columns \['item', 'title'\]",
        ),
        (
            ["{export}", "--titles", "{tmp}/narrow.csv"],
            r"narrow.csv: cannot be read as titles .got the columns \['id'\]",
        ),
        (["{export}", "--titles", "{tmp}/latin.csv"], "latin.csv: cannot be read as titles .*utf-8"),
        (["{export}", "--titles", "{tmp}/quotes.csv"], "quotes.csv: cannot be read as titles"),
        (
            ["{export}", "--titles", "{tmp}/others.csv"],
            r"others.csv: got a title of \['x'\], of no item; .* such as \['B000'",
        ),
        (
            ["{export}", "--pictures", "{tmp}/none"],
            "none: no such folder; expected one of pictures",
        ),
        (["{export}", "--pictures", "{tmp}/file"], "file: no such folder; expected one of pictures"),
        (
            ["{export}", "--pictures", "{tmp}"],
            r": got no picture; expected some by .* such as \['B000'",
        ),
    ],
)
def test_it_does_not_start(arguments, says, exported, refused, tmp_path):
    broken = write_made_up(tmp_path / "broken")
    (broken / "tables.npz").write_bytes(b"PK")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "accents").write_bytes("é".encode() * 20)
    (tmp_path / "latin.csv").write_bytes(b"id,title\nB001,\xe9\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        places = {"tmp": tmp_path, "broken": broken, "export": exported, "taken": taken.getsockname()[1]}
        given = [argument.format(**places) for argument in arguments]
        if "--port" not in given and arguments:
            given += ["--port", "0"]
        refused("serve", *given, says=says)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e30])
def test_tables_that_cannot_be_ranked_are_refused(number, tmp_path, refused):
    from mmkd_core.exported import read_export, write_files

    users, items, indptr, seen, _ = read_export(write_made_up(tmp_path / "good"))
    users[1, 2] = items[3, 1] = number
    arrays = {"users": users, "items": items, "seen_indptr": indptr, "seen_items": seen}
    folder = tmp_path / "out"
    folder.mkdir()
    write_files(folder, arrays, None, None, NAMED)
    refused("serve", folder, "--port", "0", says="tables.npz: holds NaN, infinity or numbers whose products are")
