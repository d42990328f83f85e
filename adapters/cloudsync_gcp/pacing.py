"""Which token bucket each call to Google draws from: one for reads and one for writes of a project.

Google counts reads and writes of a project a minute at a time (compute API, "Rate quotas"). A bucket of BURST that gets the rest of a
minute's calls evenly stays under every such window, wherever it begins.
"""

from __future__ import annotations

from cloudsync.model.bucket import Bucket, BucketKey, Limit
from cloudsync_gcp.limits import BURST, PER_MINUTE
from cloudsync_gcp.settings import GcpSettings


def limit(settings: GcpSettings, project: str, *, write: bool) -> Limit:
    """Return the limit of reads or writes of a project at the target's pace."""
    key = BucketKey("gcp", project, settings.endpoint, "writes" if write else "reads")
    whole = PER_MINUTE * settings.pace
    burst = min(BURST, whole / 2)
    return Limit(key, Bucket(max(1.0, burst), (whole - burst) / 60))
