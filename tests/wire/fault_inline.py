"""Reads that run one after the other, so that the n-th call of a run is the same call every time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Self

import pytest

import cloudsync.run
import cloudsync_aws.adapter
import cloudsync_aws.read
import cloudsync_azure.read
import cloudsync_f5.read
import cloudsync_gcp.read

POOLED: tuple[ModuleType, ...] = (
    cloudsync.run,
    cloudsync_aws.adapter,
    cloudsync_aws.read,
    cloudsync_azure.read,
    cloudsync_f5.read,
    cloudsync_gcp.read,
)


class _Later(Future[Any]):
    """Work that is done when somebody asks for its result."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work

    def result(self, timeout: float | None = None) -> Any:
        """Do it, the first time."""
        if not self.done():
            self.set_result(self._work())
        return super().result(timeout)


class Inline:
    """A pool of no threads."""

    def __init__(self, *_words: object, **_more: object) -> None:
        """Take what a pool of threads takes."""

    def submit(self, work: Callable[..., Any], *words: Any, **more: Any) -> Future[Any]:
        """Keep it for whoever asks for the result."""
        return _Later(lambda: work(*words, **more))

    def map(self, work: Callable[..., Any], *many: Iterable[Any]) -> Iterator[Any]:
        """Run it for each, now."""
        return iter([work(*words) for words in zip(*many, strict=False)])

    def shutdown(self, *_words: object, **_more: object) -> None:
        """There is nothing to end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_words: object) -> None:
        """There is nothing to end."""


@contextmanager
def inline() -> Iterator[None]:
    """Let no adapter read with threads for the length of a `with`."""
    with pytest.MonkeyPatch.context() as patch:
        for module in POOLED:
            patch.setattr(module, "ThreadPoolExecutor", Inline)
        yield
