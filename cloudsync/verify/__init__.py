"""An independent reading of plan files, with parsers, evaluators and sets of its own: no code of what makes plans. Pure."""
