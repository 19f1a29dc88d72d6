"""`mmkd serve` as a process: what it does with bytes that are no request, with time, signals and new versions."""

import json
import signal
import socket
import threading
import time
from urllib.parse import quote

import pytest
from service import answered, ask, client_of, exchanged, started, write_made_up
from test_service import ODD

from mmkd_core.exported import CURRENT, VERSIONS
from mmkd_core.serving.catalogue import read_catalogue

ITEMS = [f"{one}!" for one in ODD] + list("abcdefgh")
POST = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
TOKEN = "fedcba9876543210"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_made_up(tmp_path_factory.mktemp("odd") / "out", ODD, ITEMS)


@pytest.fixture(scope="module")
def port(folder):
    said = []
    with started(folder, said=said) as (process, port):
        yield port
        assert process.poll() is None
    assert said == [""]
    assert process.returncode == 0


def test_the_short_way_and_the_long_one_answer_with_the_same_bytes(folder, port):
    with client_of(folder) as client:
        for user in ODD[:-1]:
            path = f"/recommend/{quote(user, safe='')}?k=5"
            request = f"GET {path}{{}} HTTP/1.1\r\nHost: x\r\nConnection: {{}}\r\n\r\n"
            kept = exchanged(port, request.format("", "keep-alive").encode(), request.format("", "close").encode())
            short, long = kept.split(b"HTTP/1.1 200 OK\r\n")[1:]
            body = short.partition(b"\r\n\r\n")[2]
            assert body == long.partition(b"\r\n\r\n")[2]
            assert json.loads(body)["user"] == user
            heads = [{*one.partition(b"\r\n\r\n")[0].split(b"\r\n")} - {b"connection: close"} for one in (short, long)]
            assert heads[0] == heads[1]
            if "%" not in user:  # which the test client decodes twice
                assert client.get(path).content == body


