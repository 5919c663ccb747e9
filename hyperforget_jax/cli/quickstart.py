"""One hypernetwork, three requests, on scikit-learn's digits: `python -m hyperforget_jax.cli.quickstart` (minutes, no download)."""

import sys

from configs import digits4_dihyfo2 as quickstart
from hyperforget_jax.cli import arguments as command
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import end_to_end as pipeline


@command.in_one_line
def main(arguments: list[str]) -> int:
    """`--classes four` (the default) or `--classes all`; every other argument overrides a config field."""
    given, others = command.split(arguments, "classes")
    classes = given.get("classes", "four")
    if classes not in quickstart.SETTINGS:
        raise HyperForgetError(f"--classes is {classes!r}: choose {' or '.join(quickstart.SETTINGS)}")
    name = command.told("quickstart", given)
    return command.main(name, quickstart.get_config(classes), pipeline.run, others)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
