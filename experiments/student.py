"""A student beside the hypernetwork that it learned from: `python -m experiments.student RUN`.

Measures a finished run whose config has `distillation.steps`: its forget sets are answered by the hypernetwork with its own sampler, by
the hypernetwork in the student's few steps, and by the student, with the same keys and prompts. Accuracies and prompt alignment are those
on test images; the last column holds all samples against clean runs. Leaves `student.md`, `student.jsonl` and `figures/student.*` in the
run's workdir.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.diffusion import samplers
from hyperforget_jax.diffusion.hypernetwork import Generator, Hypernetwork
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.two_sample import class_score_features, two_sample_test
from hyperforget_jax.pipeline import alignment, pretrained, prompt_book, training
from hyperforget_jax.pipeline.evaluation import Floats
from hyperforget_jax.pipeline.reference import clean_reference, reference_models
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.style import WIDTH, styled
from hyperforget_jax.report.tables import braces, markdown, number
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn import prompts, requests
from hyperforget_jax.unlearn.selection import class_weights

FAILED = 0.1
"""A model has failed if its retain accuracy is so far below the retrained models' median."""
Rows = list[dict[str, Any]]


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Measures; exit status 0 or 2."""
    _, run = open_finished(RunOptions, "student", arguments)
    model = pretrained.load(run.folder / HYPERNETWORK)
    if model.hypernetwork.student is None:
        raise HyperForgetError(f"{run.folder} has no student: make the run with distillation.steps above 0")
    generators = by_name(run, model.hypernetwork)
    retrained, clean = reference_models(run), clean_reference(run)
    rows = [row for mode in run.modes for row in answers(mode, model, generators, retrained, clean)]
    grids = alignment.grids(run, model.statistics)
    for name, generate in generators.items():
        for label, sweep in alignment.followed(run, grids, generate).items():
            reached = alignment.means(run, sweep)
            rows.append({"models": name, "class": str(label), "r2": reached["r2"], "pearson": reached["pearson"]})
    artifacts.write_rows(run.folder / "student.jsonl", rows)
    artifacts.write_text(run.folder / "student.md", page(rows))
    figures.save(figure(rows), run.folder / "figures", "student")
    run.console.print(listing([row for row in rows if "forget" in row]), listing([row for row in rows if "r2" in row]))
    run.console.print(f"table and figure: {run.folder / 'student.md'}")
    return 0


def by_name(run: Run, hypernetwork: Hypernetwork) -> dict[str, Generator]:
    """The three contenders."""
    assert hypernetwork.student is not None
    teacher, sampling = replace(hypernetwork, student=None), run.config.sampling
    steps = hypernetwork.student.steps
    few = replace(run, config=replace(run.config, sampling=samplers.few_steps(steps, sampling)))
    return {
        f"hypernetwork, {sampling.steps} steps": training.generator_of(run, teacher),
        f"hypernetwork, {steps} steps": training.generator_of(few, teacher),
        f"student, {steps} steps": training.generator_of(run, hypernetwork),
    }


def answers(
    run: Run, model: pretrained.Pretrained, generators: Mapping[str, Generator], retrained: Params, clean: Params
) -> Rows:
    """One row of each contender for every forget set: unselected models in one mode, beside retrained models and clean runs."""
    rows, test = Rows(), on_device(run.dataset.test)

    def scores(models: Params) -> tuple[Floats, Floats]:
        losses, accuracies = classifier.class_scores_of_many(models, *test)  # [N, K] each
        return np.asarray(losses, np.float64), np.asarray(accuracies, np.float64)

    for index, (labels, forget) in enumerate(zip(run.config.task.forget_sets, run.forget_sets, strict=True)):
        retain, forgotten = class_weights(run.dataset.test.labels, forget, run.dataset.num_classes)
        of_retrained, of_clean = (
            scores(jax.tree.map(lambda leaf, index=index: leaf[index], group)) for group in (retrained, clean)
        )
        typical = np.median(of_retrained[1] @ retain)
        theirs = class_score_features(*of_clean)
        for name, generate in generators.items():
            ours = scores(sampled(run, model, labels, generators, generate))
            retained = ours[1] @ retain
            told = two_sample_test(
                class_score_features(*ours),
                theirs,
                "forest",
                trees=run.config.evaluation.c2st_trees,
                permutations=0,
                seed=run.config.seed,
            )
            rows.append(
                {
                    "models": name,
                    "prompts": run.config.request.prompts,
                    "forget": braces(labels),
                    "retain, median": float(np.median(retained)),
                    "retain, 5%": float(np.quantile(retained, 0.05)),
                    "failed": float((retained < typical - FAILED).mean()),
                    "forget accuracy": float((ours[1] @ forgotten).mean()),
                    "retrained, median": float(typical),
                    "c2st class scores": told.auc,
                }
            )
    return rows


def sampled(
    run: Run,
    model: pretrained.Pretrained,
    labels: tuple[int, ...],
    generators: Mapping[str, Generator],
    generate: Generator,
) -> Params:
    """Models of one contender, by the prompts that the run answers with."""
    config, asked = run.config.request, requests.UnlearningRequest(labels, run.dataset.classes)
    about = asked, on_device(run.dataset.validation), prng.stream(run.config.seed, requests.name_of(labels)), config

    def quietly(keys: jax.Array, values: jax.Array) -> Params:
        return generate(keys, values, lambda made: None)

    if config.prompts == "drawn":
        exposure = run.config.hypernetwork.exposure
        drawn_from = prompts.of_request(model.statistics, asked.positions, config, exposure)
        return requests.answer_drawn(quietly, drawn_from, *about).models
    judging = training.judging_generators(run, model.hypernetwork, [*generators.values()][-1])
    return requests.answer(quietly, prompt_book.page(run, labels, model, judging), *about).models


def page(rows: Rows) -> str:
    """Both tables as Markdown, with the figure."""
    tables = []
    for key, words in (("forget", 3), ("r2", 2)):
        lines = [row for row in rows if key in row]
        body = [[value if isinstance(value, str) else number(value) for value in row.values()] for row in lines]
        tables.append(markdown([*lines[0]], "l" * words + "r" * (len(lines[0]) - words), body))
    return (
        "# A student beside its hypernetwork\n\n"
        "Unselected models on test images. Failed: more than 0.1 below the median of the retrained models. "
        f"C2ST: AUC of a forest that tells the models from clean runs by their class losses.\n\n{tables[0]}\n"
        f"Prompt alignment, means over families:\n\n{tables[1]}\n![Retain accuracy, median and 5% quantile](figures/student.png)\n"
    )


@styled
def figure(rows: Rows) -> Figure:
    """Median retain accuracy with the 5% quantile below it, one panel per mode, beside the retrained models' median."""
    lines = [row for row in rows if "forget" in row]
    modes, names = (list(dict.fromkeys(row[key] for row in lines)) for key in ("prompts", "models"))
    drawn = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    panels = drawn.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for panel, mode in zip(panels, modes, strict=True):
        for shift, name in enumerate(names):
            of_name = [row for row in lines if (row["prompts"], row["models"]) == (mode, name)]
            places = np.arange(len(of_name)) + 0.2 * (shift - 1)
            middle = np.array([row["retain, median"] for row in of_name])
            low = np.array([row["retain, 5%"] for row in of_name])
            panel.errorbar(places, middle, yerr=[middle - low, np.zeros_like(low)], fmt="o", markersize=3, label=name)
        of_name = [row for row in lines if (row["prompts"], row["models"]) == (mode, names[0])]
        panel.plot([row["retrained, median"] for row in of_name], "k_", markersize=18, label="retrained")
        panel.set_xticks(range(len(of_name)), [row["forget"] for row in of_name], fontsize=7, rotation=20)
        panel.set(title=f"{mode} prompts", xlabel="forget")
    panels[0].set_ylabel("retain accuracy")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names) + 1, fontsize=7)
    return drawn


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