def test_requests_that_come_at_once_or_byte_by_byte_are_answered_in_order(port):
    paths = ["/recommend/a%2Fb?k=1", "/health", "/recommend/%23?k=2", "/nothing", "/recommend/~", "/recommend/%C3%A9"]
    requests = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths]
    requests[-1] = requests[-1].replace(b"Host", b"Connection: close\r\nHost")
    once = exchanged(port, b"".join(requests))
    slow = exchanged(port, *(bytes([byte]) for byte in b"".join(requests)))
    assert once == slow
    assert [int(part[:3]) for part in once.split(b"HTTP/1.1 ")[1:]] == [200, 200, 200, 404, 404, 200]


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        (b"\r\n\r\nhello\r\n\r\n", 400, "no request that HTTP/1.1 knows"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "no request that HTTP/1.1 knows"),
        (b"GET /recommend/\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "no request"),
        (b"GET health HTTP/1.1\r\nHost: x\r\n\r\n", 400, "no request"),
        (b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n", 404, "no such address"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "no request"),
        (b"GET /health HTTP/1.1\r\nNo colon\r\n\r\n", 400, "no request"),
        (b"POST /recommend HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "no request"),
        (b"POST /recommend HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "no request"),
        (b"POST /recommend HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "no request"),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "got more than 32,768 bytes"),
        (b"GET /" + b"x" * 400_000, 431, "got more than 32,768 bytes"),
        (b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 7000 + b"\r\n", 431, "got more than 32,768 bytes"),
        (b"POST /recommend HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413, "body: got 1048577 bytes; expected"),
        (b"POST /recommend HTTP/1.1\r\nContent-Length: 99999999999999999\r\n\r\n{", 413, "at most 1,048,576"),
    ],
)
def test_what_is_no_request_is_told_so_and_the_connection_ends(request_, status, says, port):
    got, fields, body = answered(port, request_)
    assert (got, fields["content-type"]) == (status, "application/problem+json"), body
    assert says in json.loads(body)["detail"]
    assert fields["connection"] == "close"
    assert int(fields["content-length"]) == len(body)
    assert ask(port, "/health")[0] == 200


def test_a_body_in_pieces_is_bounded_too(port):
    head = (
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    status, _, body = answered(port, head + b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(20)))
    assert (status, json.loads(body)["status"]) == (413, 413)
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b'{"items":', b' ["a"]}')) + b"0\r\n\r\n"
    status, _, body = answered(port, head.replace(b"Host", b"Connection: close\r\nHost") + pieces)
    assert (status, json.loads(body)["unknown"]) == (200, [])


def test_an_upgrade_to_websocket_is_no_way_in(port):
    fields = "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"
    head = "\r\n".join(["GET /health HTTP/1.1", "Host: x", "Connection: Upgrade, close", *fields, "", ""])
    assert answered(port, head.encode())[0] == 200


def test_it_listens_to_this_machine_alone_and_a_taken_port_is_told(folder, port, refused):
    refused("serve", folder, "--port", port, says=f"port {port} of 127.0.0.1: cannot be had")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_time_runs_out_for_who_does_not_say_what_they_want(folder):
    """With shorter times, in a process that patches nothing else."""
    program = """
import dataclasses, sys
from mmkd_core.serving import start
limits = start.Limits(head_seconds=0.3, request_seconds=0.3, idle_seconds=1, connections=3)
start.Limits = lambda: limits
from mmkd_core.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    with started(folder, program=program) as (_, port):
        status, _, body = answered(port, b"GET /hea")
        assert (status, json.loads(body)["detail"]) == (408, "the request did not come within 0.3 seconds")
        assert answered(port, b"")[0] == 408
        status, fields, body = answered(port, POST + b"Content-Length: 9\r\n\r\n{")
        assert (status, fields["connection"]) == (408, "close")
        for path in ("/recommend/a%2Fb", "/health"):  # both ways, then idle: ended without a word
            assert exchanged(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).count(b"HTTP/1.1") == 1
        others = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for other in others:
            other.sendall(b"GET /recommend/a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n")
            assert other.recv(12) == b"HTTP/1.1 200"
        status, _, body = answered(port, b"GET /recommend/a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, json.loads(body)["detail"]) == (503, "more than 3 connections are open; try again in a second")
        for other in others:
            other.close()


def test_the_short_way_wants_the_token_too(folder, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    said = []
    with started(folder, "--token-file", tmp_path / "token", "--host", "0.0.0.0", said=said) as (_, port):
        assert ask(port, "/recommend/a%2Fb")[0] == 401
        for wrong in (f"Bearer {TOKEN}x", f"bearer {TOKEN}", TOKEN, ""):
            request = f"GET /recommend/a%2Fb HTTP/1.1\r\nHost: x\r\nAuthorization: {wrong}\r\n\r\n".encode()
            twice = exchanged(port, request + request.replace(b"Host", b"Connection: close\r\nHost"))
            assert twice.count(b"HTTP/1.1 401") == 2
        assert ask(port, "/recommend/a%2Fb", f"Authorization: Bearer {TOKEN}")[0] == 200
        assert ask(port, "/health")[0] == 200
    assert "whoever reaches" not in said[0]
    with started(folder, "--host", "0.0.0.0", said=said):
        pass
    assert "whoever reaches http://0.0.0.0:" in said[1]
    assert "--token-file FILE lets those in who know its token" in said[1]


EARLY = """
import os, signal, uvicorn
from mmkd_core.__main__ import main
def run(server, run=uvicorn.Server.run, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    run(server, **options)
uvicorn.Server.run = run
raise SystemExit(main())
"""


def test_a_signal_that_comes_before_the_first_answer_ends_it(folder):
    with started(folder, program=EARLY) as (process, _):
        assert process.wait(20) == 0


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_what_was_begun_answered(sent, status, folder):
    said = []
    with started(folder, said=said) as (process, port), socket.create_connection(("127.0.0.1", port)) as begun:
        begun.sendall(
            b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
        )
        ask(port, "/health")
        process.send_signal(sent)
        time.sleep(0.3)
        begun.sendall(b'{"items":["a"]}')
        received = begun.recv(65536)
        process.wait(20)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert process.returncode == status
    assert "Traceback" not in said[0]


def test_a_new_version_is_served_without_a_request_that_fails(tmp_path):
    folder = write_made_up(tmp_path / "out", seed=0)
    write_made_up(tmp_path / "other", seed=1).rename(tmp_path / "new")
    first, second = (read_catalogue(path).version for path in (folder, tmp_path / "new"))
    said, failed, lists, ended = [], [], set(), threading.Event()
    with started(folder, said=said) as (process, port):

        def load():
            with socket.create_connection(("127.0.0.1", port)) as connection:
                while not ended.is_set():
                    connection.sendall(b"GET /recommend/1?k=3 HTTP/1.1\r\nHost: x\r\n\r\n")
                    answer = connection.recv(65536)
                    lists.add(answer)
                    if not answer.startswith(b"HTTP/1.1 200"):
                        failed.append(answer)

        def serves(version):
            end = time.monotonic() + 20
            while ask(port, "/health")[2]["version"] != version:
                assert time.monotonic() < end
                time.sleep(0.05)

        asking = threading.Thread(target=load)
        asking.start()
        try:
            (folder / VERSIONS).mkdir()
            (tmp_path / "new").rename(folder / VERSIONS / "2")
            (folder / CURRENT).write_text(f"{VERSIONS}/2\n")
            serves(second)
            (folder / CURRENT).write_text("anywhere/else\n")  # broken: the one that is served goes on
            end = time.monotonic() + 20
            while b'result="broken"' not in exchanged(
                port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ):
                assert time.monotonic() < end
                time.sleep(0.05)
            assert ask(port, "/health")[2]["version"] == second
            (folder / CURRENT).unlink()
            process.send_signal(signal.SIGHUP)
            serves(first)
        finally:
            ended.set()
            asking.join()
    assert failed == []
    assert len(lists) == 2
    assert f"serves version {second} now" in said[0]
    assert "the new version is left, the old one goes on" in said[0]
    assert "current: got 'anywhere/else'" in said[0]
    assert f"serves version {first} now" in said[0]
