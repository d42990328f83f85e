"""Plans as values: what is written, in which order, why it is safe, and the digest that names it. Pure."""
