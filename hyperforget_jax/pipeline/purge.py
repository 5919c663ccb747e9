"""Purge: the whole system of a finished run is made anew as if some classes' images had never been, and takes the run's place.

RUN goes on answering while the purged system is built in RUN.purge, a folder beside it: the zoo's runs that never saw the classes; and
from these and the images of the other classes alone codec, standardisation, functional images, hypernetwork, prompts and answers. The
certificate is written last. From that moment RUN.purge answers for RUN; everything in RUN is removed, and RUN.purge is renamed to RUN.
Whatever stops a purge, the same call goes on from there, and at every moment one of the two answers.
"""

import datetime
import errno
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hyperforget_jax.config import Config
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import audit, ledger, pretrained, training, unlearning, workdir
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, run_on
from hyperforget_jax.pipeline.workdir import CERTIFICATE, beside, zoo_identity, zoo_path
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime import artifacts, locks
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import requests
from hyperforget_jax.zoo import storage
from hyperforget_jax.zoo.purge import Kept, kept_runs, purge_zoo

FORMAT, ZOO = 1, "zoo"
LEAST_RUNS = 8
"""Runs that a hypernetwork can be trained on, at least."""
NOT_LISTED = (CERTIFICATE, "costs.jsonl", ledger.LEDGER)
"""Files that hold dates and seconds; the certificate has the checksums of all others."""


def purge(run: Run, labels: Sequence[int]) -> dict[str, Any]:
    """Purges a finished run of some classes and returns the certificate.

    Args:
      run: finished, with a zoo of its own made with `zoo.purgeable`.
      labels: of the classes.

    Raises:
      HyperForgetError: nothing can be purged, or too few runs never saw the classes (names the remedy); nothing is removed then.
    """
    config = purged_config(run.config, labels, run.dataset.classes)
    kept = validate(run, config)
    folder = beside(run.folder)
    with artifacts.writing_errors(folder):
        folder.mkdir(exist_ok=True)
    with artifacts.only_process(folder):
        _take(folder, config)
        clean = replace(run_on(config, run.dataset, run.console, run.command), folder=folder)
        model = _build(run, clean)
        certificate = _certify(run, clean, kept, _audit(run, clean, model, labels), labels)
        _swap(run.folder, folder)
    return certificate


def finish(folder: Path, say: Callable[[str], None]) -> bool:
    """Removes what is left of a run whose purged system was complete when its purge was stopped; returns whether there was one."""
    if not workdir.is_purged(folder):
        return False
    with artifacts.only_process(beside(folder)):
        _swap(folder, beside(folder))
    say(f"{folder}: an earlier purge was complete, and what it had not removed yet is removed now")
    return True


def purged_config(config: Config, labels: Sequence[int], classes: Sequence[int]) -> Config:
    """The config of a run without some more classes; every request forgets them too.

    Raises:
      HyperForgetError: an unknown class, a pivot, a class that is purged already, no class, all of them.
    """
    asked = tuple(sorted(labels))
    requests.validate_request(asked, config.task.pivots, classes)
    if again := sorted({*asked} & {*config.task.purged}):
        raise HyperForgetError(
            f"class {again[0]} is purged already: {workdir.workdir_path(config) / CERTIFICATE} says when"
        )
    purged = requests.with_always(asked, config.task.purged)
    requests.validate_request(purged, config.task.pivots, classes)
    sets = (requests.with_always(forget, purged) for forget in config.task.forget_sets)
    allowed = tuple(dict.fromkeys(each for each in sets if len(each) < len(classes)))
    task = replace(config.task, purged=purged, forget_sets=allowed or (purged,))
    return replace(config, task=task, zoo=replace(config.zoo, folder=None))


def validate(run: Run, config: Config) -> Kept:
    """Finds the runs that a purge keeps, before any work.

    Args:
      run: the run.
      config: what it would be purged to.

    Raises:
      HyperForgetError: the run cannot be purged, or too few runs are kept; says why, and the remedy.
    """
    if not run.config.zoo.purgeable:
        raise HyperForgetError(
            f"{run.folder} was made with zoo.purgeable False, so that the images of every class decided how all runs are rounded: "
            "make it again with zoo.purgeable True"
        )
    zoo, own, purged = zoo_path(run.config), run.folder / ZOO, config.task.purged
    if zoo != own:
        raise HyperForgetError(
            f"the zoo {zoo} is not the run's own, so a purge could not remove it: move it to {own} and set zoo.folder to that place"
        )
    kept = kept_runs(zoo, zoo_identity(run.config), run.dataset.positions(purged))
    held_out = int(storage.is_held_out(kept.numbers, config.zoo.runs, config.zoo.validation_share).sum())
    to_train = len(kept.runs) - held_out
    if to_train < LEAST_RUNS or held_out == 0:
        raise HyperForgetError(
            f"{to_train} runs to train on and {held_out} held out never saw {braces(purged)}, a purge needs {LEAST_RUNS} and 1: "
            "make the run again with higher zoo.min_clean_runs or zoo.runs, or with a higher zoo.validation_share"
        )
    return kept


