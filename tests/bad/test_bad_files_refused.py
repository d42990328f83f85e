"""Every bad file of this folder, put where it belongs and met by a command: refused by exit code 3 before anything is contacted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad.scene import no_network, scene
from tests.trust.figures import record

FOLDER = Path(__file__).parent
PLACES = {
    "loading": "policy/{name}",
    "policy": "policy/all.yaml",
    "settings": "cloudsync.yaml",
    "inventory": "inventory/{name}",
    "acknowledged": "acknowledged.yaml",
    "terraform": "net.tfstate",
}
WARNINGS = {"95-no-id"}
"""What stops nobody: a machine of a state that has no id yet."""
CASES = sorted(path for folder in PLACES for path in (FOLDER / folder).iterdir() if path.suffix != ".txt" and path.stem not in WARNINGS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_a_bad_file_stops_a_run_before_anything_is_contacted(case: Path, tmp_path: Path) -> None:
    place = PLACES[case.parent.name].format(name=case.name)
    with scene(tmp_path) as stage, no_network() as tried:
        path = stage.world.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.read_bytes())
        if place == "net.tfstate":
            text = (stage.world.root / "cloudsync.yaml").read_text(encoding="utf-8")
            stage.world.write("cloudsync.yaml", text + "terraform: [{name: net, state: net.tfstate}]\n")
        words = ("validate", "--strict") if case.parent.name == "acknowledged" else ("plan",)
        ran = stage.run(*words)
        counts = stage.counts()
    missing = [line for line in _wanted(case, place) if line not in ran.out]
    record("T9 bad files", {"cases": 1, "wrong": int(ran.code != 3 or bool(missing))})
    assert ran.code == 3, str(ran)
    assert counts == (0, 0)
    assert not tried
    assert not missing, str(ran)


def _wanted(case: Path, place: str) -> list[str]:
    """Return the findings of a file as they read where it belongs; what depends on the targets of the settings is left out."""
    name = f"policy/{case.name}" if case.parent.name == "policy" else case.name
    lines = case.with_suffix(".txt").read_text(encoding="utf-8").replace(name, place).splitlines()
    return [line for line in lines if "UNKNOWN-TARGET" not in line and "EXPIRED" not in line]
