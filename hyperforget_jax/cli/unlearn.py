"""Unlearned models for any forget set, from a finished run; --out exports one.

usage: hyperforget unlearn RUN --forget CLASS[,CLASS...] [--prompts best|drawn] [--samples N] [--best N] [--seed N] [--from FILE]
         [--json] [--out DIR [--onnx] [--max-forget-accuracy A] [--min-retain-accuracy A] [--max-c2st A]] [--FIELD VALUE ...]

  RUN                        the workdir of a finished run
  --forget CLASS[,CLASS...]  classes to forget, whether or not the run's config names the set
  --prompts best|drawn       one prompt for all models, chosen on validation; or a draw for each (default: request.prompts of the run)
  --samples N                models to sample (default: request.samples of the run)
  --best N                   how many of them to select on validation (default: request.num_selected of the run)
  --seed N                   of the samples (default: that of the run)
  --from FILE                a .safetensors file of the model that a run of DiHyFo-1 updates: an exported one, or a state dict of PyTorch
  --json                     print one JSON object; progress goes to stderr
  --out DIR                  a new folder for the first selected model: model.safetensors, model.json, certificate.json, certificate.html.
                             The request enters the ledger of RUN: later models for others forget its classes too, until they are purged
  --onnx                     write model.onnx too (pip install 'hyperforget-jax[onnx]')
  --max-forget-accuracy A    write nothing, with exit status 3, if the model has a higher accuracy on the forget set of test images
  --min-retain-accuracy A    likewise, a lower one on the retain set
  --max-c2st A               likewise, if a random forest tells the samples from clean runs by a higher AUC
  --FIELD VALUE              another place of the run's data, such as --data.dir DIR

Nothing is retrained. The models are kept in RUN/requests/ (weights.npy, one model per row) and read from there when asked for again.
`hyperforget verify DIR` checks an exported model. docs/certificates.md has what a certificate says.

examples:
  hyperforget unlearn runs/digits4_dihyfo2 --forget 2,3
  hyperforget unlearn runs/digits4_dihyfo2 --forget 2 --samples 64 --best 5 --seed 1
  hyperforget unlearn runs/digits4_dihyfo2 --forget 3 --json
  hyperforget unlearn runs/digits4_dihyfo2 --forget 3 --prompts drawn
  hyperforget unlearn runs/digits4_dihyfo2 --forget 2 --out models/without_2 --max-forget-accuracy 0.01
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from tyro.conf import FlagCreatePairsOff, arg

from hyperforget_jax import classifier
from hyperforget_jax.cli.errors import UNMET, cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.config import ForgetSet, Prompts
from hyperforget_jax.config.ranges import validate_seed, validate_share
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import certificate, evidence, ledger, unlearning
from hyperforget_jax.pipeline.certificate import Thresholds
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.unlearn import model_file
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
    start: Annotated[Path | None, arg(name="from", metavar="FILE")] = None
    """file of the model to update; None: random ones"""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """folder for a model and its certificate; None: no model leaves the run"""
    onnx: FlagCreatePairsOff[bool] = False
    """whether to write model.onnx too"""
    max_forget_accuracy: float | None = None
    """of the model on test; None: any"""
    min_retain_accuracy: float | None = None
    """of the model on test; None: any"""
    max_c2st: float | None = None
    """AUC that tells the samples from clean runs; None: any"""

    @property
    def thresholds(self) -> Thresholds:
        """What the model must reach."""
        return Thresholds(self.max_forget_accuracy, self.min_retain_accuracy, self.max_c2st)


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2, 3 if a threshold is not met, or 130."""
    options, run = open_finished(Options, "unlearn", arguments, shared=True)
    folder = validate(options)
    forget = options.forget if folder is None else ledger.composed(run.folder, options.forget, run.dataset.classes)
    start = None if options.start is None else expand(options.start, "--from").resolve()
    numbers = options.samples, options.best, options.seed
    answer = unlearning.unlearn(run, forget, *numbers, options.prompts, start)
    summary = {
        "run": str(run.folder),
        "forget": list(answer.result.request.labels),
        "prompts": answer.asked.run.config.request.prompts,
        "seed": answer.asked.seed,
        "folder": str(answer.folder),
        "cached": answer.cached,
        **describe(run, answer.result),
    }
    if folder is not None:
        exported = certificate.deliver(folder, run, answer, options.forget, options.thresholds, options.onnx)
        summary["exported"] = {
            "out": str(folder) if exported.written else None,
            **{name: exported.certificate[name] for name in ("request", "measures", "thresholds", "guarantee")},
        }
    if options.json:
        print(json.dumps(summary, indent=2))
    else:
        show(run.console, summary)
    if folder is None or exported.written:
        return 0
    print(f"not reached, no model is written: {'; '.join(exported.unmet)}", file=sys.stderr)
    return UNMET


def validate(options: Options) -> Path | None:
    """Refuses options that cannot be, before any work; returns the folder that `--out` names.

    Raises:
      HyperForgetError: a number out of range, an option that needs `--out`, a folder that holds something, no library for `--onnx`.
    """
    if options.seed is not None:
        validate_seed("--seed", options.seed)
    limits = vars(options.thresholds)
    for name, limit in limits.items():
        if limit is not None:
            validate_share(f"--{name.replace('_', '-')}", limit)
    if options.out is None:
        needing = [name for name, given in {"onnx": options.onnx, **limits}.items() if given not in (None, False)]
        if needing:
            raise HyperForgetError(
                f"--{needing[0].replace('_', '-')} is about the model that --out DIR writes: name that folder"
            )
        return None
    if options.onnx:
        model_file.validate_onnx()
    folder = expand(options.out, "--out").resolve()
    certificate.validate_place(folder)
    return folder


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
    if "exported" in summary:
        show_exported(console, summary["exported"])


def show_exported(console: Console, exported: dict[str, Any]) -> None:
    """Prints what the model for others reached, and where it is."""
    if earlier := exported["request"]["earlier_requests"]:
        console.print(f"it forgets {braces(earlier)} too: requests for these are open in the ledger of the run")
    table = [
        {"measure": name, **{key: line[key] for key in ("value", "reference", "position")}}
        for name, line in evidence.of_whole_sets(exported["measures"]).items()
    ]
    console.print("the exported model on test images, beside clean runs")
    console.print(listing(table))
    if exported["out"] is not None:
        console.print(
            f"model and certificate: {exported['out']}; check them with: hyperforget verify {exported['out']}"
        )
