"""The walls stand: each contract is shown to break when somebody walks through it."""

import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tidy import tree

DECIDING = ("model", "adapter", "policy", "inventory", "compile", "diff", "proof", "plan", "guard")


@dataclass(frozen=True, slots=True)
class Breach:
    """An import that must not be, and the contract that must notice it."""

    contract: str
    module: str
    line: str


BREACHES = (
    Breach("layers", "cloudsync/model/__init__.py", "import cloudsync.plan"),
    Breach("deciding", "cloudsync/guard/__init__.py", "import time"),
    Breach("core-knows-no-adapter", "cloudsync/proof/__init__.py", "import cloudsync_aws"),
    Breach("adapters", "adapters/cloudsync_aws/parse.py", "import cloudsync.plan"),
    Breach("sdk-in-client", "adapters/cloudsync_aws/parse.py", "import boto3"),
    Breach("lab", "cloudsync/lab/__init__.py", "import cloudsync.model"),
)


def settings() -> dict[str, Any]:
    return tomllib.loads((tree.ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def contract(identifier: str) -> dict[str, Any]:
    [found] = [one for one in settings()["tool"]["importlinter"]["contracts"] if one["id"] == identifier]
    assert isinstance(found, dict)
    return found


def copy_of_the_project(folder: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(tree.ROOT / "cloudsync", folder / "cloudsync", ignore=ignore)
    for adapter in (tree.ROOT / "adapters").iterdir():
        if adapter.is_dir():
            shutil.copytree(adapter, folder / adapter.name, ignore=ignore)
    shutil.copy(tree.ROOT / "pyproject.toml", folder)
    return folder


def verdicts(folder: Path) -> tuple[int, str]:
    """Run import-linter over a copy; the copy comes first on its path, so that it is what gets read."""
    program = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"COLUMNS": "400"},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_walls_hold_and_every_breach_is_seen(tmp_path: Path) -> None:
    folder = copy_of_the_project(tmp_path)
    code, text = verdicts(folder)
    assert code == 0, text
    for breach in BREACHES:
        path = folder / breach.module.removeprefix("adapters/")
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{breach.line}\n", encoding="utf-8")
    code, text = verdicts(folder)
    assert code == 1, text
    for breach in BREACHES:
        name = contract(breach.contract)["name"]
        assert re.search(rf"{re.escape(name)} BROKEN", text), f"{breach} went unnoticed:\n{text}"


def test_a_module_without_a_place_is_seen(tmp_path: Path) -> None:
    folder = copy_of_the_project(tmp_path)
    (folder / "cloudsync" / "annex.py").write_text('"""Nobody gave this a place."""\n', encoding="utf-8")
    code, text = verdicts(folder)
    assert code == 1
    assert "annex" in text


def test_every_module_that_decides_is_under_the_contract() -> None:
    present = {name for name in DECIDING if (tree.ROOT / "cloudsync" / name).is_dir() or (tree.ROOT / "cloudsync" / f"{name}.py").is_file()}
    listed = {name.removeprefix("cloudsync.") for name in contract("deciding")["source_modules"]}
    assert listed == present, f"pyproject.toml, contract 'deciding': add {sorted(present - listed)}, remove {sorted(listed - present)}"


@pytest.mark.parametrize("adapter", sorted(path.name for path in (tree.ROOT / "adapters").iterdir() if (path / "__init__.py").is_file()))
def test_every_adapter_is_known_everywhere(adapter: str) -> None:
    whole = settings()
    tool = whole["tool"]
    assert f"adapters/{adapter}" in tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert adapter in tool["importlinter"]["root_packages"]
    assert adapter in contract("core-knows-no-adapter")["forbidden_modules"]
    assert adapter in contract("lab")["forbidden_modules"]
    assert adapter in contract("adapters")["source_modules"]
    assert adapter in contract("sdk-in-client")["source_modules"]
    assert f"{adapter}:ADAPTER" in whole["project"]["entry-points"]["cloudsync.adapters"].values()
    assert adapter.removeprefix("cloudsync_") in whole["project"]["optional-dependencies"]
    assert (tree.ROOT / "adapters" / adapter / "py.typed").is_file()


def test_there_is_no_package_above_the_adapters() -> None:
    assert not (tree.ROOT / "adapters" / "__init__.py").exists()
