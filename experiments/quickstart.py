"""One hypernetwork, three requests, on scikit-learn's digits: `python -m experiments.quickstart` (minutes, no download)."""

import sys

from configs import quickstart
from experiments import command, pipeline

CLASSES = "--classes"


def main(arguments: list[str]) -> int:
    """`--classes four` (the default) or `--classes all`; every other argument overrides a config field."""
    which = "four"
    if CLASSES in arguments:
        place = arguments.index(CLASSES)
        which = "".join(arguments[place + 1 : place + 2])
        arguments = arguments[:place] + arguments[place + 2 :]
    if which not in quickstart.SETTINGS:
        expected = " or ".join(quickstart.SETTINGS)
        print(f"error: {CLASSES} is {which or 'empty'!r}: choose {expected}", file=sys.stderr)
        return 2
    return command.main(quickstart.get_config(which), pipeline.run, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
