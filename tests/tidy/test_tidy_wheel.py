"""What is installed is ours by name, typed and complete."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tidy import tree


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=tree.ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [wheel] = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_only_our_names_reach_site_packages(wheel_names: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel_names}
    assert "cloudsync" in tops
    strangers = [top for top in tops if not re.fullmatch(r"cloudsync(_[a-z0-9]+)?|cloudsync-[0-9a-z.]+\.dist-info", top)]
    assert not strangers, strangers


def test_every_package_carries_its_types_and_every_module(wheel_names: list[str]) -> None:
    packed = set(wheel_names)
    for package in ("cloudsync", *(path.name for path in (tree.ROOT / "adapters").iterdir() if path.is_dir())):
        assert f"{package}/py.typed" in packed
    modules = {str(file).removeprefix("adapters/") for file in tree.python_files("cloudsync", "adapters")}
    assert not modules - packed


def test_the_wheel_carries_the_licence_and_the_command(wheel_names: list[str]) -> None:
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in wheel_names)
    assert any(name.endswith("dist-info/entry_points.txt") for name in wheel_names)


def test_importing_the_package_costs_nothing() -> None:
    program = "import sys; before = set(sys.modules); import cloudsync; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(tree.ROOT), capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['cloudsync']"
