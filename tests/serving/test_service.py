"""`mmkd serve`: what it answers, in this process."""

import json
import re
import subprocess
import sys
from urllib.parse import quote

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up_folder import ITEMS, USERS
from PIL import Image
from service import ROOT, client_of, gate_of, problem, write_made_up
from shop import WITHOUT_HISTORY, item_id, user_id

from mmkd_core.exported import read_export
from mmkd_core.fold_in import fold_in, learned
from mmkd_core.lists import write_lists
from mmkd_core.served import of_export
from mmkd_core.serving.catalogue import read_catalogue, top
from mmkd_core.serving.names import Names

ODD = [
    "a/b",
    "a b",
    "%2F",
    "é",
    "日本",
    "?k=1",
    "#",
    "..x",
    "a+b",
    'quote"',
    "back\\slash",
    "<b>",
    "\t",
    "😀",
    "a,b",
    "&",
    "~",
]


@pytest.fixture(scope="module")
def client(exported):
    with client_of(exported) as client:
        yield client


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Users and items with ids of all kinds of signs."""
    return write_made_up(tmp_path_factory.mktemp("odd") / "out", ODD, [f"{one}!" for one in ODD] + list("abcdefgh"))


def listed(response):
    assert response.status_code == 200, response.text
    return [item["item"] for item in response.json()["items"]]


# --- lists ---


def test_lists_are_those_of_recommend(exported, client, tmp_path):
    import pyarrow.parquet as pq

    write_lists(tmp_path / "lists.parquet", of_export(exported), torch.arange(USERS), 7)
    rows = pq.read_table(tmp_path / "lists.parquet").to_pylist()
    for user in range(USERS - 1):
        expected = [row for row in rows if row["user"] == user_id(user)]
        found = client.get(f"/recommend/{quote(user_id(user))}?k=7").json()
        assert found["user"] == user_id(user)
        assert [item["item"] for item in found["items"]] == [row["item"] for row in expected]
        assert [item["score"] for item in found["items"]] == pytest.approx([row["score"] for row in expected], rel=1e-5)


def test_what_was_seen_is_left_out_and_is_the_history(exported, client):
    _, _, indptr, seen, _ = read_export(exported)
    for user in range(3):
        own = [item_id(item) for item in seen[indptr[user] : indptr[user + 1]]]
        history = client.get(f"/history/{user_id(user)}").json()
        assert (history["count"], [item["item"] for item in history["items"]]) == (len(own), own)
        everything = listed(client.get(f"/recommend/{user_id(user)}?k={ITEMS}"))
        assert sorted([*everything, *own]) == [item_id(item) for item in range(ITEMS)]
    assert len(client.get(f"/history/{user_id(0)}?k=2").json()["items"]) == 2


def test_somebody_new_gets_what_the_library_folds_in(exported, client):
    users, items, indptr, seen, _ = read_export(exported)
    chosen = [3, 17, 40]
    row = fold_in(items, np.array([0, 3]), np.array(chosen), learned(users, items, indptr, seen))[0]
    order = [item for item in np.argsort(-(items @ row), kind="stable") if item not in chosen]
    answer = client.post("/recommend", json={"items": [item_id(item) for item in [*chosen, 3]], "k": 9})
    assert listed(answer) == [item_id(item) for item in order[:9]]
    assert answer.json()["unknown"] == []
    some = {"items": ["nothing", item_id(3), item_id(17), item_id(40)], "k": 9, "deny": [item_id(order[0]), "no such"]}
    denied = client.post("/recommend", json=some)
    assert (listed(denied), denied.json()["unknown"]) == (
        [item_id(item) for item in order[1:10]],
        ["nothing", "no such"],
    )
    allowed = [item_id(item) for item in [*order[5:8], 3]]
    assert listed(client.post("/recommend", json=some | {"deny": None, "allow": allowed})) == allowed[:3]


def test_similar_items_are_those_of_the_largest_cosine(exported, client):
    items = read_export(exported).items
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    for item in (0, 31):
        order = [other for other in np.argsort(-(unit @ unit[item]), kind="stable") if other != item]
        answer = client.get(f"/similar/{item_id(item)}?k=5")
        assert listed(answer) == [item_id(other) for other in order[:5]]
        scores = [one["score"] for one in answer.json()["items"]]
        assert scores == pytest.approx([float(unit[other] @ unit[item]) for other in order[:5]], abs=1e-5)


@given(st.lists(st.sampled_from([-np.inf, -1.5, 0.0, 0.5, 2.0, 3.25]), min_size=1, max_size=200), st.integers(1, 40))
def test_the_largest_are_found_by_groups_as_by_sorting(scores, k):
    scores = np.array(scores, np.float32)
    order = [item for item in np.argsort(-scores, kind="stable")[:k] if scores[item] > -np.inf]
    best = top(scores.copy(), k)
    assert best.items.tolist() == order
    assert np.array_equal(best.scores, scores[order])


@given(st.lists(st.text("ab\U0010ffff", max_size=3), min_size=1, max_size=30, unique=True), st.text("ab", max_size=2))
def test_names_that_begin_with_a_text_are_found(ids, beginning):
    names = Names(ids)
    expected = sorted(one for one in ids if one.startswith(beginning))
    assert [ids[number] for number in names.beginning(beginning, 100)] == expected
    assert len(names.beginning(beginning, 2)) == min(2, len(expected))


# --- ids ---


def test_ids_of_all_kinds_of_signs_reach_it_through_a_url(odd):
    with client_of(odd) as client:
        for user, one in enumerate(ODD[:-1]):
            if "%" in one:
                continue  # which this client decodes twice; test_service_process.py has it
            answer = client.get(f"/recommend/{quote(one, safe='')}?k=3")
            assert answer.status_code == 200, one
            assert answer.json()["user"] == one
            near = client.get(f"/similar/{quote(one + '!', safe='')}?k=3")
            assert near.json()["item"] == one + "!"
            assert client.get(f"/users?k=1&begin={quote(one, safe='')}").json() == {"users": [one]}
            assert len(listed(client.post("/recommend", json={"items": [one + "!"], "k": 3}))) == 3, user


@pytest.mark.parametrize("ids", [True, False])
def test_whole_numbers_are_numbers_in_answers_and_either_in_requests(ids, tmp_path):
    users, items = (
        ([2**63 - 1 - n for n in range(6)], [10**17 + n for n in range(40)]) if ids else (range(6), range(40))
    )
    folder = write_made_up(tmp_path / "out", *((users, items) if ids else ()))
    with client_of(folder) as client:
        answer = client.get(f"/recommend/{users[1]}?k=4")
        assert answer.json()["user"] == users[1]
        assert set(listed(answer)) <= set(items)
        first = [client.post("/recommend", json={"items": [kind(items[5])]}).text for kind in (int, str)]
        assert first[0] == first[1]
        problem(client.get("/recommend/1e1"), 404)
        problem(client.get("/recommend/+1"), 404)


def test_float16_is_served(exported, tmp_path):
    _, items, indptr, seen, card = read_export(exported)
    half = items.astype(np.float16)
    from mmkd_core.exported import write_files

    arrays = {"users": half[:5], "items": half, "seen_indptr": indptr[:6], "seen_items": seen[: indptr[5]]}
    (tmp_path / "half").mkdir()
    write_files(tmp_path / "half", arrays, None, None, card)
    with client_of(tmp_path / "half") as client:
        assert len(listed(client.get("/recommend/0?k=5"))) == 5


# --- titles and pictures ---


def test_titles_and_pictures_are_matched_once(odd, tmp_path, recwarn):
    (tmp_path / "titles.csv").write_text('id,title\na/b!,"Rails,  tar"\nnobody,x\na,"<b>Bold</b>"\n')
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "a%2Fb!.png", "nobody.png"):
        Image.new("RGB", (2, 2)).save(pictures / name)
    (pictures / "b.txt").write_text("no picture")
    (pictures / "c.svg").write_text("<svg/>")
    with client_of(odd, titles=tmp_path / "titles.csv", pictures=pictures) as client:
        assert sorted(str(note.message).rpartition(": ")[2] for note in recwarn) == [
            "2 of 25 items have a picture", "2 of 25 items have a title"
        ]  # fmt: skip
        every = {item["item"]: item for item in client.get("/similar/b?k=100").json()["items"]}
        assert every["a/b!"] == {
            "item": "a/b!", "title": "Rails, tar", "picture": "/pictures/a%2Fb%21", "score": every["a/b!"]["score"]
        }  # fmt: skip
        assert every["a"]["title"] == "<b>Bold</b>"
        assert [item for item in every.values() if "picture" in item] == [every["a"], every["a/b!"]] or len(every) == 24
        shown = client.get(every["a/b!"]["picture"])
        assert (shown.headers["content-type"], shown.content) == ("image/png", (pictures / "a%2Fb!.png").read_bytes())
        assert problem(client.get("/pictures/b"), 404) == "item 'b' has no picture"
        for path in ("nobody", "..%2Ftitles.csv", "%2Fetc%2Fpasswd", "a.png"):
            assert "no such id" in problem(client.get(f"/pictures/{path}"), 404)
        (pictures / "a.png").unlink()
        assert problem(client.get("/pictures/a"), 404) == "the picture is no longer there"


# --- what is about it ---


def test_health_metrics_and_schema(exported):
    with client_of(exported) as client:
        health = client.get("/health").json()
        assert health == {"status": "ok", "version": read_catalogue(exported).version, "data": "shop",
                          "model": "lightgcn", "users": USERS, "items": ITEMS, "dim": 64}  # fmt: skip
        client.get(f"/recommend/{user_id(0)}")
        client.get("/recommend/nobody")
        client.get("/nothing")
        text = client.get("/metrics").text
        for line in ('mmkd_requests_total{route="/recommend/{user}",status="200"} 1.0',
                     'mmkd_requests_total{route="/recommend/{user}",status="404"} 1.0',
                     'mmkd_requests_total{route="none",status="404"} 1.0',
                     'mmkd_request_seconds_count{route="/health"} 1.0', f'mmkd_export_rows{{kind="item"}} {ITEMS}.0',
                     f'mmkd_export_info{{data="shop",version="{health["version"]}"}} 1.0'):  # fmt: skip
            assert line in text
        schema = client.get("/openapi.json").json()
        paths = {"/recommend/{user}", "/recommend", "/similar/{item}", "/history/{user}", "/users", "/pictures/{item}",
                 "/health", "/metrics"}  # fmt: skip
        assert set(schema["paths"]) == paths
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                assert operation["description"], path
                assert all(
                    "example" in parameter and parameter["description"] for parameter in operation.get("parameters", ())
                )


def test_headers_forbid_a_browser_all_that_is_not_needed(client):
    page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"https?://", page.text) == []
    for response in (page, client.get("/health"), client.get("/nothing")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["referrer-policy"] == "no-referrer"


def test_a_token_opens_what_is_about_users_and_items(exported):
    token = "0123456789abcdef"
    with client_of(exported, token=token) as client:
        assert [client.get(path).status_code for path in ("/", "/health")] == [200, 200]
        for path in (f"/recommend/{user_id(0)}", "/users", "/metrics", "/openapi.json", "/nothing"):
            for field in (None, "Bearer", f"Bearer {token}x", f"Basic {token}", "Bearer é".encode()):
                headers = {} if field is None else {"authorization": field}
                response = client.get(path, headers=headers)
                assert "Authorization: Bearer TOKEN" in problem(response, 401)
                assert response.headers["www-authenticate"] == "Bearer"
            assert client.get(path, headers={"authorization": f"Bearer {token}"}).status_code in (200, 404)


def test_a_fault_of_ours_is_a_problem_too(exported, monkeypatch, caplog):
    gate, current = gate_of(exported)
    from fastapi.testclient import TestClient

    with TestClient(gate, raise_server_exceptions=False) as client:
        monkeypatch.setattr(current.answers, "similar", lambda *_: 1 / 0)
        assert problem(client.get("/similar/x"), 500) == "the service failed at this request; its log says where"
    assert "ZeroDivisionError" in caplog.text


# --- what it needs ---


def test_it_needs_none_of_what_trains_models_and_draws_the_book(exported):
    program = f"""
