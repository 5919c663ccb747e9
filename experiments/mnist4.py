"""One hypernetwork, three requests, on MNIST-4: `python -m experiments.mnist4 --data.dir DIR` (IDX files in DIR)."""

import sys

from configs import mnist4
from experiments import command, pipeline

if __name__ == "__main__":
    sys.exit(command.main("mnist4", mnist4.get_config(), pipeline.run, sys.argv[1:]))
