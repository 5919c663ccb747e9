"""The pictures and the page of a run, from what was measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from hyperforget_jax.config import flatten
from hyperforget_jax.metrics.comparison import Comparison
from hyperforget_jax.pipeline.alignment import Sweep
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import figures, html, strip_plots
from hyperforget_jax.report.html import Content, Picture
from hyperforget_jax.runtime import artifacts


def draw(
    run: Run,
    counts: dict[str, int],
    curve: list[dict[str, Any]],
    evolution: list[dict[str, Any]],
    evaluated: list[Comparison],
    sweeps: dict[int, Sweep],
) -> list[Picture]:
    """Draws every figure and saves it as PNG and SVG in `figures/`; alignment during training only if it was measured."""
    requests = [
        strip_plots.Request(
            forget_set,
            one.metrics["retain_accuracy"],
            one.metrics["forget_accuracy"],
            one.selected,
            one.reference_metrics["retain_accuracy"],
            one.reference_metrics["forget_accuracy"],
        )
        for forget_set, one in zip(run.config.task.forget_sets, evaluated, strict=True)
    ]
    classes, labels = run.dataset.classes, run.dataset.test.labels
    matrices = [
        figures.Matrices(
            forget_set,
            classes,
            *(
                confusion_matrix(np.tile(labels, len(each)), each.ravel(), labels=range(len(classes)))
                for each in (one.predictions[one.selected], one.reference_predictions)
            ),
        )
        for forget_set, one in zip(run.config.task.forget_sets, evaluated, strict=True)
    ]
    pictures = {
        "accuracies": Picture(
            "Every model, none left out",
            strip_plots.accuracies(requests),
            "One mark per model, on test images: all unselected samples, those selected on validation, and "
            "reference models, retrained without the classes.",
            "Strips of retain and forget accuracy of all, selected and reference models per forget set",
        ),
        "alignment": Picture(
            "Does it follow its prompts?",
            figures.alignment(
                {label: sweep.targets for label, sweep in sweeps.items()},
                {label: sweep.observed for label, sweep in sweeps.items()},
                {label: sweep.learned for label, sweep in sweeps.items()},
            ),
            "Observed against target loss for each forgettable class, the other classes at the losses of learned ones; "
            "a perfect hypernetwork lies on the identity line (paper, Figure 2). A family starts from the same "
            "noise at every target.",
            "Observed against target class loss with the identity line, one panel per class",
        ),
        "confusion": Picture(
            "What they predict instead",
            figures.confusion(matrices),
            "True class by predicted class on test images, left of the models selected on validation, right of "
            "the reference models; the column of a forgotten class is empty where models never learned it.",
            "Confusion matrices of selected and reference models per forget set",
        ),
        "learning_curves": Picture(
            "Training of the hypernetwork",
            figures.learning_curves(curve),
            "Denoising error on the checkpoints of training runs, and with the averaged parameters on those of "
            "validation runs.",
            "Training and validation loss against the training step",
        ),
        "coverage": Picture(
            "What the zoo holds",
            figures.coverage(counts),
            "Checkpoints for every combination of learned (low loss) and not learned (high loss) classes.",
            "Bars of checkpoint counts per combination of low and high losses",
        ),
    }
    if evolution:
        pictures["alignment_curve"] = Picture(
            "How alignment grew",
            figures.alignment_evolution(evolution),
            "Prompt alignment of the averaged parameters on validation images during training (paper, Figures 9 to 18).",
            "Mean R² and mean Pearson correlation per class against the training step",
        )
    folder = run.folder / "figures"
    for name, picture in pictures.items():
        figures.save(picture.figure, folder, name)
    return list(pictures.values())


def write_page(run: Run, results: pd.DataFrame, pictures: list[Picture]) -> Path:
    """Writes `report.html` and returns its path."""
    config, provenance = run.config, artifacts.provenance()
    content = Content(
        dataset=results["dataset"].iloc[0],
        classifier=results["classifier"].iloc[0],
        classes=config.data.classes,
        pivots=config.task.pivots,
        forget_sets=config.task.forget_sets,
        results=results,
        pictures=pictures,
        cost=artifacts.read_rows(run.folder / "costs.jsonl"),
        command=run.command,
        config=flatten(config),
        versions=provenance["versions"],
        git=provenance["git"],
    )
    path = run.folder / "report.html"
    artifacts.write_text(path, html.page(content))
    return path
