"""The inventory: what the platforms found and what stands in files, with labels mapped and domains assigned. Pure."""
