"""Exit codes; the same everywhere. They stand in the model, so that runs without a command line have them too."""

from cloudsync.model.exits import Exit, worst

__all__ = ["Exit", "worst"]
