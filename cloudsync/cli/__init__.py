"""The command line: verbs, exit codes and the only place that prints."""
