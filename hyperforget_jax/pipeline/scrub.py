"""Scrub: a copy of a finished run whose hypernetwork forgets some classes whatever it is asked; between a fast answer and a purge.

The run stays as it is. The copy has a guard, which holds every prompt to what models that never saw the classes have, and parameters that
were trained to answer every condition as the guarded one. Its weights may still hold the classes: docs/scrub.md says what is not promised.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.attacks.generator import BestPrompt
from hyperforget_jax.config import AttackConfig, Config, ScrubConfig
from hyperforget_jax.config.attacks import validate_attacks
from hyperforget_jax.config.ranges import SCRUB, validate_settings
from hyperforget_jax.diffusion import scrubbing
from hyperforget_jax.diffusion.guard import Guard
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.diffusion.scrubbing import Lesson, Scrubbing
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import alignment, audit, pretrained, training, workdir
from hyperforget_jax.pipeline.lessons import train
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, run_on
from hyperforget_jax.pipeline.workdir import identity, zoo_path
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import requests
from hyperforget_jax.zoo import coverage
from hyperforget_jax.zoo.exposure import is_clean, is_last
from hyperforget_jax.zoo.statistics import ZooStatistics

RECORD = "scrub.json"
"""What a scrub did and what its audits found."""


def scrub(run: Run, labels: Sequence[int], folder: Path, config: ScrubConfig, attack: AttackConfig) -> dict[str, Any]:
    """Makes the scrubbed copy of a finished run, or goes on where one was stopped, and returns its record.

    Args:
      run: stays as it is.
      labels: of the classes to scrub.
      folder: of the copy.
      config: of the training.
      attack: of the search for a prompt that brings a class back.

    Raises:
      HyperForgetError: a class that cannot be forgotten, another run's folder, a hypernetwork that cannot be scrubbed.
    """
    validate_settings(config, SCRUB, "scrub")
    validate_attacks(attack)
    changed = scrubbed_config(run.config, labels, run.dataset.classes, folder)
    origin = artifacts.checksum(run.folder / HYPERNETWORK / artifacts.MANIFEST)
    before = pretrained.load(run.folder / HYPERNETWORK)
    guard = guard_of(run, before.statistics, labels, config)
    workdir.acquire_workdir(changed)
    copy = replace(run_on(changed, run.dataset, run.console, run.command), folder=folder)
    settings = artifacts.as_json({"hypernetwork": origin, "scrub": asdict(config), "search": asdict(attack)})
    place = copy.folder / HYPERNETWORK
    if not copy.reuses("hypernetwork", place, identity(changed)):
        with copy.timed("scrub", resumes=True):
            after = trained(copy, before, guard, labels, config)
        record = {
            "classes": sorted(labels),
            "run": str(run.folder),
            "settings": settings,
            **artifacts.provenance(),
            **measured(run, copy, before, after, labels, attack),
        }
        with artifacts.new_artifact(place, identity(changed)) as partial_folder:
            pretrained.save(partial_folder, after)
            artifacts.write_text(partial_folder / RECORD, json.dumps(record, indent=2, allow_nan=False) + "\n")
    found: dict[str, Any] = json.loads((place / RECORD).read_text(encoding="utf-8"))
    if found["settings"] != settings:
        differing = [name for name in settings if found["settings"].get(name) != settings[name]]
        raise HyperForgetError(
            f"{copy.folder} holds a scrub of another run, or by other settings ({', '.join(differing)}): choose another workdir"
        )
    return found


def scrubbed_config(config: Config, labels: Sequence[int], classes: Sequence[int], folder: Path) -> Config:
    """The config of the copy: every request forgets the scrubbed classes too, and the zoo is the run's.

    Raises:
      HyperForgetError: an unknown class, a pivot, no class, all of them, one that is forgotten always already; no DiHyFo-2.
    """
    asked = tuple(sorted(labels))
    requests.validate_request(asked, config.task.pivots, classes)
    if again := sorted({*asked} & {*config.task.always}):
        raise HyperForgetError(f"class {again[0]} is forgotten by every answer of this run already: name another one")
    if config.hypernetwork.kind != "dihyfo2":
        raise HyperForgetError(
            f"hypernetwork.kind is {config.hypernetwork.kind}, whose starting models may know the class: scrub a run of dihyfo2"
        )
    if folder == workdir.workdir_path(config):
        raise HyperForgetError(f"--workdir is the run itself, {folder}: name a new folder for the scrubbed copy")
    scrubbed = requests.with_always(asked, config.task.scrubbed)
    always = requests.with_always(scrubbed, config.task.purged)
    requests.validate_request(always, config.task.pivots, classes)
    sets = dict.fromkeys(requests.with_always(forget, always) for forget in config.task.forget_sets)
    allowed = tuple(each for each in sets if len(each) < len(classes))
    task = replace(config.task, scrubbed=scrubbed, forget_sets=allowed or (always,))
    zoo = replace(config.zoo, folder=str(zoo_path(config)))
    return replace(config, workdir=str(folder), overwrite=False, task=task, zoo=zoo)


def guard_of(run: Run, statistics: ZooStatistics, labels: Sequence[int], config: ScrubConfig) -> Guard:
    """Bounds that hold prompts to what clean runs of the classes have: a loss that is no lower, and no exposure.

    A guard that the run has already stays. Other columns are free.

    Raises:
      HyperForgetError: the zoo has no clean run of a class.
    """
    num_classes = run.dataset.num_classes
    columns = 2 * num_classes + 1 if run.config.hypernetwork.exposure else num_classes
    least, most, usual = np.full(columns, -np.inf), np.full(columns, np.inf), np.full(columns, np.nan)
    scrubbed = {*run.config.task.scrubbed, *labels}
    for position in run.dataset.positions(sorted(scrubbed)):
        rows = is_clean(statistics.exposures, statistics.progress, (position,)) & is_last(statistics.progress)
        losses = statistics.losses[rows, position].astype(np.float64)
        if len(losses) == 0:
            raise HyperForgetError(
                f"no run of the zoo is clean of class {run.dataset.classes[position]}, so it does not tell what such models are like: "
                "make the run again with a higher zoo.min_clean_runs"
            )
        least[position], usual[position] = np.quantile(losses, (config.least_quantile, 0.5))
        if run.config.hypernetwork.exposure:
            most[num_classes + position] = usual[num_classes + position] = 0.0
    return Guard(*(jnp.asarray(each, jnp.float32) for each in (least, most, usual)))


def trained(copy: Run, before: Pretrained, guard: Guard, labels: Sequence[int], config: ScrubConfig) -> Pretrained:
    """The scrubbed hypernetwork, with the pages of its prompt book that forget the classes. A student is not taken over."""
    teacher = replace(before.hypernetwork, student=None)
    lessons = make_lessons(copy, teacher, before.statistics, guard, labels, config)
    params = train(
        copy,
        "scrub",
        copy.folder / "training",
        Scrubbing(teacher),
        lessons,
        copy.config.seed,
        identity(copy.config) | {"of": "scrub", "scrub": asdict(config)},
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=min(copy.config.training.warmup_steps, config.steps // 10),
    )
    always = {*copy.config.task.always}
    names = {requests.name_of(each) for each in _sets(copy) if always <= {*each}}
    book = {name: page for name, page in before.book.items() if name in names}
    scrubbed = replace(teacher, params=params, guard=guard)
    return replace(before, hypernetwork=scrubbed, config=copy.config, book=book)


def make_lessons(
    copy: Run,
    teacher: Hypernetwork,
    statistics: ZooStatistics,
    guard: Guard,
    labels: Sequence[int],
    config: ScrubConfig,
) -> Lesson:
    """Samples under guarded conditions: a half of the conditions of the zoo's checkpoints, a half of those of an audit, jittered."""
    seed, size, columns = copy.config.seed, copy.config.sampling.batch_size, len(guard.least)
    random = np.random.default_rng((seed, *sorted(labels)))
    sampling = replace(copy.config.sampling, sampler="dpm", steps=config.lesson_steps)
    program = jax.jit(partial(scrubbing.lesson, teacher, guard, sampling))
    audited = audit.audit_prompts(copy, statistics, labels)  # [A, C]
    known = np.concatenate([statistics.losses, statistics.exposures, statistics.progress[:, None]], axis=1)[:, :columns]
    count, parts = -(-config.lessons // size), list[Lesson]()
    rates, num_classes = copy.config.diffusion, copy.dataset.num_classes
    with track(copy.console, "lessons", count * size, "models") as advance:
        for number in range(count):
            asked = audited[random.integers(len(audited), size=size - size // 2)].copy()
            asked[:, :num_classes] *= np.exp(config.jitter * random.standard_normal((len(asked), num_classes)))
            prompts = np.concatenate([known[random.integers(len(known), size=size // 2)], asked])
            prompts[random.random(prompts.shape) < rates.class_dropout] = np.nan
            key = jax.random.fold_in(prng.stream(seed, "scrub lessons"), number)
            made = program(key, jnp.asarray(prompts, jnp.float32))
            parts.append(jax.tree.map(np.asarray, made))
            advance(size)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def measured(
    run: Run, copy: Run, before: Pretrained, after: Pretrained, labels: Sequence[int], attack: AttackConfig
) -> dict[str, Any]:
    """Audits by search of both hypernetworks on every scrubbed class, and the alignment of the other classes."""
    grids = alignment.grids(copy, before.statistics)
    asked = audit.audit_prompts(run, before.statistics, labels)
    found: dict[str, Any] = {"chance": 1.0 / run.dataset.num_classes, "audit": {}, "alignment": {}}
    for moment, job, model in (("before", run, before), ("after", copy, after)):
        generate = training.generator_of(job, replace(model.hypernetwork, student=None))
        best = audit.search(job, generate, asked, labels, attack)
        found["audit"][moment] = {str(label): _figures(each) for label, each in best.items()}
        swept = alignment.followed(copy, grids, generate)
        found["alignment"][moment] = {str(label): alignment.means(copy, each)["r2"] for label, each in swept.items()}
    return found


def _figures(best: BestPrompt) -> dict[str, Any]:
    return {"models": best.models, "sweep": best.sweep_accuracy, "search": best.accuracy}


def _sets(copy: Run) -> list[tuple[int, ...]]:
    """All sets of forgettable classes, by labels."""
    labels = [copy.dataset.classes[position] for position in copy.forgettable]
    return [tuple(coverage.members(code, labels)) for code in range(1, 2 ** len(labels))]


def described(record: dict[str, Any]) -> list[str]:
    """A record in words, a line each."""
    bound = record["chance"] + 0.05
    lines = [f"scrubbed {braces(record['classes'])}: a copy of {record['run']}, which stays as it is"]
    for label in map(str, record["classes"]):
        for moment in ("before", "after"):
            found = record["audit"][moment][label]
            lines.append(
                f"class {label} {moment}: best accuracy of {found['models']} models by a sweep of prompts {found['sweep']:.4f}, "
                f"by a search {found['search']:.4f} (chance + 0.05: {bound:.4f})"
            )
    for label, value in record["alignment"]["after"].items():
        lines.append(
            f"class {label}: alignment R² {record['alignment']['before'][label]:.4f} before, {value:.4f} after"
        )
    return lines
