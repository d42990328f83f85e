"""Other people's tools, measured beside ours in one run. Each lives in an environment of its own, made from the pins beside this file."""
