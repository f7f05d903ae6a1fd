"""Who is let in: by which name, from which site, with what token. Over the wire, as browsers and others send it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from sidecar.api.server import CONNECTIONS
from sidecar.api.throttle import FAILURES
from tests.api.running import CONTROL, JSON, READ, Api, Reply, as_control, as_reader, problem
from tests.engine.commands import eventually

ITEMS = "/api/v1/items"
OTHER_SITE = "https://elsewhere.example"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Api(tmp_path_factory.mktemp("guards"), allowed_hosts=["nas.lan", "proxy.lan:443"],
             allowed_origins=[OTHER_SITE]) as made:  # fmt: skip
        yield made


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "",
     "localhost:{port}@evil.example", "nas.lan:1", "proxy.lan", "127.0.0.1:{port}.evil.example", "0.0.0.0:{port}"],
)  # fmt: skip
def test_a_foreign_host_is_refused_whatever_it_asks_for(host: str, api: Api) -> None:
    for path in (ITEMS, "/", "/livez", "/openapi.json", "/nothing"):
        problem(api.ask(path, headers=as_control(), host=host.format(port=api.port)), 403, "api.allowed_hosts")


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "LocalHost:{port}", "[::1]:{port}", "nas.lan", "nas.lan:{port}",
                                  "proxy.lan:443"])  # fmt: skip
def test_its_own_names_are_known(host: str, api: Api) -> None:
    assert api.ask(ITEMS, headers=as_control(), host=host.format(port=api.port)).status == 200


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:8188", "http://localhost:{port}",
     "http://127.0.0.1:{port}.evil.example", "http://127.0.0.1:{port}@evil.example", "http://127.0.0.1:{port}0", "",
     "file://", "http://127.0.0.1:{port}/", "HTTP://127.0.0.1:{port}", f"{OTHER_SITE}.evil.example"],
)  # fmt: skip
def test_a_foreign_origin_is_refused_even_with_the_token(origin: str, api: Api) -> None:
    headers = as_control(Origin=origin.format(port=api.port))
    problem(api.ask(ITEMS, headers=headers), 403, "api.allowed_origins")
    problem(api.ask("/api/v1/jobs", "POST", {**headers, **JSON}, body=b"{}"), 403, "origin")
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{api.port}/api/v1/ws", origin=None, additional_headers=headers)
    assert refused.value.response.status_code == 403


def test_its_own_origin_and_allowed_ones_are_let_in(api: Api) -> None:
    own = api.ask(ITEMS, headers=as_control(Origin=f"http://127.0.0.1:{api.port}"))
    assert own.status == 200
    assert "access-control-allow-origin" not in own.headers
    other = api.ask(ITEMS, headers=as_control(Origin=OTHER_SITE))
    assert (other.status, other.headers["access-control-allow-origin"]) == (200, OTHER_SITE)
    asked = {"Origin": OTHER_SITE, "Access-Control-Request-Method": "POST"}
    assert api.ask("/api/v1/jobs", "OPTIONS", asked).status == 204
    asked["Origin"] = "http://evil.example"
    assert api.ask("/api/v1/jobs", "OPTIONS", asked).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_cannot_show_its_pictures(site: str, api: Api) -> None:
    """A picture in a page of another port carries the session's cookie, for a port makes no other site."""
    headers = as_control(**{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
    problem(api.ask(f"{ITEMS}/{'0' * 64}/content", headers=headers), 403, "other sites")
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert api.ask("/", headers=link).status == 200, "a link may lead to the page"
    problem(api.ask(ITEMS, headers={**as_control(), **link}), 403, "other sites")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_what_a_form_can_send_is_no_request(kind: str, api: Api) -> None:
    body = b'{"action": "sync"}'
    own = as_control(**{"Content-Type": kind})
    problem(api.ask("/api/v1/jobs", "POST", own, body=body), 415, "application/json")
    problem(api.ask("/api/v1/session", "POST", {"Content-Type": kind}, body=body), 415)
    foreign = {**own, "Origin": "http://evil.example"}
    problem(api.ask("/api/v1/jobs", "POST", foreign, body=body), 403)


def test_a_body_without_a_type_is_no_request(api: Api) -> None:
    problem(api.ask("/api/v1/session", "POST", body=b"{}"), 415)


@pytest.mark.parametrize("path", [ITEMS, "/api/v1/jobs", "/api/v1/nothing", "/api", "/api/v2/items", "/metrics",
                                  "/api/v1/../v1/items", "//api/v1/items"])  # fmt: skip
def test_without_a_token_nothing_is_told(path: str, api: Api) -> None:
    found = api.ask(path)
    if path == "//api/v1/items":
        problem(found, 404)
        return
    problem(found, 401, "Bearer")
    assert found.headers["www-authenticate"].startswith("Bearer")


def test_a_wrong_token_is_no_token(tmp_path: Path) -> None:
    with Api(tmp_path) as api:
        for given in ("Bearer wrong", f"Basic {CONTROL}", "Bearer", f"Bearer {CONTROL[:-1]}", f"Bearer {CONTROL}x",
                      "Bearer \xff"):  # fmt: skip
            problem(api.ask(ITEMS, headers={"Authorization": given}), 401)
        assert api.ask(ITEMS, headers={"Authorization": f"bearer {CONTROL}"}).status == 200


def test_a_reader_looks_and_starts_nothing(api: Api) -> None:
    assert api.ask(ITEMS, headers=as_reader()).status == 200
    for method, path in (("POST", "/api/v1/jobs"), ("DELETE", "/api/v1/jobs/0"), ("POST", "/api/v1/purge/preview"),
                         ("PUT", ITEMS), ("PATCH", "/api/v1/anything")):  # fmt: skip
        problem(api.ask(path, method, {**as_reader(), **JSON}, body=b"{}"), 403, "looked at")
    assert api.ask("/api/v1/session", headers=as_reader()).json == {"scope": "read", "expires_at": None}


def test_guessing_is_slow_for_the_guesser_alone(tmp_path: Path) -> None:
    with Api(tmp_path) as api:
        session = begin(api)
        for _ in range(FAILURES):
            problem(api.ask(ITEMS, headers={"Authorization": "Bearer wrong"}), 401)
        for header in (as_control(), {"Authorization": "Bearer wrong"}):
            found = api.ask(ITEMS, headers=header)
            problem(found, 429)
            assert 0 < int(found.headers["retry-after"]) <= 60
        problem(api.post("/api/v1/session", {"token": CONTROL}), 429)
        assert api.ask(ITEMS, headers={"Cookie": session["cookie"]}).status == 200, "who is in stays in"


# -- sessions -------------------------------------------------------------------------------------------------------


def begin(api: Api, token: str = CONTROL) -> dict[str, str]:
    found = api.post("/api/v1/session", {"token": token})
    assert found.status == 200, found
    attributes = found.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/api/v1"} <= set(attributes)
    return {"cookie": attributes[0], "key": found.json["key"], "scope": found.json["scope"]}


def test_a_session_looks_with_its_cookie_and_controls_with_its_key(api: Api) -> None:
    session = begin(api)
    cookie = {"Cookie": session["cookie"]}
    assert api.ask(ITEMS, headers=cookie).status == 200
    assert api.ask("/api/v1/session", headers=cookie).json["scope"] == "control"
    problem(api.ask("/api/v1/jobs/0", "DELETE", cookie), 403, "key")
    problem(api.ask("/api/v1/jobs/0", "DELETE", {**cookie, "X-Media-Sync-Key": "0" * 64}), 403, "key")
    assert api.ask("/api/v1/jobs/0", "DELETE", {**cookie, "X-Media-Sync-Key": session["key"]}).status == 404
    gone = api.ask("/api/v1/session", "DELETE", cookie | {"X-Media-Sync-Key": session["key"]})
    assert gone.status == 204
    assert "Max-Age=0" in gone.headers["set-cookie"]


def test_a_readers_session_never_controls(api: Api) -> None:
    session = begin(api, READ)
    assert session["scope"] == "read"
    headers = {"Cookie": session["cookie"], "X-Media-Sync-Key": session["key"]}
    assert api.ask(ITEMS, headers=headers).status == 200
    problem(api.ask("/api/v1/jobs/0", "DELETE", headers), 403)


def test_a_forged_cookie_is_none(api: Api) -> None:
    name, _, value = begin(api, READ)["cookie"].partition("=")
    scope, expires, nonce, mark = value.split(".")
    for forged in (f"control.{expires}.{nonce}.{mark}", f"{scope}.9{expires}.{nonce}.{mark}",
                   f"{scope}.{expires}.{nonce}.{'0' * 64}", "", "control", f"{value}.x"):  # fmt: skip
        problem(api.ask(ITEMS, headers={"Cookie": f"{name}={forged}"}), 401)
    other_port = {"Cookie": f"media_sync_1={value}"}
    problem(api.ask(ITEMS, headers=other_port), 401)


def test_a_session_of_a_proxied_page_is_kept_off_plain_http(api: Api) -> None:
    body = json.dumps({"token": CONTROL}).encode()
    found = api.ask("/api/v1/session", "POST", {**JSON, "Origin": "https://nas.lan"}, body=body, host="nas.lan")
    assert found.status == 200
    assert "Secure" in found.headers["set-cookie"].split("; ")


# -- WebSocket ------------------------------------------------------------------------------------------------------


def socket_status(api: Api, **headers: str) -> int:
    try:
        with connect(f"ws://127.0.0.1:{api.port}/api/v1/ws", additional_headers=headers) as live:
            assert json.loads(live.recv(timeout=30))["type"] == "snapshot"
            return 101
    except InvalidStatus as refused:
        answer = refused.response
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.body is not None
        assert json.loads(answer.body)["status"] == answer.status_code
        return answer.status_code


def test_a_socket_needs_a_token_as_everything_does(api: Api) -> None:
    assert socket_status(api) == 403
    assert socket_status(api, Authorization="Bearer wrong") == 403
    assert socket_status(api, **as_reader()) == 101
    assert socket_status(api, Cookie=begin(api)["cookie"]) == 101
    assert socket_status(api, Cookie=begin(api)["cookie"], Origin="http://127.0.0.1:8188") == 403
    assert socket_status(api, Cookie="media_sync_1=x") == 403


def test_a_browser_may_name_the_token_as_a_subprotocol(api: Api) -> None:
    with connect(f"ws://127.0.0.1:{api.port}/api/v1/ws", subprotocols=["media-sync", f"bearer.{READ}"]) as live:  # type: ignore[list-item]
        assert live.subprotocol == "media-sync", "the token does not come back"
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{api.port}/api/v1/ws", subprotocols=["media-sync", "bearer.wrong"])  # type: ignore[list-item]


def test_a_socket_under_a_foreign_name_is_refused(api: Api) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://evil.example:{api.port}/api/v1/ws", additional_headers=as_reader(),
                sock=socket.create_connection(("127.0.0.1", api.port), timeout=30))  # fmt: skip
    assert refused.value.response.status_code == 403


# -- limits ---------------------------------------------------------------------------------------------------------


def test_a_body_has_an_end(api: Api) -> None:
    large = b'{"token": "' + b"x" * 70_000 + b'"}'
    problem(api.ask("/api/v1/session", "POST", JSON, body=large), 413)
    chunked = {**JSON, "Transfer-Encoding": "chunked"}
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (large,)) + b"0\r\n\r\n"
    problem(_raw(api, "/api/v1/session", chunked, pieces), 413)


