"""The bench: a door that changes nothing and sees the first byte; a peer that cannot be installed is not run."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from bench.peers import aerleon, installed
from bench.tap import cpu_s, tapped


def echo(server: socket.socket) -> None:
    client, _ = server.accept()
    with client:
        while piece := client.recv(1024):
            client.sendall(piece.upper())


def test_a_door_passes_bytes_both_ways_and_notes_the_first() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        with tapped("127.0.0.1", server.getsockname()[1]) as tap, socket.create_connection(("127.0.0.1", tap.port)) as client:
            tap.watch(os.getpid())
            client.sendall(b"hello")
            got = b""
            while len(got) < 5:
                got += client.recv(5 - len(got))
            assert got == b"HELLO"
            assert (tap.first or 0.0) > 0.0
            assert tap.connections == 1
            tap.forget()
            assert tap.connections == 0


def test_cpu_of_nobody_is_nothing() -> None:
    assert cpu_s(os.getpid()) > 0
    assert cpu_s(2**22 + 1) == 0.0


@pytest.mark.parametrize("pins", ["no-such-thing==1.0\n"])
def test_a_peer_that_cannot_be_installed_is_not_run(
    pins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "peer.txt").write_text(pins, encoding="utf-8")
    monkeypatch.setattr(installed, "PINS", tmp_path)
    monkeypatch.setattr(installed, "ROOT", tmp_path / "made")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert installed.installed("peer") is None
    assert "peer: not run" in capsys.readouterr().out
    assert not (tmp_path / "made" / "peer" / ".installed").exists()


def test_rules_are_compared_one_by_one() -> None:
    text = '[{"allowed": [{"ports": ["80"]}], "sourceRanges": ["10.0.0.1"], "targetTags": ["a"]}]'
    assert {aerleon.plain(one) for one in aerleon.rules(text)} == {("80", "a", frozenset({"10.0.0.1/32"}))}
    assert {aerleon.plain(one) for one in aerleon.rules(text.replace("80", "81"))} != {aerleon.plain(one) for one in aerleon.rules(text)}


def test_both_compilers_get_terms_that_exist() -> None:
    given = aerleon.given(50, 1000)
    assert len({one for found in given["networks"].values() for one in found}) == 1000
    assert all(term["source"] in given["networks"] and term["tag"].upper() in given["networks"] for term in given["terms"])
