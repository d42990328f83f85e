"""The composition root: the repository's files become values, the effects are put together, runs are started."""
