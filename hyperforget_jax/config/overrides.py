"""Typed values from words: `--zoo.runs 12` replaces a field of a config; a word that fits no field is an error with a suggestion."""

import contextlib
import difflib
import io
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

import tyro

from hyperforget_jax.config import Config, flatten
from hyperforget_jax.errors import HyperForgetError

Options = TypeVar("Options")


def parse_overrides(default: Config, arguments: Sequence[str], options: Sequence[str] = ()) -> Config:
    """Replaces fields of a config.

    Args:
      default: the config.
      arguments: `--FIELD VALUE` words with the field's flat name; dashes and underscores are the same. `--help` among them
        prints every field and exits.
      options: names that the verb takes beside the fields, for the suggestion.

    Returns:
      The config with the named fields replaced.

    Raises:
      HyperForgetError: unknown field (names the nearest one), or a value of the wrong type.
    """
    config, others = parse_known_options(Config, arguments, default)
    if others:
        refuse_unknown(others[0], [*options, *flatten(config)], "option" if options else "config field")
    return config


def parse_options(options: type[Options], arguments: Sequence[str]) -> Options:
    """Parses words that are all meant for one dataclass; raises as `parse_known_options`, and for a word that fits no field."""
    parsed, others = parse_known_options(options, arguments)
    if others:
        refuse_unknown(others[0], list(flatten(parsed)), "option")
    return parsed


def parse_known_options(
    options: type[Options], arguments: Sequence[str], default: Options | None = None
) -> tuple[Options, list[str]]:
    """Parses the words that are meant for a dataclass.

    Args:
      options: the dataclass.
      arguments: words of a command line.
      default: values of the fields that are not given; None: the dataclass's own.

    Returns:
      The dataclass, and the words that fit no field, in their order.

    Raises:
      HyperForgetError: a value of the wrong type, or one that is missing.
    """
    output = io.StringIO()
    missing: Any = tyro.MISSING_NONPROP if default is None else default
    try:
        with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
            return tyro.cli(options, args=arguments, default=missing, prog="the arguments", return_unknown_args=True)
    except SystemExit as stop:
        if not stop.code:
            print(output.getvalue())
            raise
        raise HyperForgetError(_message(output.getvalue())) from None


def describe_fields(default: Config) -> str:
    """One paragraph per config field: its flat name, type, meaning and default."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        tyro.cli(Config, args=["--help"], default=default)
    return output.getvalue()


def refuse_unknown(word: str, names: Sequence[str], kind: str) -> NoReturn:
    """Raises the error for a word that fits no field."""
    options = ["--" + name.replace("_", "-") for name in names]
    near = difflib.get_close_matches(word.replace("_", "-"), options, n=1)
    hint = f"did you mean {near[0]}?" if near else "--help lists every field"
    raise HyperForgetError(f"{word} is no {kind}: {hint}")


def _message(box: str) -> str:
    """What tyro says, without its frame and its help."""
    lines = [line for line in box.split("\n") if line.strip()]
    rules = [index for index, line in enumerate(lines) if set(line.strip()) == {"-"}]
    message = lines[rules[0] + 1 : rules[1]] if len(rules) > 1 else lines
    return " ".join(" ".join(message).split())
