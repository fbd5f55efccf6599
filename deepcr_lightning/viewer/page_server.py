"""A server of one page for this machine alone."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import ErrorHandler

from deepcr_lightning.errors import InputError

ADDRESS = "127.0.0.1"
_NAMES = {ADDRESS, "localhost"}
_ORIGINS = [f"{name}:*" for name in sorted(_NAMES)]
_KEEP_CLOSED_MS = 60_000
"""For so long a window that lost its connection, as of a laptop that slept, finds its work again."""


def is_from_here(host: str, origin: str | None) -> bool:
    """Tell whether a request was meant for this machine and comes from a page of this server.

    Parameters
    ----------
    host, origin : str, str or None
        Headers of the request.

    Returns
    -------
    bool
        False if the host is no name of the loopback, as when the name of another site was made to point here, or if
        the origin is another site. The port is free: behind an SSH tunnel it is another.
    """
    try:
        named = urlsplit(f"//{host}").hostname
        return named in _NAMES and "@" not in host and (origin is None or urlsplit(origin).netloc == host)
    except ValueError:
        return False


class _LoopbackApplication(BokehTornado):
    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if not is_from_here(request.host, request.headers.get("Origin")):
            return self.get_handler_delegate(request, ErrorHandler, {"status_code": 403})
        return super().find_handler(request, **kwargs)


@contextmanager
def event_loop() -> Iterator[None]:
    """Give this thread an event loop for a time: Tornado would ask for that of now, and Python 3.12 warns of none."""
    with closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(None)


class PageServer(BaseServer):
    """A server that shows one document a window, on the loopback.

    Parameters
    ----------
    fill : callable
        Gets the empty document of a window that was opened.
    port : int, optional
        A free one by default.

    Attributes
    ----------
    page_address : str
        Where the page is. Its path is a secret, which other users of this machine cannot guess.

    Raises
    ------
    InputError
        If the port is taken or not allowed.
    """

    def __init__(self, fill: Callable[[Document], object], port: int | None = None) -> None:
        if port is not None and not 0 < port < 65536:
            raise InputError(f"port={port}: must be 1 to 65535; leave port= out for a free one")
        listening = socket.socket()
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind((ADDRESS, port or 0))
            listening.listen()
        except OSError as error:
            listening.close()
            raise InputError(f"port={port}: {error.strerror}; leave port= out for a free one") from error
        secret = secrets.token_urlsafe(9)
        origin = f"http://{ADDRESS}:{listening.getsockname()[1]}"
        application = _LoopbackApplication(
            {"/": Application(FunctionHandler(fill))},
            prefix=secret,
            absolute_url=origin,
            extra_websocket_origins=_ORIGINS,
            unused_session_lifetime_milliseconds=_KEEP_CLOSED_MS,
        )
        http = HTTPServer(application)
        http.add_sockets([listening])
        super().__init__(IOLoop.current(), application, http)
        self.page_address = f"{origin}/{secret}/"
