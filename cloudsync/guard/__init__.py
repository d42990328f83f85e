"""Guards: small checks over finished plans that refuse before the first write. None reads another's result. Pure."""