import sys
unwanted = {{"torch", "scipy", "pandas", "sklearn", "matplotlib", "seaborn", "pooch", "tqdm", "optuna", "safetensors",
            "onnx", "sympy", "PIL", "transformers", "IPython"}}
from mmkd_core.serving import start
start.uvicorn.Server.run = lambda server, sockets: print("served")
start.serve({str(exported)!r}, port=0, on_start=lambda address, what: print(what))
print(*(unwanted | {{"mmkd_core.data", "mmkd_core.datasets.assemble"}}) & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("lightgcn of shop, 20 users × 60 items, 64-d\nserved\n\n", "")


def test_its_help_imports_nothing_heavy():
    program = """
import sys
from mmkd_core.__main__ import main
try:
    main(["serve", "--help"])
finally:
    print("|", *{"torch", "numpy", "fastapi", "pyarrow", "uvicorn"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.rpartition("|")[2].split() == []
    assert "curl" in done.stdout


def test_without_the_extra_it_says_what_to_install(exported, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "mmkd_core.serving.start", raising=False)
    refused("serve", exported, says=r"mmkd serve needs uvicorn; pip install 'mmkd-book\[serve\]'")


def test_who_has_no_history_is_told_what_to_do(client):
    detail = problem(client.get(f"/recommend/{quote(user_id(WITHOUT_HISTORY))}"), 404)
    assert "has no training history" in detail
    assert "POST" in detail
    assert client.get(f"/history/{quote(user_id(WITHOUT_HISTORY))}").json()["count"] == 0
    assert user_id(WITHOUT_HISTORY) not in client.get("/users?k=100").json()["users"]


def test_nobody_can_be_folded_in_where_nobody_has_a_history(tmp_path):
    from service import NAMED

    from mmkd_core.exported import write_files

    (tmp_path / "out").mkdir()
    tables = {"users": np.ones((2, 3), np.float32), "items": np.ones((5, 3), np.float32)}
    empty = {"seen_indptr": np.zeros(3, np.int64), "seen_items": np.zeros(0, np.int32)}
    write_files(tmp_path / "out", tables | empty, None, None, NAMED)
    with client_of(tmp_path / "out") as client:
        assert "no user of this export has a history" in problem(client.post("/recommend", json={"items": [1]}), 404)
        assert json.loads(client.get("/users").text) == {"users": []}
