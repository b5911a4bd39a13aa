"""The parts of tools/bench, tools/bench-proxy and tools/spread: each has a file with its name, the
other files are common to them."""


class CannotMeasure(Exception):
    """Something is missing or has failed."""
