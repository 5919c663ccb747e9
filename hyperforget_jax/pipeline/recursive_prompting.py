"""What DiHyFo-1 makes of a model, round by round: one call, its repetitions, a sweep of prompts; measured on test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.diffusion.hypernetwork import Generator, Start
from hyperforget_jax.metrics.results import Selection
from hyperforget_jax.pipeline import alignment, evaluation
from hyperforget_jax.pipeline.alignment import Grid, Sweep
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.runtime import prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import halving, recursive, requests
from hyperforget_jax.unlearn.recursive import Update
from hyperforget_jax.unlearn.requests import Floats, UnlearningRequest
from hyperforget_jax.unlearn.selection import class_weights, select
from hyperforget_jax.unlearn.starting_models import metric_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Round:
    """Models of one round.

    Attributes:
      models: N of them, stacked.
      selected: row of the one selected on validation.
      losses: [N, K], nats, on the test images of every class.
      accuracies: [N, K].
    """

    models: Params
    selected: int
    losses: Floats
    accuracies: Floats

    @property
    def chosen(self) -> Params:
        """The selected model."""
        return jax.tree.map(lambda leaf: leaf[self.selected], self.models)


def scored(run: Run, models: Params, selected: int) -> Round:
    """N stacked models with their scores on test."""
    scores = classifier.class_scores_of_many(models, *on_device(run.dataset.test))  # [N, K] each
    losses, accuracies = (np.asarray(score) for score in scores)
    return Round(models, selected, losses, accuracies)


def call(
    run: Run, name: str, generate: Generator, model: Params, candidates: Floats, forget: tuple[int, ...]
) -> list[Round]:
    """One call from one model, with the best of the candidate prompts; then the same prompt for its output, again and again.

    Args:
      run: its config says how many models and rounds.
      name: of the stage.
      generate: DiHyFo-1.
      model: to start from.
      candidates: [C, K], candidate prompts.
      forget: output positions; () asks for everything.
    """
    config, measure = run.config.request, metric_on_validation(run)
    key, again = jax.random.split(prng.stream(run.config.seed, f"update {name}"))
    total = halving.num_models(len(candidates), config) + config.rounds * config.samples
    validation = on_device(run.dataset.validation)
    with run.timed(f"update {name}", resumes=False), track(run.console, name, total, "models") as advance:
        step = stepping(generate, advance)
        begin = recursive.starting(step, measure, model)
        labels = tuple(run.dataset.classes[position] for position in forget)
        request = UnlearningRequest(labels, run.dataset.classes)
        rounds = [begin] * len(config.trial_samples)
        page = halving.judge_prompts(rounds, candidates, forget, validation, requests.judging_key(key), config)
        result = requests.answer(begin, page, request, validation, key, config)
        if not result.candidate_scores.any():
            run.console.print(f"{name}: NO sample of any prompt has forgotten: train the hypernetwork longer")
        draws = jax.random.split(again, config.samples)
        chosen = result.candidate_prompts[result.chosen]
        prompt = jnp.tile(jnp.asarray(chosen)[None], (config.samples, 1))  # [N, K]
        later = recursive.recursively(step, measure, draws, prompt, result.models, config.rounds - 1)
    best = [result.selected, *(select(each, forget, validation, config) for each in later)]
    return [scored(run, each, int(rows[0])) for each, rows in zip([result.models, *later], best, strict=True)]


def metric_on_validation(run: Run) -> recursive.Measure:
    """What DiHyFo-1 is told of the models that it starts from."""
    return partial(metric_of, run.config.hypernetwork, split=on_device(run.dataset.validation))


def stepping(generate: Generator, advance: Callable[[int], None]) -> Update:
    """DiHyFo-1 as `unlearn.update` calls it, counted."""
    return lambda draws, losses, models, current: generate(draws, losses, advance, Start(models, current))


def result_rows(run: Run, labels: tuple[int, ...], rounds: Mapping[str, list[Round]]) -> list[Row]:
    """Rows of a forget set: the model before (round 0), and the rounds of each direction.

    Args:
      run: its config and its dataset.
      labels: the forget set.
      rounds: before, forget and back to their rounds.
    """
    return [
        row | {"direction": direction, "round": number}
        for direction, each in rounds.items()
        for number, one in enumerate(each, start=int(direction != "before"))
        for row in _rows_of(run, labels, direction, one)
    ]


def _rows_of(run: Run, labels: tuple[int, ...], direction: str, one: Round) -> list[Row]:
    """All samples, their worst, and the selected one; a single model has its values only."""
    of_samples: dict[Selection, Any] = {"all": slice(None), "selected": [one.selected]}
    shares = class_weights(run.dataset.test.labels, run.dataset.positions(labels), run.sizes[-1])
    retained, forgotten = (one.accuracies @ share for share in shares)  # [N] each
    sets = {"retain_accuracy": retained, "forget_accuracy": forgotten}
    values = sets | {"class_accuracy": one.accuracies, "class_loss": one.losses}
    ideal = {"forget_accuracy": 0.0} if direction == "forget" else {}
    worst = {name: float(each.max() if name in ideal else each.min()) for name, each in sets.items()}
    about, rows = evaluation.context(run, run.config.hypernetwork.kind, labels), list[Row]()
    for selection, kept in ({None: slice(None)} if direction == "before" else of_samples).items():
        ours = replace(about, selection=selection)
        new = evaluation.metric_rows(run, ours, {name: array[kept] for name, array in values.items()})
        medians = [row for row in new if selection == "all" and row["statistic"] == "median" and row["class"] is None]
        bare = {"statistic": "worst", "low": None, "high": None}
        rows += new + [row | bare | {"value": worst[row["metric"]]} for row in medians]
    return [row | {"ideal": ideal.get(row["metric"])} for row in rows]


def sweeps(run: Run, grids: Mapping[int, Grid], generate: Generator, model: Params) -> list[Row]:
    """Rows of the prompt alignment of one model's updates, after every round; losses are asked to climb and to fall."""
    config, rounds = run.config, run.config.request.rounds
    families = jax.random.split(prng.stream(config.seed, "update alignment"), config.evaluation.alignment_families)
    count = len(families) * config.evaluation.alignment_prompts
    sweeps_by_round: dict[int, dict[int, Sweep]] = {number + 1: {} for number in range(rounds)}
    timed, total = run.timed("update alignment", resumes=False), len(grids) * rounds * count
    with timed, track(run.console, "alignment", total, "models") as advance:
        for label, (column, grid) in alignment.by_position(run, grids).items():
            each = jnp.repeat(jax.random.clone(families), len(grid.prompts))  # [F * P]
            tiled = jnp.tile(jnp.asarray(grid.prompts), (len(families), 1))  # [F * P, K]
            start, measure = recursive.repeated(model, count), metric_on_validation(run)
            generated = recursive.recursively(stepping(generate, advance), measure, each, tiled, start, rounds)
            for number, models in enumerate(generated, 1):
                losses = scored(run, models, 0).losses[:, column].astype(np.float64)  # [F * P]
                observed = losses.reshape(-1, len(grid.prompts))  # [F, P]
                targets = grid.prompts[:, column].astype(np.float64)
                sweeps_by_round[number][label] = Sweep(targets, observed, grid.learned)
    return [
        row | {"direction": "sweep", "round": number}
        for number, of_labels in sweeps_by_round.items()
        for row in alignment.alignment_rows(run, of_labels)
    ]
