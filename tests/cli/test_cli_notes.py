"""The example's note in a GitLab merge request: written once, then written anew, whatever others say there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.shell import ROOT

KEY = "not-a-real-one"
PATH = "/api/v4/projects/7/merge_requests/3/notes"


class Notes(ThreadingHTTPServer):
    """The notes of one merge request."""

    held: dict[int, str]


class Handler(BaseHTTPRequestHandler):
    """What GitLab's notes API does with GET, POST and PUT."""

    server: Notes

    def do_GET(self) -> None:
        self._answer([{"id": number, "body": body} for number, body in sorted(self.server.held.items())])

    def do_POST(self) -> None:
        self.server.held[len(self.server.held) + 1] = self._body()
        self._answer({"id": len(self.server.held)})

    def do_PUT(self) -> None:
        self.server.held[int(self.path.rpartition("/")[2])] = self._body()
        self._answer({})

    def _body(self) -> str:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        return str(json.loads(text)["body"])

    def _answer(self, document: object) -> None:
        good = self.path.startswith(PATH) and self.headers["PRIVATE-TOKEN"] == KEY
        body = json.dumps(document if good else {"message": "404 Not found"}).encode()
        self.send_response(200 if good else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def notes() -> Iterator[Notes]:
    server = Notes(("127.0.0.1", 0), Handler)
    server.held = {1: "LGTM", 2: "see <!-- cloudsync plan --> below"}
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_same_note_every_time(notes: Notes, tmp_path: Path) -> None:
    place = f"http://127.0.0.1:{notes.server_address[1]}/api/v4"
    known = {"CI_API_V4_URL": place, "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_IID": "3", "CLOUDSYNC_NOTES_TOKEN": KEY}
    for text in ("### cloudsync plan: 2 writes", "### cloudsync plan: nothing to do"):
        (tmp_path / "comment.md").write_text(text, encoding="utf-8")
        program = ROOT / "config" / "example" / "post_note.py"
        subprocess.run([sys.executable, program, str(tmp_path / "comment.md")], check=True, env=known, capture_output=True)
        assert notes.held == {1: "LGTM", 2: "see <!-- cloudsync plan --> below", 3: f"<!-- cloudsync plan -->\n{text}"}
