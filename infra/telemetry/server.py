"""`/healthz`, `/readyz` and `/metrics` over HTTP, from threads: they answer also while the event loop is busy."""

import json
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from infra.telemetry.health import Health, Verdict

MAX_REQUESTS: Final = 16
"""Requests at once; one more is closed without an answer."""

REQUEST_SECONDS: Final = 5.0
"""So long a client may take to send its request or to take the answer."""


CLOSE_SECONDS: Final = 0.5
"""So long closing may take; an idle server looks up so often."""


class HealthRefused(OSError):
    """Health cannot be answered where it was asked for; the message is a sentence for people."""


class HealthServer:
    """Serves one process's health until `close`.

    Args:
        host: the address to listen on; whoever reaches it may read, so by default only this machine does.
        port: 0 for any free one.

    Raises:
        HealthRefused: nobody can listen there.
    """

    def __init__(self, health: Health, registry: CollectorRegistry, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            self._server = _Server.at(host, port)
        except OSError as error:
            raise HealthRefused(
                f"health cannot be answered at {host}:{port} ({error.strerror}): choose another GRIDBOOK_HEALTH_PORT"
                " (0: any free one, none: nothing is answered) or GRIDBOOK_HEALTH_HOST"
            ) from error
        self._server.set_app(_application(health, make_wsgi_app(registry)))
        shown = f"[{host}]" if ":" in host else host
        self.url: Final = f"http://{shown}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": CLOSE_SECONDS}, name="health", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stops listening; requests under way are not waited for."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1)


def _application(health: Health, metrics: WSGIApplication) -> WSGIApplication:
    questions: dict[str, Callable[[], Verdict]] = {"/healthz": health.alive, "/readyz": health.ready}

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET":
            return _text(start, "405 Method Not Allowed", "only GET is answered here\n")
        if path == "/metrics":
            return metrics(environ, start)
        if path not in questions:
            return _text(start, "404 Not Found", "here are /healthz, /readyz and /metrics\n")
        verdict = questions[path]()
        body = f"{json.dumps(verdict.body)}\n"
        return _text(start, "200 OK" if verdict.holds else "503 Service Unavailable", body, "application/json")

    return answer


def _text(start: StartResponse, status: str, text: str, kind: str = "text/plain; charset=utf-8") -> list[bytes]:
    body = text.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [body]


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """A question for health is no news."""

    def handle(self) -> None:
        with suppress(OSError):  # the client went away or was too slow
            super().handle()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 4 * MAX_REQUESTS
    block_on_close = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)

    @classmethod
    def at(cls, host: str, port: int) -> "_Server":
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        served = type("_Server", (cls,), {"address_family": family})
        made: _Server = served(address[:2], _Handler)
        return made

    def server_bind(self) -> None:
        # The library's would ask a name server for this machine's name.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a client does wrong is its own affair."""
