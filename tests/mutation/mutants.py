"""Small mistakes, planted one at a time in a syntax tree: what a tired hand writes, not what a compiler or mypy would find.

A mutant is a place in a tree and what stands there instead. Nothing is written to disk: a tree is changed, compiled and changed back.
Left alone are annotations, imports, `__all__`, docstrings, decorators, `assert` (it speaks of our own mistakes) and a `case` that cannot be
reached.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

from tests.mutation.operators import fewer, replacements

MODULE = "<module>"
"""Where a mutant stands that is in no function: constants, tables, defaults of fields."""

Scope = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Place:
    """A slot of a syntax tree: a field of a node, or one element of a field that holds a list."""

    owner: ast.AST
    field: str
    index: int | None

    def get(self) -> ast.AST:
        """Return what stands there."""
        found = getattr(self.owner, self.field)
        node = found if self.index is None else found[self.index]
        assert isinstance(node, ast.AST)
        return node

    def put(self, node: ast.AST) -> None:
        """Put something else there."""
        if self.index is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.index] = node


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake. `first` and `last` are the lines that a test has to run to notice it."""

    file: str
    where: str
    """Qualified name of the function, or `<module>` and the class around it."""
    old: str
    new: str
    again: int
    """Which of the mutants that read alike in one function, counted from 1."""
    line: int
    first: int
    last: int
    place: Place
    node: ast.AST

    @property
    def name(self) -> str:
        """What a person calls it: stable while the function's text is."""
        nth = f" #{self.again}" if self.again > 1 else ""
        return f"{self.file} | {self.where} | {self.old} -> {self.new}{nth}"

    @property
    def draw(self) -> int:
        """A number by which samples are drawn: the same in each run."""
        return int.from_bytes(sha256(self.name.encode()).digest()[:8])

    @property
    def loaded(self) -> bool:
        """Tell whether it takes effect when the module is loaded, not when a function runs."""
        return self.where.startswith(MODULE)


def mutants(file: str, tree: ast.Module) -> tuple[Mutant, ...]:
    """Return every mutant of a module, in the order of its text."""
    found: list[Mutant] = []
    counts: dict[str, int] = {}
    for site in _sites(tree):
        before = site.place.get()
        others = (*replacements(before), *(fewer(before) if _table(site) else ()))
        for node in others:
            old, new = _text(before), _text(node)
            if old == new:
                continue
            one = Mutant(file, site.where, old, new, 1, site.line, site.first, site.last, site.place, node)
            again = counts[one.name] = counts.get(one.name, 0) + 1
            found.append(replace(one, again=again))
    return tuple(found)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Change the tree that the mutant belongs to, and change it back."""
    old = mutant.place.get()
    new = copy.deepcopy(mutant.node)
    ast.copy_location(new, old)
    mutant.place.put(ast.fix_missing_locations(new))
    try:
        yield
    finally:
        mutant.place.put(old)


def _text(node: ast.AST) -> str:
    """Return a node in one line, of a compound statement its head."""
    body = getattr(node, "body", None)
    if isinstance(node, ast.stmt) and isinstance(body, list):
        node = copy.copy(node)
        node.__dict__.update({"body": [], "orelse": []})
    return " ".join(ast.unparse(node).split())


@dataclass(frozen=True, slots=True)
class _Site:
    place: Place
    where: str
    line: int
    first: int
    last: int


def _sites(tree: ast.Module) -> Iterator[_Site]:
    yield from _inside(tree, _Context(MODULE, (), 1, 1))


@dataclass(frozen=True, slots=True)
class _Context:
    """Where a walk stands: `where` names the function, `names` the scopes around, the lines are those of the statement around."""

    where: str
    names: tuple[str, ...]
    first: int
    last: int


UNTOUCHED = {
    ast.FunctionDef: ("decorator_list", "returns", "type_comment"),
    ast.ClassDef: ("decorator_list", "bases", "keywords"),
    ast.AnnAssign: ("annotation", "target"),
    ast.Assign: ("targets",),
    ast.AugAssign: ("target",),
    ast.For: ("target",),
    ast.comprehension: ("target",),
    ast.arg: ("annotation",),
    ast.withitem: ("optional_vars",),
    ast.FormattedValue: ("format_spec",),
}
LEFT_ALONE = (ast.Import, ast.ImportFrom, ast.Assert, ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop, ast.pattern)


def _inside(node: ast.AST, context: _Context) -> Iterator[_Site]:
    """Yield every slot below a node, with where it stands."""
    skipped = UNTOUCHED.get(type(node), ())
    for field, value in ast.iter_fields(node):
        if field in skipped:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(child, ast.AST) or isinstance(child, LEFT_ALONE) or _docstring(child) or _never(child) or _exports(child):
                continue
            here = _entered(node, field, child, context)
            line = getattr(child, "lineno", here.first)
            yield _Site(Place(node, field, index), here.where, line, here.first, here.last)
            if isinstance(child, ast.JoinedStr):  # its pieces of text fall with the whole
                yield from (site for site in _inside(child, here) if not isinstance(site.place.owner, ast.JoinedStr))
            elif not isinstance(child, ast.Constant):
                yield from _inside(child, here)


def _entered(parent: ast.AST, field: str, child: ast.AST, context: _Context) -> _Context:
    """Return where the child stands: bodies of functions have their name, defaults and classes belong to the module."""
    if isinstance(parent, Scope) and field == "body":
        names = (*context.names, parent.name)
        outside = context.where.startswith(MODULE)
        if isinstance(parent, ast.ClassDef):
            context = replace(context, names=names, where=f"{MODULE} {'.'.join(names)}" if outside else context.where)
        elif outside:
            context = replace(context, names=names, where=".".join(names))
        else:
            context = replace(context, names=names)
    if isinstance(child, ast.stmt):
        context = replace(context, first=child.lineno, last=_head_end(child))
    return context


def _head_end(statement: ast.stmt) -> int:
    """Return the last line of a statement, of a compound one that of its head."""
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    if not body:
        return statement.end_lineno or statement.lineno
    first = body[0].pattern.lineno if isinstance(body[0], ast.match_case) else body[0].lineno
    return max(statement.lineno, first - 1)


def _docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _table(site: _Site) -> bool:
    """Tell whether a place outside functions may hold a table; what stands in square brackets there names a type."""
    return site.where.startswith(MODULE) and not isinstance(site.place.owner, ast.Subscript)


def _exports(node: ast.AST) -> bool:
    """Tell whether a statement says what a module exports: that is for type checkers."""
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"


def _never(node: ast.AST) -> bool:
    """Tell whether a case is the one that closes a union: it cannot be reached."""
    return isinstance(node, ast.match_case) and isinstance(node.pattern, ast.MatchAs) and "assert_never" in ast.unparse(node)
