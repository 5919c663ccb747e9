"""Figures 2 to 18 and 31 of the paper, of our runs."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

import configs.gpt
from experiments import gpt
from experiments.leaf import Leaf
from experiments.made import Made, Runs
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.evaluate import accuracy
from hyperforget_jax.pipeline import alignment, evaluation
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.alignment import Sweep
from hyperforget_jax.report import figures, gpt_figures, paper_figures, paper_tables, strip_plots
from hyperforget_jax.report.paper_figures import Agreement
from hyperforget_jax.runtime import artifacts


def fig2(runs: Runs) -> Leaf:
    """Figure 2: observed against target losses of class 2, both hypernetworks."""
    sweeps = {
        f"{paper_tables.METHODS[method]}, class 2": _sweep(made.sweeps[2])
        for method, made in runs.of("mnist4").items()
    }
    return _picture(
        2, "Observed against target losses of class 2, MNIST-4", {"": paper_figures.sides(sweeps)}
    )


def selection(number: int, setting: str, runs: Runs) -> Leaf:
    """Figures 3 and 4: every sampled model, and those selected."""
    drawn = {
        method: strip_plots.accuracies([_request(made, index) for index in range(len(made.answers))])
        for method, made in runs.of(setting).items()
    }
    return _picture(number, f"Selection of sampled models, {setting}", drawn)


def agreement(number: int, setting: str, method: str, runs: Runs) -> Leaf:
    """Figures 5 to 8: answers of the best unlearned model against those of a retrained one."""
    made = runs.one(setting, method)
    matrices = [_agreement(made, index) for index in range(len(made.answers))]
    title = f"Answers of {paper_tables.METHODS[method]} and of a retrained model, {setting}"
    return _picture(number, title, {"": paper_figures.agreement(matrices)})


def curves(number: int, setting: str, runs: Runs) -> Leaf:
    """Figures 9 and 10: learning curves."""
    drawn = {
        method: figures.learning_curves(artifacts.read_rows(made.training / "learning_curve.jsonl"))
        for method, made in runs.of(setting).items()
    }
    return _picture(number, f"Learning curves, {setting}", drawn)


def comparison(number: int, setting: str, method: str, runs: Runs) -> Leaf:
    """Figures 11, 13, 15 and 17: observed against target losses of every class."""
    sweeps = runs.one(setting, method).sweeps
    drawn = figures.alignment(
        {label: sweep.targets for label, sweep in sweeps.items()},
        {label: sweep.observed for label, sweep in sweeps.items()},
        {label: sweep.learned for label, sweep in sweeps.items()},
    )
    title = f"Losses that were asked for and reached, {paper_tables.METHODS[method]}, {setting}"
    return _picture(number, title, {"": drawn})


def evolution(number: int, setting: str, method: str, runs: Runs) -> Leaf:
    """Figures 12, 14, 16 and 18: prompt alignment and correlation during training."""
    rows = alignment.evolution(runs.one(setting, method).training)
    if not rows:
        raise HyperForgetError(
            f"fig{number} shows alignment during training, and none was measured: set training.alignment_every, and name other --runs"
        )
    drawn = figures.alignment_evolution(rows)
    title = f"Alignment and correlation during training, {paper_tables.METHODS[method]}, {setting}"
    return _picture(number, title, {"": drawn})


def fig31(runs: Runs) -> Leaf:
    """Figure 31: G.pt asked for the loss of one class, on digits; `experiments.gpt` draws the others of it."""
    job = runs.other("gpt", configs.gpt.get_config(), gpt.check)
    known, held_out = pipeline_zoo.split_zoo(job)
    drawn = gpt_figures.one_class(gpt.one(job, "one_loss", known, held_out).followed)
    return _picture(31, "G.pt asked for the loss of one class, digits", {"": drawn})


def _picture(number: int, title: str, drawn: Mapping[str, Figure]) -> Leaf:
    named = {f"fig{number}" + (f"_{part}" if part else ""): figure for part, figure in drawn.items()}
    return Leaf(f"Figure {number}. {title}", "", [], named)


def _sweep(sweep: Sweep) -> tuple[np.ndarray, np.ndarray, float]:
    return sweep.targets, sweep.observed, sweep.learned


def _request(made: Made, index: int) -> strip_plots.Request:
    """Accuracies of every model that answers one request, and of the retrained ones."""
    answer, labels = made.answers[index], made.run.dataset.test.labels
    forgotten = np.isin(labels, made.run.forget_sets[index])
    (retain, forget), (reference_retain, reference_forget) = (
        [accuracy.accuracy(answers, labels, member) for member in (~forgotten, forgotten)]
        for answers in (
            evaluation.predictions(made.run, answer.models),
            evaluation.predictions(made.run, made.reference_of(index)),
        )
    )
    forget_set = made.run.config.task.forget_sets[index]
    return strip_plots.Request(
        forget_set, retain, forget, answer.selected, reference_retain, reference_forget
    )


def _agreement(made: Made, index: int) -> Agreement:
    """The best unlearned model beside the retrained one of median accuracy on the retain set."""
    answer, labels, size = made.answers[index], made.run.dataset.test.labels, made.run.sizes[-1]
    ours = evaluation.predictions(made.run, answer.models)[answer.selected[0]]  # [n]
    retained = ~np.isin(labels, made.run.forget_sets[index])
    retrained = evaluation.predictions(made.run, made.reference_of(index))  # [M, n]
    ranked = np.argsort(accuracy.accuracy(retrained, labels, retained), kind="stable")  # [M]
    theirs = retrained[ranked[len(ranked) // 2]]  # [n]
    test, retain = (
        np.bincount(theirs[member] * size + ours[member], minlength=size * size).reshape(size, size)
        for member in (np.ones_like(retained), retained)
    )
    return Agreement(made.run.config.task.forget_sets[index], made.run.dataset.classes, test, retain)
