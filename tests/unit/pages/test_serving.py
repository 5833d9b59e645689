"""The server of the live page: who gets it, and that nothing else is to be had."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from html_pages import Page
from run_files import write_running
from sample_run import sample_record_of_a

from smule_crypten.errors import ConfigError
from smule_crypten.pages.live import LivePage
from smule_crypten.pages.serving import LiveServer, is_loopback
from smule_crypten.report.run_records import RunRecord


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Of a run after two epochs, whose folder holds a network, too."""
    folder = tmp_path_factory.mktemp("run")
    write_running(folder, sample_record_of_a(), epochs=2)
    (folder / "model.pt").write_text("weights")
    with LiveServer(LivePage(folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _ask(server: LiveServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    """Headers with _ for -. The path goes out as it is."""
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response, text


def test_the_page_and_what_changes_on_it(server: LiveServer) -> None:
    """The link gives the page; beside it lies the part that the page fetches, which is in the page from the start."""
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/{server.secret}/"
    response, page = _ask(server, f"/{server.secret}/")
    assert response.status == 200
    assert page.startswith("<!DOCTYPE html>")
    assert Page(page).open_elements == []
    response, fragment = _ask(server, f"/{server.secret}/live")
    assert response.status == 200
    assert "Running: a alone, epoch 2 of 3" in Page(fragment).text
    assert Page(fragment).text in Page(page).text


def test_what_is_known_is_not_sent_again(server: LiveServer) -> None:
    """Looking every two seconds costs a few bytes while nothing happens."""
    response, _ = _ask(server, f"/{server.secret}/live")
    tag = response.headers["ETag"]
    response, text = _ask(server, f"/{server.secret}/live", If_None_Match=tag)
    assert (response.status, text) == (304, "")
    response, text = _ask(server, f"/{server.secret}/live", If_None_Match='"another"')
    assert response.status == 200
    assert text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/live",
        "/{secret}",
        "/{secret}/model.pt",
        "/{secret}/../model.pt",
        "/{secret}/..%2fmodel.pt",
        "/{secret}//",
        "/{secret}/live/../summary.json",
        "/{secret}/?x",
        "/{secret}x/live",
        "/../../../../etc/passwd",
        "/model.pt",
    ],
)
def test_no_other_path_is_answered(server: LiveServer, path: str) -> None:
    """No file is served by its name, and without the secret there is nothing at all."""
    response, text = _ask(server, path.format(secret=server.secret))
    assert response.status == 404
    assert text == "404 Open the page by the link that smule-watch printed\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT"])
def test_nothing_but_get(server: LiveServer, method: str) -> None:
    """Nobody changes anything by way of the page, and no other site is told that it may ask."""
    response, _ = _ask(server, f"/{server.secret}/", method)
    assert response.status == 501
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8765", 200),
        ("[::1]:9000", 200),
        ("192.0.2.7:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8765", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_a_name_of_another_site_is_refused(server: LiveServer, host: str, status: int) -> None:
    """A page of another site can have its own name lead here (DNS rebinding), but no IP address, nor localhost."""
    response, text = _ask(server, f"/{server.secret}/live", Host=host)
    assert response.status == status
    assert ("svg" in text) == (status == 200)


def test_who_names_no_host_or_two_is_refused(server: LiveServer) -> None:
    """Either would slip through a check of one of them."""
    for head in ("", "Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=10) as visitor:
            visitor.sendall(f"GET /{server.secret}/live HTTP/1.1\r\n{head}\r\n".encode())
            assert visitor.makefile("rb").readline().startswith(b"HTTP/1.0 403")


def test_answers_are_for_this_page_alone(server: LiveServer) -> None:
    """Not kept, not framed, not read by other sites; the page loads nothing, and runs no script but its own."""
    for path in (f"/{server.secret}/", f"/{server.secret}/live", "/"):
        headers = _ask(server, path)[0].headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = _ask(server, f"/{server.secret}/")[0].headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "script-src 'unsafe" not in policy


def test_each_server_has_a_secret_of_its_own(record_of_a: RunRecord, tmp_path: Path) -> None:
    """128 bits that nobody guesses, and no old link opens a new server."""
    write_running(tmp_path, record_of_a, epochs=1)
    with LiveServer(LivePage(tmp_path)) as one, LiveServer(LivePage(tmp_path)) as other:
        assert one.secret != other.secret
        assert len(one.secret) >= 22


def test_it_listens_where_it_is_told_to(record_of_a: RunRecord, tmp_path: Path) -> None:
    """On loopback unless another address is named, of IPv6 too; a port in use is a mistake that says what to do."""
    write_running(tmp_path, record_of_a, epochs=1)
    page = LivePage(tmp_path)
    with LiveServer(page) as server:
        assert server.server_address[0] == "127.0.0.1"
        with pytest.raises(ConfigError, match=r"cannot listen on 127.0.0.1, port \d+: .*; name another one"):
            LiveServer(page, port=server.server_address[1])
    for address, port in (("192.0.2.7", 0), ("127.0.0.1", 70_000)):
        with pytest.raises(ConfigError, match="cannot listen on"):
            LiveServer(page, address, port)
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    with pytest.raises(ConfigError, match=r"'example\.org' is no IP address"):
        is_loopback("example.org")
