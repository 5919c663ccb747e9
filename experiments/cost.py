"""What a request costs, beside retraining: `python -m experiments.reproduce cost-mnist4`.

Timed once, kept in `cost.json` of the run's workdir.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.pipeline import training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.run_folder import RunFolder
from hyperforget_jax.pipeline.workdir import zoo_path
from hyperforget_jax.report.result import METHODS, Result
from hyperforget_jax.report.tables import markdown
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn.reference import retrain

FILE = "cost.json"


def cost(setting: str, runs: RunFolder) -> Result:
    """Seconds per model and the number of models at which the hypernetwork has paid for itself."""
    lines: list[dict[str, Any]] = [
        {"method": method, **seconds(finished.run)} for method, finished in runs.of(setting).items()
    ]
    heads = (
        "Hypernetwork",
        "Zoo, s",
        "Training, s",
        "Request, s",
        "One model, s",
        "One retraining, s",
        "Break-even, models",
    )
    body = [
        [METHODS[line["method"]], *("–" if value is None else f"{value:.4g}" for value in list(line.values())[1:])]
        for line in lines
    ]
    words = (
        f"{setting}. Training: with the prompt book. Request: samples and their selection. One model: sampled alone, compiled; one "
        "retraining: a model trained alone without a forget set, compiled. A zoo that several hypernetworks share counts for each. "
        "Break-even: (zoo + training) / (one retraining - one model); a dash: never. It does not count the samples that a request "
        "selects from: a whole request may take longer than one retraining. A dash for the zoo: nobody timed it, and it is not counted.\n"
    )
    return Result(f"Cost, {setting}", f"{words}\n{markdown(heads, 'lrrrrrr', body)}", lines, {})


def seconds(run: Run) -> dict[str, float | None]:
    """Seconds of a finished run: "zoo" (None: nobody timed it, and it is not counted), "training", "request" (mean), "sample", "retraining"
    of one model alone; "break_even", the models after which the hypernetwork has paid for itself; None: it never does. Prompts are judged
    as a part of the training. The selection of models is not counted: it is no part of retraining either.
    """
    stages = _stages(run.folder)
    zoo = _stages(zoo_path(run.config).parent).get("zoo", stages.get("zoo"))  # of the run that made it
    requests = [value for stage, value in stages.items() if stage.startswith("forget-")]
    sample, retraining = _alone(run)
    trained = stages["hypernetwork"] + stages["prompts"]
    fixed = (zoo or 0.0) + trained
    return {
        "zoo": zoo,
        "training": trained,
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
        train_zoo, val_zoo = pipeline_zoo.split_zoo(run)
        single = replace(run.config, sampling=replace(run.config.sampling, batch_size=1))
        hypernetwork = training.train_hypernetwork(run, train_zoo, val_zoo).hypernetwork
        generate = training.generator_of(replace(run, config=single), hypernetwork)
        answer = unlearning.stored(run, run.config.task.forget_sets[0])
        prompt = jnp.asarray(answer.prompt)[None]  # [1, K]
        images, alone = on_device(run.dataset.train), replace(run.config.reference, seeds=1)

        def sample(key: jax.Array) -> Any:
            return generate(jax.random.split(key, 1), prompt, lambda made: None)

        def again(key: jax.Array) -> Any:
            return retrain(key, images, run.forget_sets[:1], run.sizes, alone)

        sampling, retraining = _median_seconds(run, sample, 5), _median_seconds(run, again, 1)
        artifacts.write_text(path, json.dumps({"sample": sampling, "retraining": retraining}) + "\n")
    stored = json.loads(path.read_text(encoding="utf-8"))
    return stored["sample"], stored["retraining"]


def _median_seconds(run: Run, work: Callable[[jax.Array], Any], turns: int) -> float:
    """The median of some turns, after one that compiles."""
    times = []
    for key in jax.random.split(prng.stream(run.config.seed, "cost"), turns + 1):
        start = time.monotonic()
        jax.block_until_ready(work(key))
        times.append(time.monotonic() - start)
    return float(np.median(times[1:]))
