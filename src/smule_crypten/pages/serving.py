"""Serves the live page of one run, and nothing else.

Python's own http.server does: it answers two fixed paths with what LivePage says, so no path of a request ever names a
file. Loopback is open to every user of the machine, while a party's record is for its owner alone: so the address of
the page holds a secret, which only who started the server is told. A request must name the server by an IP address or
as localhost, since a page of another site can reach a server here only under a name of its own (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from smule_crypten.errors import ConfigError
from smule_crypten.pages.live import LivePage

LOOPBACK = "127.0.0.1"
_SECONDS = 10.0
"""A visitor who says nothing for so long is dropped."""
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class LiveServer(ThreadingHTTPServer):
    """Listens from the beginning; serve_forever() answers. A context manager.

    Args:
        address: of this machine, an IP address.
        port: 0 for any free one.

    Raises:
        ConfigError: it cannot listen there.
    """

    daemon_threads = True

    def __init__(self, page: LivePage, address: str = LOOPBACK, port: int = 0) -> None:
        self.page = page
        self.secret = secrets.token_urlsafe(16)
        try:
            self.address_family = _family(address)
            super().__init__((address, port), _Handler)
        except (OSError, OverflowError, ValueError) as error:
            raise ConfigError(f"cannot listen on {address}, port {port}: {error}; name another one") from None

    @property
    def url(self) -> str:
        """Where the page is, with its secret."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/{self.secret}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor that goes away in the middle is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = _SECONDS
    server_version, sys_version = "smule-watch", ""
    error_content_type, error_message_format = "text/plain; charset=utf-8", "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not _is_an_address(hosts[0]):
            self.send_error(HTTPStatus.FORBIDDEN, "Open the page by the link that smule-watch printed")
            return
        secret = self.server.secret
        if self._is(f"/{secret}/"):
            page, policy = self.server.page.whole()
            self._answer(page, {"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"})
        elif self._is(f"/{secret}/live"):
            self._answer(self.server.page.fragment(), {})
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "Open the page by the link that smule-watch printed")

    def _is(self, path: str) -> bool:
        return hmac.compare_digest(self.path.encode(), path.encode())

    def _answer(self, html: str, headers: dict[str, str]) -> None:
        body = html.encode()
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        is_known = self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if is_known else HTTPStatus.OK)
        for name, value in {"ETag": tag, "Content-Type": "text/html; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0" if is_known else f"{len(body)}")
        self.end_headers()
        if not is_known:
            self.wfile.write(body)

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address of a request holds the secret."""


def is_loopback(address: str) -> bool:
    """Raises ConfigError where it is no IP address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise ConfigError(f"{address!r} is no IP address; give one of this machine, as in 192.0.2.7") from None


def _is_an_address(host: str) -> bool:
    """Whether a Host header names an IP address or localhost, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
