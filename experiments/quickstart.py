"""One hypernetwork, three requests, on scikit-learn's digits: `python -m experiments.quickstart` (minutes, no download)."""

import argparse
import sys

from configs import quickstart
from experiments import command, pipeline


def main(arguments: list[str]) -> int:
    """`--classes four` (the default) or `--classes all`; every other argument overrides a config field."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--classes", default="four", nargs="?", const="")
    known, others = parser.parse_known_args(arguments)
    if known.classes not in quickstart.SETTINGS:
        print(
            f"error: --classes is {known.classes!r}: choose {' or '.join(quickstart.SETTINGS)}",
            file=sys.stderr,
        )
        return 2
    name = "quickstart" if known.classes == "four" else f"quickstart --classes {known.classes}"
    return command.main(name, quickstart.get_config(known.classes), pipeline.run, others)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
