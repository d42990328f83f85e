"""What the parsers really read, as seeds of the fuzzer, and the words that it is made of."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.bad.scene import scene

ROOT = Path(__file__).resolve().parents[2]


@cache
def plan() -> str:
    """Return a plan file of the product as it is today."""
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder)) as stage:
        ran = stage.run("plan", "-o", "ROOT/plan.json")
        assert ran.code == 2, str(ran)
        return (stage.world.root / "plan.json").read_text(encoding="utf-8")


def plans() -> list[bytes]:
    """Return the beginning of a plan file, and small documents that are none."""
    return [plan()[:6000].encode(), b'{"format": "cloudsync-plan", "version": 1}', b"[]"]


def files(*patterns: str) -> Callable[[], list[bytes]]:
    """Return a reader of small files of the project."""

    def read() -> Iterator[bytes]:
        for pattern in patterns:
            yield from (path.read_bytes() for path in sorted(ROOT.glob(pattern)) if path.is_file() and path.stat().st_size < 20_000)

    return lambda: list(read())


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@cache
def states() -> list[bytes]:
    """Return the state files of Terraform that are whole as JSON."""
    return [text for text in files("tests/bad/terraform/*.tfstate")() if _is_json(text)]


def several(*texts: str) -> Callable[[], list[bytes]]:
    """Return a reader of these texts."""
    return lambda: [text.encode() for text in texts]


def sentences() -> list[bytes]:
    """Return the rules of the examples, one each."""
    texts = files("tests/golden/policy/*.yaml", "config/example/policy/*.yaml")()
    lines = [line.strip() for text in texts for line in text.decode().splitlines()]
    rules = [line.removeprefix("- ") for line in lines if line.startswith(("- allow", "- deny", "- never"))]
    return [rule.encode() for rule in dict.fromkeys(rules)]


def choices() -> list[bytes]:
    """Return bytes that choices are drawn from."""
    return [bytes([number, number * 7 % 256, number * 13 % 256] * 6) for number in range(0, 256, 8)]


def _words(*texts: str) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in texts)


NUMBERS = _words("0", "-", "/", ":", ".", ",", "!", "%", "255", "65536", "32", "128", "::", "ffff:", "\u0662")
SYNTAX = _words(
    *("allow ", "deny ", "never ", " to ", " from ", " on ", " except ", "iplist ", "workload ", "internet", "anywhere", "outside "),
    *("role=", "|", "tcp/22", "any service", " because ", '"', " until ", " logged", " by process ", " owned by ", "all workloads"),
    *(",", "(", " can reach "),
)
KEYS = _words(
    *("version: 1\n", "labels:\n", "rulesets:\n", "  - name: ", "    scope: ", "    rules:\n", "      - ", "{", "}", "[", "]", "&a ", "*a"),
    *("!!str ", "|\n", ">\n", "<<: ", "---\n", "...\n", "# ", "\t", "'", '"', "? ", ": ", "targets:\n", "owner: ", "workloads:\n"),
    *("name,addresses\n", ";", "\x00", "\u200b", "\u0435", "  ", "\n"),
)
URLS = (*NUMBERS, *_words("@", "?", "#", "//", "[", "]", "\\", "env:", "file:", "https://", "sqlite:///"))
CRON = (*NUMBERS, *_words("*", " ", "*/"))
BYTES = (b"\x00", b"\xff", b"\x7f", b"\x01\x02\x03", b"\x10" * 8)
