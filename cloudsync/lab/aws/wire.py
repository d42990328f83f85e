"""The EC2 query protocol: a form in, XML out. No meaning, only syntax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .refusal import Refusal

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_NOT_XML = {code: None for code in range(32) if code not in (9, 10, 13)}

Node = str | dict[str, "Node"]


class Fragment(str):
    """XML that is already rendered and must not be escaped again."""

    __slots__ = ()


Value = Fragment | str | int | bool | None | Mapping[str, "Value"] | Sequence["Value"]


@dataclass(frozen=True, slots=True)
class Form:
    """One level of a decoded request: `IpPermissions.1.IpProtocol=tcp` becomes nested forms.

    Names are compared without case, because vendors' clients differ in the first letter.
    """

    tree: Mapping[str, Node]

    def text(self, *names: str) -> str | None:
        """The value of the first of `names` that is present, or None."""
        for name in names:
            node = self.tree.get(name.lower())
            if isinstance(node, str):
                return node
        return None

    def number(self, *names: str) -> int | None:
        """Like `text`, as an integer; InvalidParameterValue when it is not one."""
        found = self.text(*names)
        if found is None or found == "":
            return None
        try:
            return int(found)
        except ValueError:
            raise Refusal.value(f"Invalid value '{found}' for {names[0]}. It must be an integer") from None

    def flag(self, name: str) -> bool:
        """True only for the word true."""
        return (self.text(name) or "").lower() == "true"

    def child(self, name: str) -> Form | None:
        """A nested structure, or None."""
        node = self.tree.get(name.lower())
        return Form(node) if isinstance(node, dict) else None

    def has(self, name: str) -> bool:
        """Is there anything under this name?"""
        return name.lower() in self.tree

    def forms(self, *names: str) -> list[Form]:
        """A list of structures in the order of their numbers."""
        return [Form(node) for node in self._numbered(names) if isinstance(node, dict)]

    def texts(self, *names: str) -> list[str]:
        """A list of plain values in the order of their numbers."""
        return [node for node in self._numbered(names) if isinstance(node, str)]

    def _numbered(self, names: Sequence[str]) -> Iterator[Node]:
        for name in names:
            node = self.tree.get(name.lower())
            if isinstance(node, dict):
                for number in sorted((key for key in node if key.isdigit()), key=int):
                    yield node[number]
                return


def decode(body: str) -> tuple[dict[str, str], Form]:
    """Return the flat pairs of a form body, and the same as a tree."""
    flat = dict(parse_qsl(body, keep_blank_values=True))
    return flat, form_of(flat)


def form_of(flat: Mapping[str, str]) -> Form:
    """Nest dotted names; a name that is both a value and a parent keeps only its children."""
    root: dict[str, Node] = {}
    for name, value in flat.items():
        *parents, last = name.lower().split(".")
        level = root
        for part in parents:
            below = level.get(part)
            if not isinstance(below, dict):
                below = {}
                level[part] = below
            level = below
        level.setdefault(last, value)
    return Form(root)


def flatten(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Turn nested dicts and lists into the flat form names that EC2 reads."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        _flatten_into(flat, f"{prefix}{name}", value)
    return flat


def _flatten_into(flat: dict[str, str], name: str, value: object) -> None:
    match value:
        case Mapping():
            flat.update(flatten(value, f"{name}."))
        case list() | tuple():
            for number, item in enumerate(value, 1):
                _flatten_into(flat, f"{name}.{number}", item)
        case bool():
            flat[name] = "true" if value else "false"
        case _:
            flat[name] = str(value)


def text(value: str) -> str:
    """Escape for XML; control characters that XML 1.0 cannot hold are dropped."""
    return escape(value.translate(_NOT_XML))


def element(name: str, value: Value) -> str:
    """Render one element; None renders nothing, a list renders `item` elements."""
    if value is None:
        return ""
    if isinstance(value, Fragment):
        return f"<{name}>{value}</{name}>"
    if isinstance(value, bool):
        return f"<{name}>{'true' if value else 'false'}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    if isinstance(value, str):
        return f"<{name}>{text(value)}</{name}>" if value else f"<{name}/>"
    if isinstance(value, Mapping):
        return f"<{name}>{children(value)}</{name}>"
    return f"<{name}>{items(value)}</{name}>" if value else f"<{name}/>"


def children(values: Mapping[str, Value]) -> Fragment:
    """The elements of a structure, in its order."""
    return Fragment("".join([element(name, value) for name, value in values.items()]))


def items(values: Sequence[Value]) -> Fragment:
    """The `item` elements of a list."""
    return Fragment("".join([element("item", value) for value in values]))


def answer(action: str, request_id: str, values: Mapping[str, Value]) -> bytes:
    """A whole successful EC2 answer."""
    body = f'<{action}Response xmlns="{NAMESPACE}"><requestId>{request_id}</requestId>{children(values)}</{action}Response>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()


def error(code: str, message: str, request_id: str) -> bytes:
    """A whole EC2 error answer."""
    inner = f"<Errors><Error><Code>{code}</Code><Message>{text(message)}</Message></Error></Errors>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{inner}<RequestID>{request_id}</RequestID></Response>'.encode()


def tags(pairs: Mapping[str, str]) -> Fragment:
    """The items of a tagSet."""
    return Fragment("".join([f"<item><key>{text(key)}</key><value>{text(value)}</value></item>" for key, value in pairs.items()]))
