"""A whole simulated estate on loopback: vendors' wire formats, strict rules, faults and seeds. Knows nothing of cloudsync."""
