"""A pytest plugin for runs inside a copy: says where the tested modules came from, and lets hypothesis draw the same cases each time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_OURS = ("cloudsync", "cloudsync_aws", "cloudsync_azure", "cloudsync_f5", "cloudsync_gcp")


def pytest_configure(config: pytest.Config) -> None:
    """Draw without chance, and do not shrink: that it fails is all we want to know."""
    if not any("tests/property" in argument for argument in config.args):
        return
    from hypothesis import Phase, settings  # noqa: PLC0415  a third of a second that most runs do without

    settings.register_profile("seeded", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate), deadline=None)
    settings.load_profile("seeded")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the modules of the product by where their files are."""
    here = Path.cwd().resolve()
    files = [
        Path(str(module.__file__)).resolve()
        for name, module in sorted(sys.modules.items())
        if name.partition(".")[0] in _OURS and getattr(module, "__file__", None)
    ]
    ours = sum(1 for file in files if file.is_relative_to(here))
    terminalreporter.write_line(f"witness: {ours} modules of this copy, {len(files) - ours} from elsewhere")
