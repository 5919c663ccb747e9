"""What an answer costs, beside retraining: `cost.json` in the workdir, timed once."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline import unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import zoo_path
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn.reference import retrain

FILE = "cost.json"


def of(run: Run) -> dict[str, float | None]:
    """Seconds of a finished run: "zoo" (None: nobody timed it, and it is not counted), "training", "request" (mean), "sample", "retraining"
    of one model alone; "break_even", the models after which the hypernetwork has paid for itself; None: it never does. The search for
    a prompt and the selection, which make up most of a request, are not in it: they are no part of retraining either.
    """
    seconds = _stages(run.folder)
    zoo = _stages(zoo_path(run.config).parent).get("zoo", seconds.get("zoo"))  # of the run that made it
    requests = [value for stage, value in seconds.items() if stage.startswith("forget-")]
    sample, retraining = _alone(run)
    fixed = (zoo or 0.0) + seconds["hypernetwork"]
    return {
        "zoo": zoo,
        "training": seconds["hypernetwork"],
        "request": sum(requests) / len(requests),
        "sample": sample,
        "retraining": retraining,
        "break_even": fixed / (retraining - sample) if retraining > sample else None,
    }


def _stages(folder: Path) -> dict[str, float]:
    """Seconds of every stage of a run; nothing if it told none."""
    path = folder / "costs.jsonl"
    return {row["stage"]: row["seconds"] for row in artifacts.read_rows(path)} if path.exists() else {}


def _alone(run: Run) -> tuple[float, float]:
    """Seconds to sample one model and to retrain one, for the first request."""
    path = run.folder / FILE
    if not path.exists():
        known, held_out = pipeline_zoo.split_zoo(run)
        single = replace(run.config, sampling=replace(run.config.sampling, batch_size=1))
        hypernetwork = stages.train_hypernetwork(run, known, held_out)
        generate = stages.generator_of(replace(run, config=single), hypernetwork)
        answer = unlearning.stored(run, run.config.task.forget_sets[0])
        prompt = jnp.asarray(answer.prompt)[None]  # [1, K]
        training, alone = on_device(run.dataset.train), replace(run.config.reference, seeds=1)

        def sample(key: jax.Array) -> Any:
            return generate(jax.random.split(key, 1), prompt, lambda made: None)

        def again(key: jax.Array) -> Any:
            return retrain(key, training, run.forget_sets[:1], run.sizes, alone)

        sampling, retraining = _seconds(run, sample, 5), _seconds(run, again, 1)
        artifacts.write_text(path, json.dumps({"sample": sampling, "retraining": retraining}) + "\n")
    told = json.loads(path.read_text(encoding="utf-8"))
    return told["sample"], told["retraining"]


def _seconds(run: Run, work: Callable[[jax.Array], Any], turns: int) -> float:
    """The median of some turns, after one that compiles."""
    times = []
    for key in jax.random.split(prng.stream(run.config.seed, "cost"), turns + 1):
        begun = time.monotonic()
        jax.block_until_ready(work(key))
        times.append(time.monotonic() - begun)
    return float(np.median(times[1:]))
