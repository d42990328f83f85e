"""Pure rendering: what a run found, as text and as JSON values."""
