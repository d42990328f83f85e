"""Classes made quickly are what the standard library makes of the same text, whatever is asked of them."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import inspect
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from cloudsync.model import quick
from tests.tidy import tree

TEXT = '''
from __future__ import annotations
from dataclasses import field
from typing import ClassVar, Generic, Protocol, TypeVar

Item = TypeVar("Item")

@make(frozen=True, slots=True)
class Value:
    """A value."""

    name: str
    of: tuple[int, ...] = ()
    more: dict[str, int] = field(default_factory=dict)
    quiet: int = field(default=7, repr=False)
    beside: int = field(default=3, compare=False)
    unhashed: list[int] = field(default_factory=list, hash=False)
    fixed: str = field(default="f", init=False)
    drawn: list[int] = field(default_factory=list, init=False, compare=False)
    kind: ClassVar[str] = "k"

    @property
    def long(self) -> int:
        return len(self.of)

@make(slots=True)
class Box(Generic[Item]):
    content: Item
    _private: int = 1

    def grow(self) -> None:
        self._private += 1

@make(frozen=True, slots=True)
class Checked:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("turned round")

@make(frozen=True, slots=True)
class Empty:
    """Nothing."""

@make(slots=True)
class Ring:
    next: Ring | None = None

@make(frozen=True, slots=True, order=True)
class Ordered:
    at: int

@make(frozen=True, slots=True)
class Child(Value):
    extra: int = 0

@make(frozen=True, slots=True)
class Odd:
    at: int

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None

@make(frozen=True)
class Wide:
    at: int = 0

class Loose(Checked):
    """A class of somebody's with room for more."""
