"""Many machines: jobs in a queue that workers share, one job at a target at a time, quotas that all of them draw from."""
