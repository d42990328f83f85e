"""A lab, and plain moto beside it as the control that a test of the lab could fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudsync.lab.azure.pytest_plugin import Wire as AzureWire
from cloudsync.lab.azure.pytest_plugin import azure_site, azure_site_server
from cloudsync.lab.azure.site import Site as AzureSite
from cloudsync.lab.gcp.pytest_plugin import Wire, gcp_site, gcp_site_server
from cloudsync.lab.gcp.site import Site as GcpSite
from cloudsync.lab.pytest_plugin import Cloud, aws_lab, aws_lab_server, cloud_of
from cloudsync.lab.server import Lab

__all__ = ["aws_lab", "aws_lab_server", "azure_site", "azure_site_server", "gcp_site", "gcp_site_server"]


@pytest.fixture
def cloud(aws_lab: Lab) -> Cloud:
    return cloud_of(aws_lab)


@pytest.fixture
def gcp(gcp_site: GcpSite) -> Wire:
    return Wire(gcp_site)


@pytest.fixture
def azure(azure_site: AzureSite) -> AzureWire:
    return AzureWire(azure_site)


@pytest.fixture(scope="session")
def moto_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Moto's own server on a port that the system chose for it: one chosen here could be somebody else's by the time it starts."""
    said = tmp_path_factory.mktemp("moto") / "stderr"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with said.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env={**os.environ, "NO_PROXY": "127.0.0.1"})
    try:
        yield address(process, said)
    finally:
        process.kill()
        process.wait(10)


def address(process: subprocess.Popen[bytes], said: Path) -> str:
    """Wait until the server says where it listens."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)\n", said.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"moto did not start:\n{said.read_text()}")


@pytest.fixture
def plain_moto(moto_endpoint: str) -> Cloud:
    request = urllib.request.Request(f"{moto_endpoint}/moto-api/reset", method="POST")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30).close()
    return Cloud(moto_endpoint)
