"""A refusal is one line on stderr and an exit status."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import locks

REFUSED, UNMET, INTERRUPTED = 2, 3, 130
STOPPED = "stopped: run the same command again to go on from here"
Arguments = ParamSpec("Arguments")


def cli_errors(command: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """The same command, whose `HyperForgetError` becomes one line on stderr and exit status 2; Ctrl-C one line and 130.

    The locks that it takes are let go when it ends.
    """

    @functools.wraps(command)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        try:
            with locks.scope():
                return command(*args, **kwargs)
        except HyperForgetError as error:
            print(f"error: {error}", file=sys.stderr)
            return REFUSED
        except KeyboardInterrupt:
            print(STOPPED, file=sys.stderr)
            return INTERRUPTED

    return wrapper
