"""A verb's own options beside the overrides of config fields."""

import argparse
import shlex
from collections.abc import Mapping, Sequence


def pop_options(arguments: Sequence[str], *names: str) -> tuple[dict[str, str], list[str]]:
    """Takes a verb's own options out of a command line.

    Args:
      arguments: the command line, without the verb.
      names: of the options, without dashes.

    Returns:
      The values of those that are given, by their names, in the order of `names`; one without a value has "", which its reader
      refuses. And all other arguments, in their order.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in names:
        parser.add_argument(f"--{name}", nargs="?", const="")
    options, others = parser.parse_known_args(arguments)
    return {name: value for name, value in vars(options).items() if value is not None}, others


def command_line(program: str, options: Mapping[str, str]) -> str:
    """A program's name with the options that `pop_options` took out, as they are typed."""
    words = (word for name, value in options.items() for word in (f"--{name}", value))
    return f"{program} {shlex.join(words)}".rstrip()
