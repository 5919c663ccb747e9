"""Paths that people give: checked whole before any work, since a library that cannot take one says so hours later."""

from os import PathLike
from pathlib import Path

from hyperforget_jax.errors import HyperForgetError


def expand(text: str | PathLike[str], name: str) -> Path:
    """A path with `~` expanded.

    Args:
      text: as it was given.
      name: what it is, such as "workdir".

    Raises:
      HyperForgetError: a byte that is no UTF-8, a control character, the home folder of nobody, a loop of links.
    """
    shown = ascii(str(text))[1:-1]
    try:
        str(text).encode()
    except UnicodeEncodeError as error:
        raise HyperForgetError(
            f"{name} is {shown}, which has a byte that is no UTF-8: rename that folder, or choose another"
        ) from error
    if not str(text).isprintable():
        raise HyperForgetError(
            f"{name} is {shown}, which has a character that cannot be printed: rename it, or choose another"
        )
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise HyperForgetError(f"{name} is {text}, and there is no such home folder: write the path out") from error
    try:
        path.resolve()
    except (OSError, RuntimeError) as error:
        raise HyperForgetError(f"{name} is {text}, whose links lead in a circle: choose another") from error
    return path
