"""`hyperforget VERB`: finds the verb's module and imports nothing else."""

import ast
import difflib
import importlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from hyperforget_jax import __version__
from hyperforget_jax.cli import compile_cache, huge_pages, output
from hyperforget_jax.cli.errors import INTERRUPTED, STOPPED, cli_errors
from hyperforget_jax.errors import HyperForgetError

VERBS = (
    *("quickstart", "run", "zoo", "train", "unlearn", "verify", "explore", "scrub", "purge", "pack"),
    *("update", "evaluate", "report", "reproduce", "doctor"),
)
CONFIGURED = ("quickstart", "run", "zoo", "train", "update")
"""Verbs whose other arguments override fields of a config."""
UNCACHED = ("purge", "doctor")
"""Verbs that keep no compiled programs: constants of those of a purge are made from images of the classes that go."""
HELP = ("-h", "--help")
EXAMPLES = """\
examples:
  hyperforget quickstart
  hyperforget run --config mnist4_dihyfo2 --data.dir DIR
  hyperforget unlearn runs/digits4_dihyfo2 --forget 2,3

`hyperforget VERB --help` explains a verb. Compiled programs are kept for the next command in
~/.cache/hyperforget_jax/programs; the variable HYPERFORGET_COMPILE_CACHE=DIR names another
place, HYPERFORGET_COMPILE_CACHE=off keeps none."""


def program() -> None:
    """The console script."""
    signal.signal(signal.SIGINT, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked where the process has started over
    output.set_up()
    sys.exit(main())


def stop(*_: object) -> None:
    """What Ctrl-C does while libraries are imported, in the middle of which no exception gets through: nothing is begun yet."""
    print(STOPPED, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


@cli_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb.

    Args:
      arguments: the verb and what follows it; None: those of this process, which is then set up for long work.

    Returns:
      Exit status: 0, 2 after bad input or in an unfit environment, 3 if something asked for is not reached, 130 after Ctrl-C.
    """
    verb, *others = (sys.argv[1:] if arguments is None else arguments) or [""]
    if verb in HELP:
        print(usage())
        return 0
    if verb == "--version":
        print(__version__)
        return 0
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(VERBS)}"
        raise HyperForgetError(f"{verb!r} is no verb: {hint}" if verb else f"no verb is given: {hint}")
    if set(others) & {*HELP}:
        explain(verb, others)
        return 0
    if arguments is None:
        set_up_process()
        try:
            if verb not in UNCACHED:
                compile_cache.enable()
            importlib.import_module("jax")  # reads its variables
        except ValueError as error:
            raise HyperForgetError(f"JAX cannot be imported ({error}): correct that variable, or unset it") from error
    module = importlib.import_module(f"hyperforget_jax.cli.{verb}")
    if signal.getsignal(signal.SIGINT) is stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    output.announce_lost_readers()
    status: int = module.main(others)
    return status


def set_up_process() -> None:
    """Huge pages, patient streams and no log of absl, for a process that is ours; it may start over, so this comes first."""
    huge_pages.enable()
    output.set_up()
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax and tfds log at length


def usage() -> str:
    """The help of the command: every verb with the first line of its module."""
    lines = (f"  {verb:<12}{doc(verb).splitlines()[0]}" for verb in VERBS)
    return "\n".join(["usage: hyperforget VERB [arguments]\n", *lines, "", EXAMPLES])


def explain(verb: str, arguments: Sequence[str]) -> None:
    """Prints the help of a verb: its module's docstring, and the config fields that it lets one override."""
    print(doc(verb))
    if verb in CONFIGURED:
        from hyperforget_jax.cli import configs, options
        from hyperforget_jax.config import Config, overrides

        named, _ = options.pop_options([word for word in arguments if word not in HELP], "config")
        default = configs.load_config(named["config"]) if "config" in named else Config()
        print(f"\n{overrides.describe_fields(default)}")


def doc(verb: str) -> str:
    """The docstring of a verb's module, which is read and not imported: that would take seconds."""
    spec = importlib.util.find_spec(f"hyperforget_jax.cli.{verb}")
    assert spec is not None
    assert spec.origin is not None
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
