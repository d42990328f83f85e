"""Calls and imports that have no place here, found in the syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy import tree

CLOCK_CALLS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "date.today",
    "datetime.date.today",
}
# Besides an adapter's client.py: those who come to the simulated estate as a stranger would.
SDK_HOMES = {"client.py", "pytest_plugin.py", "people.py"}
SDKS = {"boto3", "botocore", "google", "azure", "f5"}


def dotted(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}"
        case _:
            return ""


def imported(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def hazards(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of every call that reads unsafely, checks no certificate or starts a shell."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system", "pickle.load", "pickle.loads"}:
            yield node.lineno, name
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if (keyword.arg, value) in {("verify", False), ("shell", True)}:
                yield node.lineno, f"{name}({keyword.arg}={value!r})"


def clock_reads(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and dotted(node.func) in CLOCK_CALLS:
            yield node.lineno, dotted(node.func)


def test_no_call_trusts_input_or_the_network() -> None:
    found = [f"{file}:{line} {name}" for file in tree.python_files(*tree.PROGRAMS) for line, name in hazards(tree.syntax(file))]
    assert not found, found


def test_the_clock_is_read_in_clock_modules_only() -> None:
    # The lab starts and stops real processes and waits for them; it may measure a wait, but not ask what time it is.
    found = [
        f"{file}:{line} {name}"
        for file in tree.python_files(*tree.PRODUCT)
        if file.name != "clock.py"
        for line, name in clock_reads(tree.syntax(file))
        if not (file.parts[1] == "lab" and name == "time.monotonic")
    ]
    assert not found, "\n".join(found)


def test_no_test_replaces_parts_of_the_program() -> None:
    found = [
        f"{file}:{line} {name}"
        for file in tree.python_files(*tree.EVERYTHING)
        for line, name in imported(tree.syntax(file))
        if name.startswith(("unittest.mock", "mock.", "pytest_mock"))
    ]
    assert not found, found


def test_an_sdk_is_imported_in_client_py_alone() -> None:
    found = [
        f"{file}:{line} {name}"
        for file in tree.python_files(*tree.PRODUCT)
        if file.name not in SDK_HOMES
        for line, name in imported(tree.syntax(file))
        if name.partition(".")[0] in SDKS
    ]
    assert not found, found


def test_the_core_prints_only_on_the_command_line() -> None:
    loud = {Path("cloudsync/lab/demo.py")}
    found = [
        f"{file}:{node.lineno}"
        for file in tree.python_files(*tree.PRODUCT)
        if file.parts[:2] != ("cloudsync", "cli") and file not in loud and file.name not in {"__main__.py", "evidence.py"}
        for node in ast.walk(tree.syntax(file))
        if isinstance(node, ast.Call) and dotted(node.func) == "print"
    ]
    assert not found, found


@pytest.mark.parametrize(
    "source",
    ["import yaml\nyaml.load(x)", "requests.get(u, verify=False)", "subprocess.run(c, shell=True)", "eval(text)"],
)
def test_a_planted_hazard_is_found(source: str) -> None:
    assert list(hazards(ast.parse(source)))


def test_a_planted_clock_and_a_planted_mock_are_found() -> None:
    assert list(clock_reads(ast.parse("import time\nx = time.time()")))
    assert [name for _, name in imported(ast.parse("from unittest.mock import patch"))] == ["unittest.mock.patch"]
