"""The one exception that a person, not a programmer, is meant to read."""


class HyperForgetError(Exception):
    """Bad input or environment, told in one line: what was given, what was expected, the remedy.

    Library code raises it before any work starts; `experiments/` print the line and exit with 2.
    """
