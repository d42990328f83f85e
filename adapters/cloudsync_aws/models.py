"""`python -m cloudsync_aws.models`: for an installation, writes the part of EC2's model that we use to where it is looked for first.

The SDK reads four megabytes of it in every process. The part lies in `client.MODELS`, under the SDK's version and our operations: with
another version of either nothing is found there, and the whole is read again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from cloudsync_aws.client import MODELS, part_of_ec2


def write(folder: Path) -> Path:
    """Write the part below a folder where the SDK's loader finds it, whole or not at all; return its file. Raises OSError."""
    name, model = part_of_ec2()
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(model, separators=(",", ":")), encoding="utf-8")
    draft.replace(path)
    return path


if __name__ == "__main__":
    write(MODELS)
