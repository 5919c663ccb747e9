"""Unlearned models for any forget set, from a finished run.

usage: hyperforget unlearn RUN --forget CLASS[,CLASS...] [--prompts best|drawn] [--samples N] [--best N] [--seed N] [--json]
         [--FIELD VALUE ...]

  RUN                        the workdir of a finished run
  --forget CLASS[,CLASS...]  classes to forget, whether or not the run's config names the set
  --prompts best|drawn       one prompt for all models, chosen on validation; or a draw for each (default: request.prompts of the run)
  --samples N                models to sample (default: request.samples of the run)
  --best N                   how many of them to select on validation (default: request.num_selected of the run)
  --seed N                   of the samples (default: that of the run)
  --json                     print one JSON object; progress goes to stderr
  --FIELD VALUE              another place of the run's data, such as --data.dir DIR

Nothing is retrained. The models are kept in RUN/requests/ (weights.npy, one model per row) and read from there when asked for again.

examples:
  hyperforget unlearn runs/digits4_dihyfo2 --forget 2,3
  hyperforget unlearn runs/digits4_dihyfo2 --forget 2 --samples 64 --best 5 --seed 1
  hyperforget unlearn runs/digits4_dihyfo2 --forget 3 --json
  hyperforget unlearn runs/digits4_dihyfo2 --forget 3 --prompts drawn
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from hyperforget_jax import classifier
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.config import ForgetSet, Prompts
from hyperforget_jax.config.ranges import validate_seed
from hyperforget_jax.pipeline import unlearning
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import braces
from hyperforget_jax.unlearn.requests import UnlearningResult
from hyperforget_jax.unlearn.selection import class_weights


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Arguments of the verb."""

    forget: ForgetSet
    """classes to forget"""
    prompts: Prompts | None = None
    """one prompt for all models, or a draw for each; None: as the run's config says"""
    samples: int | None = None
    """models to sample; None: as the run's config says"""
    best: int | None = None
    """of these, how many to select; None: as the run's config says"""
    seed: int | None = None
    """of the samples; None: the run's"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    options, run = open_finished(Options, "unlearn", arguments, shared=True)
    if options.seed is not None:
        validate_seed("--seed", options.seed)
    answer = unlearning.unlearn(run, options.forget, options.samples, options.best, options.seed, options.prompts)
    summary = {
        "run": str(run.folder),
        "forget": list(answer.result.request.labels),
        "prompts": options.prompts or run.config.request.prompts,
        "seed": run.config.seed if options.seed is None else options.seed,
        "folder": str(answer.folder),
        "cached": answer.cached,
        **describe(run, answer.result),
    }
    if options.json:
        print(json.dumps(summary, indent=2))
    else:
        show(run.console, summary)
    return 0


def describe(run: Run, result: UnlearningResult) -> dict[str, Any]:
    """Class losses asked for, selected rows, and mean accuracies on validation of all models and of the selected ones.

    None is a loss of which any will do, or the forget accuracy where all classes to forget are purged and have no validation image.
    """
    validation = on_device(run.dataset.validation)
    _, accuracies = classifier.class_scores_of_many(result.models, *validation)  # [N, K]
    positions = result.request.positions
    known = np.nan_to_num(np.asarray(accuracies))  # NaN: a purged class, of which there is no image
    retain, forget = class_weights(run.dataset.validation.labels, positions, run.dataset.num_classes)
    rows = {"all": known, "selected": known[result.selected]}
    return {
        "prompt": {
            str(label): None if np.isnan(loss) else float(loss)
            for label, loss in zip(run.dataset.classes, result.prompt, strict=True)
        },
        "selected": [int(row) for row in result.selected],
        "validation": {
            name: {
                "models": len(table),
                "retain_accuracy": float((table @ retain).mean()),
                "forget_accuracy": float((table @ forget).mean()) if forget.any() else None,
            }
            for name, table in rows.items()
        },
    }


def show(console: Console, summary: dict[str, Any]) -> None:
    """Prints for people."""
    lines = [{"selection": name, **values} for name, values in summary["validation"].items()]
    console.print(f"forget {braces(summary['forget'])}: mean accuracies on validation")
    console.print(listing(lines))
    prompt = ", ".join(
        f"{label}: {'any' if loss is None else f'{loss:.3g}'}" for label, loss in summary["prompt"].items()
    )
    whose = "prompt" if summary["prompts"] == "best" else "prompts: drawn; of the best model"
    console.print(f"{whose}: class losses {{{prompt}}}", highlight=False)
    origin = "from an earlier request" if summary["cached"] else "new"
    console.print(f"models: {summary['folder']} ({origin})")
