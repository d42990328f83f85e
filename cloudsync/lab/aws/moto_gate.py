"""Requests that moto answers: through its WSGI application, in this process."""

from __future__ import annotations

import io
import os

from ..http import Answer, Request
from .native import Native


class MotoGate:
    """moto's server application. Imported and built once, because that takes seconds."""

    def __init__(self) -> None:
        os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._app: Native = DomainDispatcherApplication(create_backend_app)

    def ask(self, request: Request, account: str) -> Answer:
        """Let moto answer in the name of one account. An exception inside moto becomes status 500."""
        told: dict[str, Native] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _error: Native = None) -> Native:
            told.update(status=int(status.split(maxsplit=1)[0]), headers=headers)
            return lambda _data: None

        try:
            body = b"".join(self._app(_environ(request, account), start_response))
        except Exception as error:  # noqa: BLE001 (moto raises anything for what it does not implement)
            return Answer(500, f"{type(error).__name__}: {error}".encode(), {"Content-Type": "text/plain"})
        headers = {
            name: value
            for name, value in told["headers"]
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "server", "date")
        }
        return Answer(told["status"], body, headers)


def _environ(request: Request, account: str) -> dict[str, Native]:
    environ: dict[str, Native] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "RAW_URI": request.path + (f"?{request.query}" if request.query else ""),
        "QUERY_STRING": request.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(request.body)),
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "EXPECT", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = value
    environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
    return environ
