"""Negative controls: mutants of a good release, judged by real consumers, each refused for its own reason."""
