"""Record what the adapters' parsers are given by the labs: `python -m tests.fuzz.record_samples` writes tests/fuzz/samples again.

Parsers are wrapped while `plan` reads the four platforms; a few different arguments of each are kept. The labs speak the vendors' formats.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.four import on_stage

SAMPLES = Path(__file__).parent / "samples"
PLATFORMS = ("aws", "azure", "f5", "gcp")
WHOLE = {
    "aws": ("group", "reservation", "looked", "vpc"),
    "azure": ("nsg", "network", "machine", "interface", "public_address"),
    "f5": ("self_address", "global_policies", "route_domain", "virtual", "policy", "address_list", "rule_list", "port_list", "statistics",
           "running", "snat_members"),
    "gcp": ("network", "rule", "nics"),
}  # fmt: skip
"""The parsers of whole objects, as the readers call them."""
EACH = 3
"""Different arguments that are kept of each parser."""
LONGEST = 4
"""Elements that are kept of each list."""
Json = Any


def _plain(value: object) -> Json:
    """Return an argument as JSON has it; what is no JSON becomes its text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value[:LONGEST]]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


@contextmanager
def recorded() -> Iterator[dict[str, dict[str, list[Json]]]]:
    """Wrap the parsers of raw answers, and yield what they are given: by platform and function."""
    found: dict[str, dict[str, list[Json]]] = {name: {} for name in PLATFORMS}

    def wrap(platform: str, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(first: object, *rest: object, **more: object) -> object:
            kept = found[platform].setdefault(name, [])
            plain = _plain(first)
            if len(kept) < EACH and plain not in kept and plain not in ([], {}, None):
                kept.append(plain)
            return function(first, *rest, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for platform in PLATFORMS:
            parse = importlib.import_module(f"cloudsync_{platform}.parse")
            for name in WHOLE[platform]:
                patch.setattr(parse, name, wrap(platform, name, getattr(parse, name)))
        yield found


def main() -> None:
    """Read the estate of four platforms and write the files."""
    with tempfile.TemporaryDirectory() as folder, recorded() as found, on_stage(Path(folder)) as four:
        four.settings(*(four.target(name, "exclusive") for name in PLATFORMS))
        four.policy("allow role=web to role=db on tcp/5432")
        print(four.run("plan").out[-2000:])
        for platform, functions in found.items():
            text = json.dumps(functions, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
            (SAMPLES / f"{platform}.json").write_text(text, encoding="utf-8")
            print(platform, {name: len(kept) for name, kept in functions.items()})


if __name__ == "__main__":
    main()
