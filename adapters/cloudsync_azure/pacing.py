"""Which token bucket each call to Azure draws from: one for reads and one for writes of a subscription.

Resource Manager and Microsoft.Network both throttle per subscription and region; of each pair the tighter one is kept to (see `limits`).
"""

from __future__ import annotations

from cloudsync.model.bucket import BucketKey, Limit
from cloudsync_azure.limits import READS, WRITES
from cloudsync_azure.settings import AzureSettings


def limit(settings: AzureSettings, *, write: bool) -> Limit:
    """Return the limit of reads or writes at the target's pace. What answers at another address has buckets of its own."""
    key = BucketKey("azure", settings.subscription, settings.base, "writes" if write else "reads")
    return Limit(key, (WRITES if write else READS).paced(settings.pace))
