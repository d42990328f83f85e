"""A mutant in a process that has everything loaded: living functions get other code, changed constants go to where they are read.

Only ever called in a forked child that ends with its mutant; there is no way back.
"""

from __future__ import annotations

import ast
import functools
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from tests.mutation.mutants import Mutant, planted

Key = tuple[str, int]
"""A function of a file: its qualified name and first line."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module under test: its text as a tree, the module as loaded, and every living function that was made from it."""

    file: str
    path: Path
    tree: ast.Module
    loaded: ModuleType
    functions: dict[Key, tuple[FunctionType, ...]]

    def plant(self, mutant: Mutant | None) -> None:
        """Let the mutant live in this process; None plants the module as it is, which must change nothing."""
        if mutant is None:
            code = compile(self.tree, str(self.path), "exec")
        else:
            with planted(mutant):
                code = compile(self.tree, str(self.path), "exec")
        if mutant is None or mutant.loaded:
            _reload(self.loaded, code)
        for found in _codes(code):
            for function in self.functions.get((found.co_qualname, found.co_firstlineno), ()):
                if function.__code__.co_freevars == found.co_freevars:
                    function.__code__ = found


class _Changed(SourceFileLoader):
    """Loads a module from code that is at hand."""

    def __init__(self, name: str, code: CodeType) -> None:
        super().__init__(name, code.co_filename)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        """Return the code, whatever stands in the file."""
        del fullname
        return self._code


def loaded_modules(root: Path, files: list[str]) -> dict[str, Module]:
    """Return the modules of some files, as this process has loaded them."""
    by_path = {str(getattr(module, "__file__", None)): module for module in list(sys.modules.values())}
    living: dict[str, dict[Key, list[FunctionType]]] = {str(root / file): {} for file in files}
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and found.__code__.co_filename in living:
            key = (found.__code__.co_qualname, found.__code__.co_firstlineno)
            living[found.__code__.co_filename].setdefault(key, []).append(found)
    modules: dict[str, Module] = {}
    for file in files:
        path = root / file
        module = by_path.get(str(path))
        if module is not None:
            functions = {key: tuple(found) for key, found in living[str(path)].items()}
            modules[file] = Module(file, path, ast.parse(path.read_text(encoding="utf-8")), module, functions)
    return modules


def forget() -> None:
    """Empty every cache of a function: it was filled by the healthy code."""
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper):
            found.cache_clear()


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _reload(loaded: ModuleType, code: CodeType) -> None:
    """Run the module's text beside the loaded one, and carry over what came out different: constants, defaults, values of enums."""
    beside = ModuleType(loaded.__name__)
    beside.__dict__.update({"__file__": loaded.__file__, "__package__": loaded.__package__})
    _Changed(loaded.__name__, code).exec_module(beside)
    for name, made in list(beside.__dict__.items()):
        new = made if isinstance(made, (FunctionType, type)) else _as_loaded(made, loaded)
        old = loaded.__dict__.get(name)
        if name.startswith("__") or old is None:
            continue
        if isinstance(new, FunctionType) and isinstance(old, FunctionType):
            _default(old, new)
        elif isinstance(new, type) and isinstance(old, type):
            if new.__module__ == loaded.__name__:
                _carry(old, new)
        elif not isinstance(new, ModuleType) and not _same(old, new):
            _spread(name, old, new)


def _as_loaded(value: object, loaded: ModuleType) -> object:
    """Return a table of functions and classes with those of the loaded module in the place of those that were made beside it."""
    if isinstance(value, (FunctionType, type)) and value.__module__ == loaded.__name__:
        return getattr(loaded, value.__name__, value)
    if type(value) is tuple:
        return tuple(_as_loaded(one, loaded) for one in value)
    if type(value) is dict:
        return {_as_loaded(key, loaded): _as_loaded(one, loaded) for key, one in value.items()}
    return value


def _carry(old: type, new: type) -> None:
    """Carry over the defaults of a class: of its methods, of its fields, and the values of an enum."""
    if issubclass(old, Enum) and issubclass(new, Enum):
        for member in new:
            known = old[member.name]
            known._value_ = member._value_
            old._value2member_map_[member._value_] = known
        return
    _carry_fields(old, new)
    for name, found in vars(new).items():
        twin = vars(old).get(name)
        if isinstance(found, FunctionType) and isinstance(twin, FunctionType):
            if found.__code__.co_varnames == twin.__code__.co_varnames:  # a constructor may be compiled in one of them alone
                _default(twin, found)
        elif isinstance(found, (int, float, str)) and not name.startswith("__") and twin != found:
            setattr(old, name, found)


def _carry_fields(old: type, new: type) -> None:
    """Carry over the defaults of a value's fields: to the fields, and to the constructor where it is compiled already."""
    known, made = (getattr(one, "__dataclass_fields__", {}) for one in (old, new))
    changed = {name: made[name].default for name in made if name in known and not _same(known[name].default, made[name].default)}
    for name, default in changed.items():
        known[name].default = default
    constructor = vars(old).get("__init__")
    if changed and isinstance(constructor, FunctionType) and constructor.__defaults__:
        code, defaults = constructor.__code__, constructor.__defaults__
        names = code.co_varnames[: code.co_argcount][-len(defaults) :]
        constructor.__defaults__ = tuple(changed.get(name, was) for name, was in zip(names, defaults, strict=True))


def _default(old: FunctionType, new: FunctionType) -> None:
    """Give a function the defaults that came out different."""
    if new.__defaults__ and old.__defaults__ and len(new.__defaults__) == len(old.__defaults__):
        pairs = zip(old.__defaults__, new.__defaults__, strict=True)
        old.__defaults__ = tuple(was if _same(was, now) else now for was, now in pairs)
    else:
        old.__defaults__ = new.__defaults__
    if new.__kwdefaults__ and old.__kwdefaults__:
        known = old.__kwdefaults__
        old.__kwdefaults__ = {name: known[name] if _same(known.get(name), now) else now for name, now in new.__kwdefaults__.items()}


def _same(old: object, new: object) -> bool:
    """Tell whether two values are one; those of classes that were made anew compare unequal although they say the same."""
    if type(old) is type(new):
        return bool(old == new)
    return type(old).__qualname__ == type(new).__qualname__ and repr(old) == repr(new)


def _spread(name: str, old: object, new: object) -> None:
    """Put a changed constant into every module that holds it under its name."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        if names.get(name) is old:
            names[name] = new