'''
NAMES = ("std", "fast")


def module(folder: Path, name: str, make: Callable[..., Any]) -> types.ModuleType:
    file = folder / f"quick_{name}.py"
    file.write_text(TEXT, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    vars(made)["make"] = make
    sys.modules[made.__name__] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    pair = module(tmp_path, "std", dataclasses.dataclass), module(tmp_path, "fast", vars(quick)["dataclass"])
    yield pair
    for one in pair:
        del sys.modules[one.__name__]


def said(one: Any, ask: Callable[[Any], object]) -> str:
    """Return an answer, or the error in its place, without the module's name."""
    try:
        found = repr(ask(one))
    except (TypeError, ValueError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
    return found.replace("quick_fast", "quick_std")


def grown(box: Any) -> Any:
    box.grow()
    return box


def closed(ring: Any) -> Any:
    ring.next = ring
    return ring


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "repr": lambda m: m.Value("a", (1, 2), {"x": 1}),
    "repr of a box": lambda m: m.Box([1]),
    "repr of nothing": lambda m: m.Empty(),
    "equal": lambda m: (m.Value("a") == m.Value("a"), m.Value("a") == m.Value("b"), m.Value("a") != m.Value("a")),
    "equal but for what is not compared": lambda m: m.Value("a", beside=1) == m.Value("a", beside=2),
    "another kind": lambda m: (m.Value("a") == m.Checked(1, 2), m.Value("a").__eq__(1)),
    "nothing equals nothing": lambda m: (m.Empty() == m.Empty(), hash(m.Empty()) == hash(m.Empty()), len({m.Empty(), m.Empty()})),
    "hash": lambda m: hash(m.Checked(1, 2)) == hash((1, 2)),
    "hash leaves out": lambda m: hash(m.Value("a", more=1)) == hash(("a", (), 1, 7, "f")),
    "no hash": lambda m: hash(m.Box(1)),
    "hash of what has none": lambda m: hash(m.Value("a")),
    "set": lambda m: setattr(m.Value("a"), "name", "b"),
    "delete": lambda m: delattr(m.Value("a"), "name"),
    "set a field with room": lambda m: setattr(m.Loose(1, 2), "low", 1),
    "grow": lambda m: grown(m.Box(1)),
    "set in a box": lambda m: setattr(m.Box(1), "other", 1),
    "missing": lambda m: m.Value(),
    "too many": lambda m: m.Checked(1, 2, 3),
    "unknown": lambda m: m.Checked(1, 2, middle=3),
    "checked": lambda m: m.Checked(2, 1),
    "replace": lambda m: dataclasses.replace(m.Value("a"), of=(3,)),
    "replace what is fixed": lambda m: dataclasses.replace(m.Value("a"), fixed="x"),
    "replace checks": lambda m: dataclasses.replace(m.Checked(1, 2), high=0),
    "fields": lambda m: [(one.name, one.type, one.repr, one.compare, one.init) for one in dataclasses.fields(m.Value)],
    "asdict": lambda m: dataclasses.asdict(m.Value("a", more={"k": 1})),
    "is one": lambda m: (dataclasses.is_dataclass(m.Value), dataclasses.is_dataclass(m.Empty())),
    "factories": lambda m: m.Value("a").more is m.Value("a").more,
    "drawn": lambda m: (m.Value("a").drawn, m.Value("a").fixed, m.Value.kind, m.Value("a", (1,)).long),
    "slots": lambda m: (m.Value.__slots__, m.Box.__slots__, hasattr(m.Value("a"), "__dict__")),
    "match": lambda m: (m.Value.__match_args__, m.Box.__match_args__),
    "names": lambda m: (m.Value.__name__, m.Value.__qualname__, m.Value.__module__, m.Value.__doc__, m.Value.__init__.__qualname__),
    "taken out": lambda m: (m.Value("a").__getstate__(), m.Box(1).__getstate__()),
    "copy of a box": lambda m: (copy.copy(m.Box([1], 2)), copy.deepcopy(m.Box({"a": [1]}, 5))),
    "copy": lambda m: (copy.copy(m.Value("a")), copy.deepcopy(m.Value("a", more={"x": 1}))),
    "generic": lambda m: m.Box[int](3),
    "ring": lambda m: closed(m.Ring()),
    "ordered": lambda m: (m.Ordered(1) < m.Ordered(2), sorted([m.Ordered(2), m.Ordered(1)])),
    "child": lambda m: (m.Child("a", extra=2), m.Child("a") == m.Child("a"), m.Child("a") == m.Value("a")),
    "odd": lambda m: (m.Odd(1) == 5, m.Odd.__hash__.__qualname__),
    "wide": lambda m: (m.Wide(2), vars(m.Wide(2))),
    "parameters": lambda m: (m.Value.__dataclass_params__, m.Box.__dataclass_params__),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_the_same_the_first_time_and_the_second(question: str, both: tuple[Any, Any]) -> None:
    ask = QUESTIONS[question]
    for _ in range(2):
        standard, fast = (said(one, ask) for one in both)
        assert fast == standard


def test_a_standard_class_may_stand_on_a_quick_one(both: tuple[Any, Any]) -> None:
    for one in both:
        made = dataclasses.make_dataclass("More", [("extra", int, 1)], bases=(one.Value,), frozen=True, slots=True)
        assert repr(made("a")).startswith("More(name='a'")
        known = made("a")
        with pytest.raises(dataclasses.FrozenInstanceError):
            known.extra = 2


def test_methods_are_compiled_when_they_are_used_and_the_constructor_when_that_is_often(both: tuple[Any, Any]) -> None:
    standard, fast = both
    for name in ("__repr__", "__eq__", "__hash__", "__init__"):
        assert "Late" in vars(fast.Checked)[name].__code__.co_qualname
    one = fast.Checked(1, 2)
    assert hash(one) == hash((1, 2))
    assert "Late" not in fast.Checked.__hash__.__code__.co_qualname
    assert one == fast.Checked(1, 2)
    assert "Late" not in fast.Checked.__eq__.__code__.co_qualname
    assert "Late" in fast.Checked.__init__.__code__.co_qualname
    for _ in range(quick.OFTEN):
        fast.Checked(1, 2)
    assert "Late" not in fast.Checked.__init__.__code__.co_qualname
    assert inspect.signature(fast.Checked) == inspect.signature(standard.Checked)
    assert get_type_hints(fast.Checked.__init__) == get_type_hints(standard.Checked.__init__)


@pytest.mark.parametrize("question", ["checked", "missing", "unknown", "too many", "drawn", "factories", "repr", "set", "ring", "generic"])
def test_the_answer_is_the_same_after_many_values_too(question: str, both: tuple[Any, Any]) -> None:
    for one in both:
        for _ in range(2 * quick.OFTEN):
            one.Checked(1, 2), one.Value("a"), one.Box(1), one.Ring(), one.Empty()
    standard, fast = (said(one, QUESTIONS[question]) for one in both)
    assert fast == standard


def test_threads_that_use_a_class_first_at_once_agree(both: tuple[Any, Any]) -> None:
    _, fast = both
    start, seen = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        seen.append((hash(fast.Checked(1, 2)), fast.Checked(1, 2) == fast.Checked(1, 2), repr(fast.Checked(1, 2))))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(seen) == {(hash((1, 2)), True, "Checked(low=1, high=2)")}


def test_a_name_that_is_no_field_is_refused_too_and_taken_where_there_is_room(both: tuple[Any, Any]) -> None:
    """The standard library's own answer is a TypeError about `super` in both cases, because the class with slots is another one."""
    _, fast = both
    with pytest.raises(dataclasses.FrozenInstanceError):
        fast.Value("a").other = 1
    roomy = fast.Loose(1, 2)
    roomy.note = 1
    assert vars(roomy) == {"note": 1}
    del roomy.note
    assert vars(roomy) == {}


def test_the_product_has_its_values_made_here() -> None:
    """The lab and the checker of plan files share nothing with the product."""
    apart = {("cloudsync", "lab"), ("cloudsync", "verify"), ("cloudsync", "verify.py")}
    files = [file for file in tree.python_files(*tree.PRODUCT) if file.parts[:2] not in apart and file.name != "quick.py"]
    standard = re.compile(r"^from dataclasses import .*\bdataclass\b", re.MULTILINE)
    slow = [str(file) for file in files if standard.search(file.read_text(encoding="utf-8"))]
    assert not slow, "write `from cloudsync.model.quick import dataclass`"
