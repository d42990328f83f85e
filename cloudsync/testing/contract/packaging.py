"""The adapter as a package: imported lazily, with a schema for its settings that is closed, described and free of secrets."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.abc import MetaPathFinder

import pytest

from cloudsync.model.mode import TargetMode
from cloudsync.testing.contract.stage import Stage

CORE_KEYS = frozenset({"name", "adapter", "mode", "endpoint", "outrank"})
"""Keys of a target that are cloudsync's own."""
SECRET = re.compile(r"(pass|secret|token|credential_value|private_key|api_key)", re.IGNORECASE)
INDIRECT = re.compile(r"env:|file:")
"""A secret is never written into settings, only where it is to be found."""


class _Watch(MetaPathFinder):
    """Notes which forbidden modules are asked for, and lets nobody have them."""

    def __init__(self, forbidden: Iterable[str]) -> None:
        self.forbidden = tuple(forbidden)
        self.asked: list[str] = []

    def holds(self, name: str) -> bool:
        """Tell whether a module belongs to what is forbidden."""
        return any(name == one or name.startswith(f"{one}.") for one in self.forbidden)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Refuse a forbidden module; leave all others to the usual finders."""
        if self.holds(name):
            self.asked.append(name)
            raise ModuleNotFoundError(name, name=name)


@contextmanager
def _imported_anew(package: str, watch: _Watch) -> Iterator[None]:
    """Forget a package and what is forbidden, as in a process that has just begun; afterwards everything is as it was."""
    kept = dict(sys.modules)
    for name in kept:
        if name == package or name.startswith(f"{package}.") or watch.holds(name):
            del sys.modules[name]
    sys.meta_path.insert(0, watch)
    try:
        yield
    finally:
        sys.meta_path.remove(watch)
        for name in set(sys.modules) - set(kept):
            if name == package or name.startswith(f"{package}."):
                del sys.modules[name]
        sys.modules.update(kept)


class Packaging:
    """Cases about the package and its factory."""

    def test_importing_it_loads_no_sdk(self, stage: Stage) -> None:
        """Whoever does not use the platform does not pay for it."""
        package = _package(stage)
        watch = _Watch(stage.facts.sdk)
        with _imported_anew(package, watch):
            try:
                module = importlib.import_module(package)
            except ModuleNotFoundError:
                assert watch.asked, f"{package} cannot be imported"
                module = None
            assert not watch.asked, f"importing {package} loads {watch.asked[0]}"
            assert module is not None
            target = stage.target(TargetMode.EXCLUSIVE)
            assert module.ADAPTER.name == target.adapter, f"the adapter is called {module.ADAPTER.name}, its targets say {target.adapter}"
            module.ADAPTER.check(target)
            assert not watch.asked, f"checking settings loads {watch.asked[0]}"
            assert module.ADAPTER.role([target], owner="contract", read_only=True), "no role"
            assert not watch.asked, f"printing a role loads {watch.asked[0]}"

    def test_its_settings_have_a_closed_schema(self, stage: Stage) -> None:
        """Unknown keys are refused, each key is described, cloudsync's own keys are left alone, no secret is asked for in plain text."""
        package = _package(stage)
        text = importlib.resources.files(package).joinpath("settings.schema.json").read_text(encoding="utf-8")
        schema = json.loads(text)
        assert schema.get("type") == "object", "settings are a mapping"
        keys = schema.get("properties", {})
        assert not CORE_KEYS & keys.keys(), f"keys of cloudsync's own: {sorted(CORE_KEYS & keys.keys())}"
        for path, node in _objects(schema, ""):
            assert node.get("additionalProperties") is not True, f"{path or 'the top'} takes any key"
            assert "additionalProperties" in node, f"{path or 'the top'} takes unknown keys"
        bare = [key for key, node in keys.items() if not node.get("description")]
        assert not bare, f"keys without a description: {bare}"
        plain = [key for key, node in keys.items() if SECRET.search(key) and not INDIRECT.search(json.dumps(node))]
        assert not plain, f"secrets in plain text: {plain}"
        unknown = set(stage.target(TargetMode.EXCLUSIVE).options) - keys.keys()
        strange = set(stage.factory.example) - keys.keys()
        assert not strange, f"the example has keys that the schema does not know: {sorted(strange)}"
        assert not unknown, f"the stage's own target has keys that the schema does not know: {sorted(unknown)}"

    def test_its_factory_finds_good_settings_good(self, stage: Stage) -> None:
        """`check` finds nothing wrong with settings that work, nor with the factory's own example, which makes a role as well."""
        target = stage.target(TargetMode.EXCLUSIVE)
        example = replace(target, options=stage.factory.example, endpoint="")
        for settings in (target, example):
            findings = stage.factory.check(settings)
            assert not findings, f"settings that work are refused: {findings[0]}"
        assert stage.factory.role([example], owner="contract", read_only=True), "the example makes no role"
        assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", stage.factory.name), f"a name that cannot be written: {stage.factory.name!r}"


def _package(stage: Stage) -> str:
    if not stage.facts.package:
        pytest.skip("the adapter under test is no package")
    return stage.facts.package


def _objects(node: object, path: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield every schema of a mapping with fixed keys, with its path."""
    if isinstance(node, dict):
        if "properties" in node:
            yield path, node
        for key, value in node.items():
            yield from _objects(value, f"{path}/{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _objects(value, f"{path}/{number}")