def _take(folder: Path, config: Config) -> None:
    """Makes a folder that of a purge, or goes on in it."""
    if not (folder / workdir.CONFIG).exists():
        workdir.record(folder, config)
        return
    theirs = workdir.read_config(folder).task.purged
    if theirs != config.task.purged:
        raise HyperForgetError(
            f"{folder} holds a purge of {braces(theirs)} that was stopped, asked for is {braces(config.task.purged)}: "
            "finish that one first, or delete the folder"
        )
    workdir.validate_origin(replace(config, workdir=str(folder)))


def _build(run: Run, clean: Run) -> Pretrained:
    """Everything of the purged system: zoo, hypernetwork and answers."""
    zoo, positions = clean.folder / ZOO, clean.dataset.positions(clean.config.task.purged)
    with clean.timed("zoo", resumes=True):
        purge_zoo(zoo_path(run.config), zoo_identity(run.config), zoo, zoo_identity(clean.config), positions)
    checkpoints = storage.read(zoo, zoo_identity(clean.config))
    clean.console.print(
        f"zoo: {len(checkpoints)} checkpoints of runs that never saw {braces(clean.config.task.purged)}"
    )
    parts = checkpoints.split(clean.config.zoo.runs, clean.config.zoo.validation_share)
    unlearning.validate_served(clean, parts[0])
    model = training.train_hypernetwork(clean, *parts)
    for mode in clean.modes:
        unlearning.unlearn_all(mode, model, training.generator_of(clean, model.hypernetwork))
    shutil.rmtree(clean.folder / "training" / "states", ignore_errors=True)  # resumes nothing any more
    return pretrained.load(clean.folder / HYPERNETWORK)


def _audit(run: Run, clean: Run, model: Pretrained, labels: Sequence[int]) -> dict[str, Any]:
    """Figures of the same sweep before and after the purge, for each of the classes."""
    before = pretrained.load(run.folder / HYPERNETWORK)
    asked = audit.audit_prompts(run, before.statistics, labels)
    figures = dict[str, dict[int, audit.Audited]]()
    with clean.timed("audit", resumes=False), track(clean.console, "audit", 2 * len(asked), "models") as advance:
        for name, job, hypernetwork in (("before", run, before.hypernetwork), ("after", clean, model.hypernetwork)):
            figures[name] = audit.audit(run, training.generator_of(job, hypernetwork), asked, advance)
    return {str(label): {name: asdict(found[label]) for name, found in figures.items()} for label in sorted(labels)}


def _certify(run: Run, clean: Run, kept: Kept, audited: dict[str, Any], labels: Sequence[int]) -> dict[str, Any]:
    """Writes the ledger, if there is one, and the certificate: the purged system is complete with it."""
    folder, before = clean.folder, run.folder / CERTIFICATE
    if (run.folder / ledger.LEDGER).exists():
        ledger.purged(run.folder, folder, labels)
    earlier = json.loads(before.read_text(encoding="utf-8")) if before.exists() else None
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    zoo, purged = storage.read(folder / ZOO, zoo_identity(clean.config)), clean.config.task.purged
    columns = zoo.exposures[:, list(clean.dataset.positions(purged))]  # [n, purged classes]
    highest = {run: columns[zoo.run == run].max(0).tolist() for run in kept.numbers.tolist()}
    certificate = {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "classes": sorted(labels),
        "purged": list(purged),
        **artifacts.provenance(),
        "runs_kept": [
            each | {"exposures": dict(zip(map(str, purged), highest[each["run"]], strict=True))} for each in kept.runs
        ],
        "runs_removed": kept.removed,
        "removed": sorted(path.name for path in run.folder.iterdir() if not path.name.startswith(locks.LOCK)),
        "audit": audited,
        "files": {str(path): artifacts.checksum(folder / path) for path in files if path.name not in NOT_LISTED},
        "earlier": None
        if earlier is None
        else {name: earlier[name] for name in ("date", "classes", "audit", "earlier")},
    }
    artifacts.write_text(folder / CERTIFICATE, json.dumps(certificate, indent=2, allow_nan=False) + "\n")
    return certificate


def _swap(folder: Path, purged: Path) -> None:
    """Removes all that stands in a run's folder and gives its place to the purged system."""
    with artifacts.writing_errors(folder), locks.hold(folder):
        for path in sorted(
            folder.iterdir(), key=lambda path: path.name.startswith(locks.LOCK)
        ):  # the lock is the last to go
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        try:
            purged.rename(folder)  # over an empty folder: one step
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise HyperForgetError(
                f"another process is writing {folder}: wait for it, or stop it, and run again"
            ) from error