def test_a_body_that_is_announced_too_large_is_not_waited_for(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=5) as peer:
        peer.sendall(
            f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\nContent-Length: 999999\r\n\r\n".encode()
        )
        assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")


def _raw(api: Api, path: str, headers: dict[str, str], body: bytes) -> Reply:
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as peer:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        peer.sendall(head.encode() + b"\r\n" + body)
        answer = http.client.HTTPResponse(peer)
        answer.begin()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def test_headers_that_do_not_come_are_not_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.api.server.HEADERS_PATIENCE", 0.3)
    for begun in (b"", b"GET / HTTP/1.1\r\nHost: x"):
        with socket.create_connection(("127.0.0.1", api.port), timeout=30) as peer:
            peer.sendall(begun)
            assert ended(peer)
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as peer:
        peer.sendall(f"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n\r\n".encode())
        assert peer.recv(65536).startswith(b"HTTP/1.1 ")
        peer.sendall(b"GET / HTTP/1.1\r\nHo")
        assert ended(peer)


def ended(peer: socket.socket) -> bool:
    """Whether the server closes the connection, before the test's patience (30 s) is over."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return True


def test_there_are_so_many_connections_and_no_more(api: Api) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=30))
                 for _ in range(CONNECTIONS + 20)]  # fmt: skip
        assert ended(peers[-1])
        peers[0].setblocking(False)
        with pytest.raises(BlockingIOError):  # not closed: who came first stays
            peers[0].recv(1)
    eventually(lambda: api.ask("/livez").status == 200, "room for another")


def test_headers_have_an_end(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=30) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
        assert ended(peer)


def test_every_answer_forbids_what_browsers_need_not(api: Api) -> None:
    for path in ("/", "/nothing", "/openapi.json", ITEMS, "/style.css"):
        headers = api.ask(path, headers=as_control()).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
    policy = api.ask("/").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_the_end_takes_a_second_and_nobody_is_waited_for(tmp_path: Path) -> None:
    with Api(tmp_path) as api:
        with connect(f"ws://127.0.0.1:{api.port}/api/v1/ws", additional_headers=as_control()) as live:
            live.recv(timeout=30)
            idle = socket.create_connection(("127.0.0.1", api.port), timeout=30)
            half = socket.create_connection(("127.0.0.1", api.port), timeout=30)
            half.sendall(
                f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\nContent-Length: 9\r\n\r\n".encode()
            )
            time.sleep(0.2)
            asked = time.monotonic()
            api.stop()
            took = time.monotonic() - asked
        idle.close()
        half.close()
        assert took < 2.0, f"promised within a second, took {took:.1f} s"
