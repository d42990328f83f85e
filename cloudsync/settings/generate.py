"""Writes the JSON Schemas from the document types; the only code that needs pydantic. `python -m cloudsync.settings.generate FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cloudsync.policy.documents import AcknowledgedFile, InventoryFile, PolicyFile
from cloudsync.settings.document import SettingsFile

DOCUMENTS: dict[str, type] = {"settings": SettingsFile, "policy": PolicyFile, "inventory": InventoryFile, "acknowledged": AcknowledgedFile}
PACKAGED = Path(__file__).parent.parent / "schema"


def generated() -> dict[str, str]:
    """Return file name to text of every schema, byte-stable."""
    from pydantic import TypeAdapter

    texts = {}
    for name, document in DOCUMENTS.items():
        schema = _tidy(TypeAdapter(document).json_schema(by_alias=True))
        top = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"cloudsync {name}"}
        texts[f"{name}.schema.json"] = json.dumps({**top, **schema}, indent=2, sort_keys=False) + "\n"
    return texts


def _tidy(schema: Any) -> Any:  # noqa: ANN401 - JSON values
    """Take out what says nothing: null (an absent value is written by leaving the field out), defaults of None, titles made from names."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    fields = schema.get("properties")
    plain = {word: _tidy(value) for word, value in schema.items() if word not in ("title", "default", "properties")}
    if fields is not None:
        plain["properties"] = {name: _tidy(value) for name, value in fields.items()}
    if len(plain.get("anyOf", ())) == 1:
        plain = {**plain.pop("anyOf")[0], **plain}
    return _keys(plain)


def _keys(schema: dict[str, Any]) -> dict[str, Any]:
    """Say a form of keys as `propertyNames`: a wrong key is then a wrong name, not an unknown one."""
    patterns = schema.pop("patternProperties", None)
    if patterns is not None:
        ((pattern, value),) = patterns.items()
        schema["propertyNames"] = {**schema.get("propertyNames", {}), "pattern": pattern}
        schema["additionalProperties"] = value
    return schema


def write(folder: Path) -> None:
    """Write every schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in generated().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for target in sys.argv[1:] or [str(PACKAGED)]:
        write(Path(target))
