"""Results: `quickstart`, `mnist4`, `roundtrip`, `tune_reference` run as `python -m experiments.NAME` from the root of the repository.

The others are the steps they share: `command` parses and checks, `pipeline` is the whole path, `stages`, `replies`, `measure`,
`tidy`, `align` and `pictures` are its parts.
"""

import sys

from experiments import huge_pages

if sys.argv[:1] == ["-m"]:  # Python is about to run one of them
    huge_pages.ask()
