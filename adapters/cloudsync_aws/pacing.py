"""Which token bucket each EC2 call draws from.

EC2 throttles each action of an account and Region by a bucket of its own (EC2 API developer guide, "Request throttling").
"""

from __future__ import annotations

from cloudsync.model.bucket import BucketKey, Limit
from cloudsync_aws.limits import bucket
from cloudsync_aws.settings import AwsSettings


def limit(settings: AwsSettings, region: str, action: str) -> Limit:
    """Return the limit of an action in a Region, at the target's pace. What answers at an endpoint of its own has buckets of its own."""
    account = f"{settings.account}@{settings.endpoint}" if settings.endpoint else settings.account
    return Limit(BucketKey("aws", account, region, action), bucket(action).paced(settings.pace))
