"""Other membership attackers on the models of a run, beside the reference models: `attacks/` in the workdir.

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

from experiments.made import Made
from hyperforget_jax.metrics import comparison, membership, membership_attacks
from hyperforget_jax.metrics.results import REFERENCE, Row, Selection
from hyperforget_jax.pipeline import cache, evaluation
from hyperforget_jax.pipeline.evaluation import Floats
from hyperforget_jax.pipeline.run import Run
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


def rows(made: Made) -> list[dict[str, Any]]:
    """Tidy rows of every attacker, made once: `attacks/` in the workdir."""
    return cache.rows(made.run, FOLDER, lambda: _measured(made), models=MODELS, images=IMAGES)


def _measured(made: Made) -> list[Row]:
    run, found = made.run, list[Row]()
    with track(run.console, "attackers", len(made.answers), "requests") as advance:
        for index, answer in enumerate(made.answers):
            about = evaluation.context(run, run.config.hypernetwork.kind, run.config.task.forget_sets[index])
            parts: dict[Selection, Any] = {"all": slice(MODELS), "selected": jnp.asarray(answer.selected)}
            for selection, kept in parts.items():
                models = jax.tree.map(lambda leaf, kept=kept: leaf[kept], answer.models)
                ours = comparison.outputs(models, run.dataset.test, run.dataset.train)
                found += evaluation.metric_rows(
                    run, replace(about, selection=selection), scores(run, index, ours)
                )
            theirs = comparison.outputs(made.reference_of(index), run.dataset.test, run.dataset.train)
            found += evaluation.metric_rows(run, replace(about, method=REFERENCE), scores(run, index, theirs))
            advance(1)
    return found


def scores(run: Run, index: int, models: comparison.Outputs) -> Mapping[str, Floats]:
    """What every attacker finds in N models that answer one request: [N] each."""
    forget = run.forget_sets[index]
    seen, test = models.train_entropy, membership.entropy(models.probabilities)  # [N, n'], [N, n]
    forgotten_train, forgotten = (
        np.isin(split.labels, forget) for split in (run.dataset.train, run.dataset.test)
    )
    retained, asked = test[:, ~forgotten], seen[:, forgotten_train]
    learned, unseen = seen[:, ~forgotten_train], test[:, forgotten]
    return {
        "mia_fit_on_test": membership.membership_inference(retained, test, asked),
        "mia_without_forget": membership.membership_inference(learned, retained, asked),
        "mia_svm": membership_attacks.kernel_membership(learned, test, asked, IMAGES),
        "mia_auc": membership_attacks.area_under_curve(asked, unseen),
        "mia_five_fold": membership_attacks.cross_validated(asked, unseen),
    }
