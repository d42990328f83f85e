"""Settings: what cloudsync.yaml says, checked without contacting anything."""

from cloudsync.settings.load import load_settings, packaged_schema
from cloudsync.settings.values import FILE, Hook, Listen, Mail, Schedule, SecretReference, Settings, TerraformFiles

__all__ = [
    "FILE",
    "Hook",
    "Listen",
    "Mail",
    "Schedule",
    "SecretReference",
    "Settings",
    "TerraformFiles",
    "load_settings",
    "packaged_schema",
]
