"""`dataclass` as the standard library has it, but what it compiles is compiled when it is needed.

The standard one compiles six functions for each class while its module is imported. A run imports hundreds of classes, makes a few values
of most, and compares or prints few of them: a fifth of its time went into functions that nobody calls. Here a class starts with the same
functions in plain words, and each is replaced by the standard library's own as soon as that is worth it. What a class does is the same.
Only plain values with slots are made here; everything else is left to the standard library altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, field, fields, make_dataclass
from dataclasses import dataclass as _standard
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from dataclasses import dataclass

__all__ = ["dataclass"]

OFTEN = 64
"""After so many values the constructor is worth its compilation, which takes as long as a hundred of them in plain words."""
_OWN_WORDS = frozenset(
    {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__getstate__", "__setstate__", "__slots__"}
)
"""What a class that says one of these itself may mean by it is for the standard library to know."""
Method = Callable[..., Any]
Found = tuple[Field[Any], ...]
_put = object.__setattr__


def _dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, **more: bool) -> object:
    def made(one: type) -> type:
        if slots and not more and _plain(one):
            return _made(one, frozen=frozen)
        return _standard(frozen=frozen, slots=slots, **more)(one)

    return made if cls is None else made(cls)


if not TYPE_CHECKING:
    dataclass = _dataclass


def _plain(cls: type) -> bool:
    said = vars(cls)
    return (
        _OWN_WORDS.isdisjoint(said)
        and not any("__dataclass_fields__" in vars(base) for base in cls.__mro__[1:])
        and not any("InitVar" in str(kind) or "KW_ONLY" in str(kind) for kind in said.get("__annotations__", {}).values())
        and not any(isinstance(one, Field) and one.kw_only is True for one in said.values())
    )


def _made(cls: type, *, frozen: bool) -> type:
    cls.__doc__ = cls.__doc__ or cls.__name__
    found = fields(_standard(init=False, repr=False, eq=False)(cls))
    said = {name: one for name, one in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    params: Any = said["__dataclass_params__"]
    params.init = params.repr = params.eq = True
    params.frozen = frozen
    inherited = {name for base in cls.__mro__[1:-1] for name in _slots_of(base)}
    for one in found:
        said.pop(one.name, None)
    said["__slots__"] = tuple(one.name for one in found if one.name not in inherited)
    late = _Late(cls.__qualname__, found, frozen=frozen, checked=hasattr(cls, "__post_init__"))
    said |= {"__init__": late.constructor(), "__repr__": late.method("__repr__", repr=True), "__eq__": late.method("__eq__", eq=True)}
    said["__hash__"] = late.method("__hash__", eq=True, unsafe_hash=True) if frozen else None
    if frozen:
        said |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete, "__getstate__": _taken_out, "__setstate__": _put_in}
    late.cls = type(cls)(cls.__name__, cls.__bases__, said)
    late.cls.__qualname__ = cls.__qualname__
    return late.cls


def _slots_of(base: type) -> tuple[str, ...]:
    slots = vars(base).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


class _Late:
    """The methods of one class until they are compiled. Two threads at once compile one twice, which does no harm."""

    def __init__(self, name: str, found: Found, *, frozen: bool, checked: bool) -> None:
        self.cls: type = object
        self.name = name
        self._found, self._frozen, self._checked = found, frozen, checked
        self._left = OFTEN

    def method(self, name: str, **asked: bool) -> Method:
        """Return a method that is compiled when it is first called."""

        def first(*given: object) -> object:
            return self._compiled(name, asked)(*given)

        return self._called(name, first)

    def constructor(self) -> Method:
        """Return a constructor in plain words. Whatever it does not understand is for the real one to take or to refuse."""
        names = tuple(one.name for one in self._found if one.init)

        def first(value: object, /, *given: object, **named: object) -> None:
            self._left -= 1
            said = dict(zip(names, given, strict=False)) | named
            if self._left < 0 or len(said) != len(given) + len(named) or not self._fill(value, said):
                self._compiled("__init__", {"init": True, "frozen": self._frozen})(value, *given, **named)
            elif self._checked:
                cast("Any", value).__post_init__()

        return self._called("__init__", first)

    def _called(self, name: str, method: Method) -> Method:
        method.__name__, method.__qualname__ = name, f"{self.name}.{name}"
        return method

    def _fill(self, value: object, said: dict[str, object]) -> bool:
        """Give a value its fields; tell whether that is all that was said and all that is needed."""
        for one in self._found:
            name = one.name
            if name in said and one.init:
                _put(value, name, said.pop(name))
            elif one.default_factory is not MISSING:
                _put(value, name, one.default_factory())
            elif one.default is not MISSING:
                _put(value, name, one.default)
            elif one.init:
                return False
        return not said

    def _compiled(self, name: str, asked: Mapping[str, bool]) -> Method:
        """Return a method as the standard library makes it for these fields; from now on the class has it."""
        wanted: dict[str, Any] = {"init": False, "repr": False, "eq": False, "slots": True, **asked}
        space: dict[str, Any] = {"__module__": self.cls.__module__}
        if self._checked:
            space["__post_init__"] = None
        copies = [(one.name, one.type, _copy(one)) for one in self._found]
        made = self._called(name, vars(make_dataclass(self.cls.__name__, copies, namespace=space, **wanted))[name])
        setattr(self.cls, name, made)
        return made


def _copy(one: Field[Any]) -> Field[Any]:
    rest: dict[str, Any] = {"init": one.init, "repr": one.repr, "hash": one.hash, "compare": one.compare}
    if one.default_factory is not MISSING:
        rest["default_factory"] = one.default_factory
    elif one.default is not MISSING:
        rest["default"] = one.default
    copy: Field[Any] = field(**rest)
    return copy


# --- what cannot be changed ------------------------------------------------------------------------------------------


def _refuse_to_set(self: object, name: str, value: object) -> None:
    if not hasattr(self, "__dict__") or name in {one.name for one in _fields(self)}:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    _put(self, name, value)


def _refuse_to_delete(self: object, name: str) -> None:
    if not hasattr(self, "__dict__") or name in {one.name for one in _fields(self)}:
        raise FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _fields(one: object) -> Found:
    return fields(cast("Any", one))


def _taken_out(self: object) -> list[object]:
    return [getattr(self, one.name) for one in _fields(self)]


def _put_in(self: object, state: list[object]) -> None:
    for one, value in zip(_fields(self), state, strict=True):
        _put(self, one.name, value)
