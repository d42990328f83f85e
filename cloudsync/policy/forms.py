"""Forms that a text must have, said once: in types for the generated JSON Schemas, and in words for the people who got it wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cloudsync.model.quick import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """A pattern for a text (ECMA and Python alike) and what to say when a text does not match.

    pydantic calls the two hooks when it generates schemas; nothing of it is imported here.
    """

    pattern: str
    want: str
    secret: bool = False
    """A secret might stand there by mistake: the text is never shown."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:  # noqa: ANN401 - pydantic's protocol
        """Return the schema of a text that matches."""
        schema = handler(source)
        schema["pattern"] = self.pattern
        return schema

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> Any:  # noqa: ANN401 - pydantic's protocol
        """Return the JSON Schema with our words."""
        return {**handler(core), "x-want": self.want} | ({"writeOnly": True} if self.secret else {})


def about(text: str, *, want: str = "", name: str = "") -> dict[str, Any]:
    """Return field metadata: what the field means, what to say when it is missing, its name in the file where Python forbids it."""
    metadata: dict[str, Any] = {"description": text}
    if want:
        metadata["json_schema_extra"] = {"x-missing": want}
    if name:
        metadata["alias"] = name
    return metadata


Text = Annotated[str, Form(r"^[^\n]+$", "want one line of text")]
Name = Annotated[str, Form(r"^[a-z0-9][a-z0-9_.-]{0,62}$", "want a-z, 0-9, '_', '.', '-', at most 63, the first a letter or a digit")]
Word = Annotated[str, Form(r"^[^\n]+$", "want one line of text")] | int | float | bool
"""Text that an editor may take for a number or a truth value; we always read it as the text that stands there."""
Texts = Text | list[Text]
Flag = Literal["true", "false"] | bool
Percent = Annotated[str, Form(r"^(100|[1-9]?[0-9])%$", "want a share from 0% to 100%, e.g. 30%")]
Duration = Annotated[str, Form(r"^[1-9][0-9]{0,5}(s|m|h|d)$", "want a number with s, m, h or d, e.g. 5m")]
Count = Annotated[str, Form(r"^[0-9]{1,6}$", "want a whole number")] | int
Version = Literal[1, "1"]
