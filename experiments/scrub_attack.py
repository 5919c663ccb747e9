"""What a scrubbed hypernetwork still holds: its guard is removed, and it is trained on a few checkpoints that know the class.

    python -m experiments.scrub_attack NEW --origin RUN

NEW is a copy made by `hyperforget scrub`, RUN the run that it was made of, whose zoo has the checkpoints. After every attack a search over
prompts looks for the model that knows a scrubbed class best. The same training of a hypernetwork with random weights is the control:
what it reaches was learned from the checkpoints, not remembered. Leaves `scrub_attack.md` and `scrub_attack.jsonl` in NEW.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.cli.main import set_up_process
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.diffusion import preprocessing, targets, trainer
from hyperforget_jax.diffusion.dit import Params
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.diffusion.train_step import Task
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import audit, pretrained, training
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, open_run
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import number, to_markdown
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.zoo.exposure import is_clean, is_last
from hyperforget_jax.zoo.loader import CheckpointBatch
from hyperforget_jax.zoo.storage import Zoo

CHECKPOINTS = (8, 64)
"""Checkpoints that know every class, on which the attacker trains."""
STEPS, BATCH = 200, 64


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Arguments of the experiment."""

    origin: Path
    """workdir of the run that was scrubbed"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Attacks; exit status 0 or 2."""
    options, copy = open_finished(Options, "scrub_attack", arguments)
    if not copy.config.task.scrubbed:
        raise HyperForgetError(f"{copy.folder} was not scrubbed: name a copy made by `hyperforget scrub`")
    run = open_run(expand(options.origin, "--origin").resolve(), copy.console, "scrub_attack")
    rows = attacked(run, copy)
    artifacts.write_rows(copy.folder / "scrub_attack.jsonl", rows)
    artifacts.write_text(copy.folder / "scrub_attack.md", page(rows, run.dataset.num_classes))
    copy.console.print(listing(rows))
    return 0


def attacked(run: Run, copy: Run) -> list[dict[str, Any]]:
    """Best accuracy on every scrubbed class after every attack."""
    labels, statistics = copy.config.task.scrubbed, pretrained.load(run.folder / HYPERNETWORK).statistics
    asked = audit.audit_prompts(run, statistics, labels)
    scrubbed = pretrained.load(copy.folder / HYPERNETWORK).hypernetwork
    opened = replace(scrubbed, guard=None)
    random = scrubbed.transformer.init(prng.stream(run.config.seed, "scrub attack"))
    zoo = pipeline_zoo.make_zoo(run)
    knowing = np.flatnonzero(is_clean(zoo.exposures, zoo.progress, ()) & is_last(zoo.progress))
    contenders: list[tuple[str, int, Hypernetwork]] = [("guard and weights", 0, scrubbed), ("guard removed", 0, opened)]
    for count in CHECKPOINTS:
        few = zoo.take(knowing[:count])
        for name, start in (("guard removed, trained", opened.params), ("random weights, trained", random)):
            contenders.append((name, count, replace(opened, params=fine_tuned(run, opened, start, few))))
    rows = []
    for name, count, hypernetwork in contenders:
        best = audit.search(run, training.generator_of(run, hypernetwork), asked, labels, AttackConfig())
        for label, found in best.items():
            rows.append({"class": label, "attack": name, "checkpoints": count, "best accuracy": found.accuracy})
    return rows


def fine_tuned(run: Run, hypernetwork: Hypernetwork, start: Params, few: Zoo) -> Params:
    """Parameters after some steps of the run's own training on a few checkpoints."""
    kinds = targets.kinds(run.config.hypernetwork, run.sizes[-1])
    ready = preprocessing.generation(hypernetwork.codec, hypernetwork.condition)
    layout = hypernetwork.codec.layout
    task = Started(hypernetwork.transformer, layout, ready, run.config.diffusion, kinds, None, start)
    settings = replace(
        run.config.training, steps=STEPS, batch_size=BATCH, warmup_steps=STEPS // 10, ema_decay=0.9, grad_accum_steps=1
    )

    def batches(step: int) -> Iterator[CheckpointBatch]:
        while True:
            rows = np.random.default_rng((run.config.seed, step)).integers(len(few), size=BATCH)
            part = few.take(rows)
            yield CheckpointBatch(*(np.asarray(getattr(part, name)) for name in CheckpointBatch._fields))
            step += 1

    with tempfile.TemporaryDirectory() as folder, track(run.console, "fine-tuning", STEPS, "steps") as advance:
        key = prng.stream(run.config.seed, "scrub attack training")
        return trainer.train(Path(folder), key, task, batches, next(batches(STEPS)), settings, advance)


@dataclass(frozen=True)
class Started(Task):
    """The run's own objective, from given parameters."""

    start: Params | None = None

    def init(self, key: jax.Array) -> Params:
        """The given parameters."""
        del key
        return jax.tree.map(jax.numpy.asarray, self.start)


def page(rows: Sequence[dict[str, Any]], num_classes: int) -> str:
    """The table as Markdown."""
    frame = pd.DataFrame([{**row, "best accuracy": number(row["best accuracy"])} for row in rows], dtype=object)
    return (
        "# Attacks on a scrubbed hypernetwork\n\nBest accuracy on the class, on test images, of any model that a search over "
        f"prompts found; chance is {1 / num_classes:.4f}. Trained: {STEPS} steps of {BATCH} on checkpoints that know every class.\n\n"
        f"{to_markdown(frame.astype(str), ['attack'])}"
    )


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
