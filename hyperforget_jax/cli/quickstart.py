"""One hypernetwork, three requests, on scikit-learn's digits: `hyperforget quickstart` (minutes, no download)."""

import sys

from configs import digits4_dihyfo2, digits_dihyfo2
from hyperforget_jax.cli import arguments as command
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import end_to_end

SETTINGS = {"four": digits4_dihyfo2.get_config, "all": digits_dihyfo2.get_config}


@command.cli_errors
def main(arguments: list[str]) -> int:
    """`--classes four` (the default) or `--classes all`; every other argument overrides a config field."""
    given, others = command.split(arguments, "classes")
    classes = given.get("classes", "four")
    if classes not in SETTINGS:
        raise HyperForgetError(f"--classes is {classes!r}: choose {' or '.join(SETTINGS)}")
    name = command.told("quickstart", given)
    return command.main(name, SETTINGS[classes](), end_to_end.run, others)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
