"""Other membership attackers, beside what they find in retrained models: `python -m experiments.reproduce attacks-mnist4-dihyfo2`.

Kept in `attacks/` of the run's workdir.

`mia_fit_on_test`      the paper's attacker, its members the retained test images
`mia_without_forget`   the paper's attacker, its non-members the retained test images
`mia_svm`              a support vector machine in place of the logistic regression
`mia_auc`              forgotten training images against test images of the same classes, any threshold
`mia_five_fold`        the same by logistic regression, balanced accuracy on held-out folds
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.metrics import comparison, membership, membership_attacks
from hyperforget_jax.metrics.comparison import relative_to
from hyperforget_jax.metrics.results import REFERENCE, Row, Selection
from hyperforget_jax.pipeline import cache, evaluation
from hyperforget_jax.pipeline.evaluation import Floats
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.run_folder import FinishedRun, RunFolder
from hyperforget_jax.report.result import METHODS, Result, number_table
from hyperforget_jax.report.tables import interval, select
from hyperforget_jax.runtime.progress import track

FOLDER = "attacks"
MODELS = 64
"""Of the unselected ones, for each request."""
IMAGES = 1000
"""Of either kind, that a support vector machine learns from: its time grows with their square."""
NAMES = {
    "mia_fit_on_test": "D_r-test against test",
    "mia_without_forget": "D_r-train against D_r-test",
    "mia_svm": "D_r-train against test, SVM",
    "mia_auc": "D_f-train against D_f-test, AUC",
    "mia_five_fold": "D_f-train against D_f-test, 5 folds",
}


def attackers(setting: str, method: str, runs: RunFolder) -> Result:
    """What every attacker finds in selected, in unselected and in retrained models."""
    finished = runs.open(setting, method)
    measured = rows(finished)
    best, unselected, reference = (
        select(measured, (name,), selection)
        for name, selection in ((method, "selected"), (method, "all"), (REFERENCE, None))
    )
    lines: list[dict[str, Any]] = []
    for forget in finished.run.config.task.forget_sets:
        for metric in NAMES:
            mean, low, high = (reference[forget, metric, name]["value"] for name in ("mean", "q05", "q95"))
            ours = best[forget, metric, "mean"]["value"]
            lines.append(
                {
                    "forget_set": "-".join(map(str, forget)),
                    "metric": metric,
                    "selected_mean": ours,
                    "all_median": unselected[forget, metric, "median"]["value"],
                    **{"reference_mean": mean, "reference_low": low, "reference_high": high},
                    "place": relative_to(ours, low, high),
                }
            )
    heads = (
        *("Forget", "Attacker", "Best", "All, median"),
        *("Retrained, mean", "Retrained, 5–95%", "Against the reference models"),
    )
    shown = [
        {**line, "metric": NAMES[line["metric"]]}
        | {"reference_low": interval(line["reference_low"], line["reference_high"])}
        for line in lines
    ]
    for line in shown:
        del line["reference_high"]
    words = (
        f"{METHODS[method]}, {setting}, strict. The first three say how many forgotten training images an attacker takes for members, who "
        "learned from what is named; the last two how well one tells them from test images of the same classes: 0.5 is not at all. "
        f"Best: the selected models; all: {MODELS} unselected ones. The SVM has C = 3, an RBF kernel and {IMAGES} images of either kind.\n"
    )
    title = f"Other membership attackers, {METHODS[method]}, {setting}"
    return Result(title, f"{words}\n{number_table(heads, shown)}", lines, {})


def rows(finished: FinishedRun) -> list[dict[str, Any]]:
    """Results of every attacker, measured once."""
    settings = {"models": MODELS, "images": IMAGES, "forget_sets": finished.run.config.task.forget_sets}
    return cache.rows(finished.run, FOLDER, lambda: _measured(finished), **settings)


def _measured(finished: FinishedRun) -> list[Row]:
    run, measured = finished.run, list[Row]()
    with track(run.console, "attackers", len(finished.results), "requests") as advance:
        for index, result in enumerate(finished.results):
            about = evaluation.context(run, run.config.hypernetwork.kind, run.config.task.forget_sets[index])
            parts: dict[Selection, Any] = {"all": slice(MODELS), "selected": jnp.asarray(result.selected)}
            for selection, kept in parts.items():
                models = jax.tree.map(lambda leaf, kept=kept: leaf[kept], result.models)
                ours = comparison.outputs(models, run.dataset.test, run.dataset.train)
                measured += evaluation.metric_rows(run, replace(about, selection=selection), scores(run, index, ours))
            theirs = comparison.outputs(finished.reference_of(index), run.dataset.test, run.dataset.train)
            measured += evaluation.metric_rows(run, replace(about, method=REFERENCE), scores(run, index, theirs))
            advance(1)
    return measured


def scores(run: Run, index: int, models: comparison.Outputs) -> Mapping[str, Floats]:
    """What every attacker finds in N models that answer one request: [N] each."""
    forget = run.forget_sets[index]
    seen, test = models.train_entropy, membership.entropy(models.probabilities)  # [N, n'], [N, n]
    forgotten_train, forgotten = (np.isin(split.labels, forget) for split in (run.dataset.train, run.dataset.test))
    retained, forgotten_seen = test[:, ~forgotten], seen[:, forgotten_train]
    learned, unseen = seen[:, ~forgotten_train], test[:, forgotten]
    return {
        "mia_fit_on_test": membership.membership_inference(retained, test, forgotten_seen),
        "mia_without_forget": membership.membership_inference(learned, retained, forgotten_seen),
        "mia_svm": membership_attacks.kernel_membership(learned, test, forgotten_seen, IMAGES),
        "mia_auc": membership_attacks.area_under_curve(forgotten_seen, unseen),
        "mia_five_fold": membership_attacks.cross_validated(forgotten_seen, unseen),
    }
