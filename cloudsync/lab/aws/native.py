"""Names for what has no types: moto's objects, and JSON."""

from __future__ import annotations

from typing import Any, TypeAlias

Native: TypeAlias = Any
"""An object of moto, whose classes are not typed well enough to name."""

Json: TypeAlias = Any
"""Whatever JSON can say."""
