"""Which mistakes are made of which piece of code. Each function yields what may stand instead of a node, weakest change first."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every mutant of one node."""
    match node:
        case ast.Compare():
            yield from _compare(node)
        case ast.BoolOp():
            yield from _boolean(node)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp():
            yield from _binary(node)
        case ast.Constant(value=value):
            yield from _constant(value)
        case ast.JoinedStr():
            yield ast.Constant("")
        case ast.Call():
            yield from _call(node)
        case ast.Slice():
            yield from _slice(node)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.comprehension() if node.ifs:
            yield from (_with(node, "ifs", [one for one in node.ifs if one is not left]) for left in node.ifs)
        case ast.ExceptHandler():
            yield from _handler(node)
        case ast.stmt():
            yield from _statement(node)


def fewer(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a table that lacks one of its entries; asked for tables that stand outside functions."""
    match node:
        case ast.Tuple() | ast.List() | ast.Set() if len(node.elts) > 1:
            yield from (_with(node, "elts", [one for one in node.elts if one is not left]) for left in node.elts)
        case ast.Dict():
            for at in range(len(node.keys)):
                other = _with(node, "keys", [*node.keys[:at], *node.keys[at + 1 :]])
                yield _with(other, "values", [*node.values[:at], *node.values[at + 1 :]])


def _statement(node: ast.stmt) -> Iterator[ast.AST]:
    match node:
        case ast.If():
            yield _with(node, "test", ast.Constant(True))
            yield _with(node, "test", ast.Constant(False))
        case ast.While():
            yield _with(node, "test", ast.Constant(False))
        case ast.For():
            yield _with(node, "iter", ast.Tuple([], ast.Load()))
        case ast.Expr() | ast.Raise():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Pass()
            yield ast.Break()
        case ast.Break():
            yield ast.Pass()
            yield ast.Continue()
        case ast.Return(value=None):
            yield ast.Pass()
        case ast.Return(value=value) if value is not None:
            yield from (ast.Return(one) for one in _other_answer(value))
        case ast.AugAssign():
            yield ast.Pass()
            yield from (_with(node, "op", op) for op in _other_operators(node.op))
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Match():
            cases = [one for one in node.cases if not isinstance(one.pattern, ast.MatchAs) or one.pattern.pattern is not None]
            yield from (_with(node, "cases", [one for one in node.cases if one is not left]) for left in cases if len(node.cases) > 1)


def _other_answer(value: ast.expr) -> Iterator[ast.expr]:
    """What a function may return instead; truths are turned round, everything else is forgotten."""
    if isinstance(value, ast.Constant):
        return  # constants are mutants by themselves
    truth = isinstance(value, (ast.Compare, ast.BoolOp)) or (isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not))
    named = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in {"any", "all", "bool", "isinstance"}
    yield ast.UnaryOp(ast.Not(), value) if truth or named else ast.Constant(None)


ORDER: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for at, op in enumerate(node.ops):
        for other in ORDER[type(op)]:
            yield _with(node, "ops", [other() if number == at else one for number, one in enumerate(node.ops)])


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _with(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for left in node.values:
        rest = [one for one in node.values if one is not left]
        yield rest[0] if len(rest) == 1 else _with(node, "values", rest)


OTHER: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.FloorDiv,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
}


def _other_operators(op: ast.operator) -> Iterator[ast.operator]:
    for other in OTHER.get(type(op), ()):
        yield other()


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    """Other operators; sets also lose a side, which is what forgetting a part looks like."""
    if isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
        return
    for op in _other_operators(node.op):
        yield _with(node, "op", op)
    if isinstance(node.op, (ast.BitAnd, ast.BitOr, ast.Sub)):
        yield node.left
    if isinstance(node.op, (ast.BitAnd, ast.BitOr)):
        yield node.right


def _constant(value: object) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        if value > 0:
            yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(value * 2 + 1)
    elif isinstance(value, str):
        yield ast.Constant(value + "?" if value else "?")


ALIKE = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


def _call(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name) and node.func.id in ALIKE:
        other = ALIKE[node.func.id]
        words = [] if other == "list" else node.keywords
        yield ast.Call(ast.Name(other, ast.Load()), node.args, words)
    if isinstance(node.func, ast.Name) and node.func.id in {"isinstance", "getattr", "replace", "zip", "field", "min", "max"}:
        return
    for at in range(len(node.args) - 1):
        pair = node.args[at : at + 2]
        if not any(isinstance(one, (ast.Constant, ast.Starred, ast.Lambda)) for one in pair):
            yield _with(node, "args", [*node.args[:at], pair[1], pair[0], *node.args[at + 2 :]])
    for left in node.keywords:
        yield _with(node, "keywords", [one for one in node.keywords if one is not left])


def _slice(node: ast.Slice) -> Iterator[ast.AST]:
    for bound in ("lower", "upper"):
        if getattr(node, bound) is not None:
            yield _with(node, bound, None)


def _handler(node: ast.ExceptHandler) -> Iterator[ast.AST]:
    """An error that is let through, as a whole or one of several kinds."""
    if not (len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and node.body[0].exc is None):
        yield _with(node, "body", [ast.Raise()])
    if isinstance(node.type, ast.Tuple):
        for left in node.type.elts:
            yield _with(node, "type", _with(node.type, "elts", [one for one in node.type.elts if one is not left]))


def _with(node: Node, field: str, value: object) -> Node:
    """Return a copy of a node, one level deep, that has another value in one field."""
    other = copy.copy(node)
    setattr(other, field, value)
    return other
