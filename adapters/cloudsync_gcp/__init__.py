"""The GCP adapter. Importing it loads no SDK."""
