"""The Azure adapter. Importing it loads no SDK."""
