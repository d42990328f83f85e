"""The page of figures says what the figures say: it is made of them alone, and what was not run has no number."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.parsers.expat import ParserCreate

import pytest

from bench import page, plot

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
MACHINE = {
    "cores": 2, "cpu": "some", "memory_gib": 4, "system": "Linux", "python": "3.11.7", "boto3": "1", "commit": "abc",
    "date": "2026-01-01T00:00Z",
    "load_at_start": 0.5, "load_at_end": 9.0, "words": "",
}  # fmt: skip
POINTS = [
    {"workloads": many, "rules": 10, "cpu_s": many / 1e5, "wall_s": many / 1e5, "peak_mb": 50 + many / 1e3, "prefixes": many, "runs": 3}
    for many in (1000, 10_000, 100_000)
]


def took(seconds: float, runs: int = 5) -> dict[str, Any]:
    return {"wall_s": seconds, "wall_min_s": seconds / 2, "wall_max_s": seconds * 2, "cpu_s": seconds, "runs": runs}


def elements(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Return name, attributes and text of every element of a plot; it has to be well-formed."""
    found: list[tuple[str, dict[str, str], str]] = []
    reader = ParserCreate()

    def said(piece: str) -> None:
        name, attributes, before = found[-1]
        found[-1] = (name, attributes, before + piece)

    reader.StartElementHandler = lambda name, attributes: found.append((name, attributes, ""))
    reader.CharacterDataHandler = said
    reader.Parse(text, True)
    return found


def test_what_was_not_run_has_no_figure_and_no_plot() -> None:
    files = page.files({"machine": MACHINE, "ansible": [None, None], "aerleon": None})
    assert set(files) == {"figures.json", "README.md"}
    text = files["README.md"].partition("## Beside other tools")[2].partition("## How it is measured")[0]
    assert text.count(page.NOT_RUN) == 7
    assert not re.search(r"\d+(\.\d+)?x|\d s\b", text)


def test_a_proof_is_shown_beside_those_who_were_asked() -> None:
    one = {
        "rules": 10_000, "rules_other": 14_000, "few_ports": True, "runs": 3, "one_s": 0.3904, "versions": "z3-solver 5, CUDD by dd 1",
        "cpu_s": {"ours": 0.448, "cudd": 0.393}, "ratio": {"cudd": 0.9},
    }  # fmt: skip
    text = page.files({"machine": MACHINE, "proof": [one]})["README.md"].partition("## Proof of one")[2].partition("\n## ")[0]
    assert "| 10,000, seven ports | **390.4 ms** | 0.448 s | not run | 0.393 s = **0.9x** | 3 |" in text
    assert "(z3-solver 5, CUDD by dd 1)" in text


def test_a_page_says_load_ratios_and_runs() -> None:
    scan = {
        "versions": "c7n 1",
        "groups": 20,
        "wait_ms": 50,
        "ours": took(1.0),
        "theirs": took(2.0),
        "calls": 10,
        "calls_theirs": 2,
        "ratio": 0.5,
    }
    text = page.page({"machine": MACHINE, "custodian": [scan]}, [])
    assert "others were at work on the same cores" in text
    assert "**0.5** of its time | <= 1 | 1.00 s (0.50-2.00) | 2.00 s (1.00-4.00) | 10 : 2 | 5 |" in text


def test_plots_are_whole_and_say_their_numbers() -> None:
    files = page.files({"machine": MACHINE, "scale": {"series": POINTS, "exponent": 1.0}, "aerleon": None})
    said = {text.strip() for name, _, text in elements(files["scale.svg"]) if name == "text"}
    assert {"1 s", "0.01 s", "100k"} <= said
    assert "prefers-color-scheme: dark" in files["scale.svg"]
    assert "<script" not in files["scale.svg"]
    assert "http" not in files["scale.svg"].replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("value", [0.2, 1.0, 3.0, 400.0])
def test_a_bar_of_any_ratio_stays_on_the_plot(value: float) -> None:
    drawn = elements(plot.bars("t", "b", [plot.Bar("one & two", value, 40)]))
    (bar,) = [attributes for _, attributes, _ in drawn if attributes.get("class") == "bar"]
    assert float(bar["x"]) >= 0
    assert float(bar["x"]) + float(bar["width"]) <= plot.WIDTH


def test_the_published_page_is_what_its_figures_say() -> None:
    source = FOLDER / "figures.json"
    if not source.exists():
        pytest.skip("no run is published")
    for name, text in page.files(json.loads(source.read_text(encoding="utf-8"))).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name} was changed by hand: run `make bench`"


def test_ratios_of_published_figures_follow_from_their_times() -> None:
    source = FOLDER / "figures.json"
    if not source.exists():
        pytest.skip("no run is published")
    figures = json.loads(source.read_text(encoding="utf-8"))
    for one in filter(None, figures.get("ansible") or ()):
        assert one["ratio_noop"] == pytest.approx(one["noop"]["theirs"]["wall_s"] / one["noop"]["ours"]["wall_s"], abs=0.1)
        assert one["ratio_noop_calls"] == pytest.approx(one["noop"]["calls_theirs"] / one["noop"]["calls"], abs=0.1)
        awake = one["apply"]["theirs"]["wall_s"] - one["slept_s"]
        assert one["ratio_apply_without_sleep"] == pytest.approx(awake / one["apply"]["ours"]["wall_s"], abs=0.1)
    for one in filter(None, figures.get("custodian") or ()):
        assert one["ratio"] == pytest.approx(one["ours"]["wall_s"] / one["theirs"]["wall_s"], abs=0.01)
