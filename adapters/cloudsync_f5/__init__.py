"""The F5 adapter. Importing it loads no SDK."""
