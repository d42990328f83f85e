"""These tests commit thousands of times: their state files live in memory where the machine allows it."""

from tests.acting.folders import tmp_path

__all__ = ["tmp_path"]
