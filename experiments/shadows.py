"""U-LiRA and RULI against a hypernetwork, with honest shadows: every shadow is a new zoo and a new hypernetwork.

    python -m experiments.shadows [--FIELD VALUE ...]

Digits, classes 0 to 3, forget {2}. Half of the training images of class 2 are drawn for a system, and the next system has the other
half: each image is in the training set of half of the systems. Every system trains its zoo and its hypernetwork on what it has, and
answers the request; the attacker asks of every image which half of the systems an answer comes from. If answers have forgotten, nothing
tells: the AUC is 0.5. Two attackers: one sees one model of the answer, the other the mean confidence of all samples. The same attack on
models that were trained on everything says what it finds if nothing is forgotten. Leaves `shadows.md`, `shadows.jsonl` and
`figures/shadows.*`; systems are kept, so that a stopped experiment goes on.
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from configs import digits4_dihyfo2
from hyperforget_jax.attacks.margin import margins
from hyperforget_jax.attacks.result import Doubles
from hyperforget_jax.attacks.shadow import ATTACKS, shadow_attack
from hyperforget_jax.attacks.suite import line
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.config import AttackConfig, Config, ShadowsConfig
from hyperforget_jax.config.ranges import SHADOWS, validate_settings
from hyperforget_jax.data import Split
from hyperforget_jax.metrics.accuracy import accuracy
from hyperforget_jax.pipeline import evaluation, training, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report import attacks as report
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import table
from hyperforget_jax.report.style import LEVEL, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.report.tables import to_markdown
from hyperforget_jax.runtime import artifacts, locks, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import prompts, requests
from hyperforget_jax.unlearn.reference import retrain

FOLDER = "systems"
SEEN = {
    "one model": "one",
    "mean of all samples": "mean",
    "one model, nothing forgotten": "knowing_one",
    "mean of models, nothing forgotten": "knowing_mean",
}
"""What an attacker sees, and the name of its confidences."""


def get_config() -> Config:
    """Digits with classes 0 to 3, a zoo and a hypernetwork of seconds."""
    config = digits4_dihyfo2.get_config()
    return replace(
        config,
        workdir="runs/shadows",
        task=replace(config.task, forget_sets=((2,),)),
        zoo=replace(
            config.zoo, runs=256, runs_per_block=128, epochs=60.0, snapshots=20, min_clean_runs=64, purgeable=True
        ),  # purgeable: programs of one shape, whatever pixels vary
        hypernetwork=replace(config.hypernetwork, hidden_size=96, depth=3),
        training=replace(config.training, steps=300, batch_size=128),
        request=replace(config.request, trial_samples=(2,), forget_levels=1),
        evaluation=replace(config.evaluation, distribution_models=0),
    )


def run(job: Run, config: ShadowsConfig | None = None) -> None:
    """Trains the systems that are missing, attacks, and writes tables and figure."""
    config = ShadowsConfig() if config is None else config
    validate_settings(config, SHADOWS, "shadows")
    found = list[Mapping[str, NDArray[Any]]]()
    with track(job.console, "systems", config.systems, "systems") as advance:
        for number in range(config.systems):
            found.append(system(job, number, config))
            advance(1)
    members = np.stack([each["member"] for each in found])  # [S, T]
    lines = list[dict[str, Any]]()
    for seen, name in SEEN.items():
        confidences = np.stack([each[name] for each in found])  # [S, T]
        for density in ATTACKS:
            results = shadow_attack(*sides(confidences, members), density, AttackConfig(seed=job.config.seed))
            lines += [line(seen, job.config.task.forget_sets[0], each) for each in results.values()]
    reached = {name: np.mean([each[name] for each in found]) for name in ("retain", "forget", "knowing_forget")}
    artifacts.write_rows(job.folder / "shadows.jsonl", lines)
    artifacts.write_text(job.folder / "shadows.md", page(lines, reached, config))
    figures.save(figure(lines), job.folder / "figures", "shadows")
    job.console.print(table(report.texts(lines), ["Method", "Family", "Attack", "Position"]))
    job.console.print(f"table and figure: {job.folder / 'shadows.md'}")


def system(job: Run, number: int, config: ShadowsConfig) -> Mapping[str, NDArray[Any]]:
    """What the attacker learns from one system; an artifact.

    Returns:
      "member" [T], whether the system has the image; confidences [T] by the names of `SEEN`; mean accuracies on test images.
    """
    folder = job.folder / FOLDER / f"{number:03}"
    made_from = workdir.identity(job.config) | {"system": number, "shadows": asdict(config)}
    if not artifacts.is_complete(folder) or artifacts.manifest(folder)["made_from"] != artifacts.as_json(made_from):
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=job.folder) as temporary, locks.scope():
            learned = trained(job, number, Path(temporary), config)
        with artifacts.new_artifact(folder, made_from) as partial_folder:
            np.savez(partial_folder / "system.npz", **learned)  # type: ignore[arg-type]
    artifacts.verify(folder)
    with np.load(folder / "system.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def trained(job: Run, number: int, folder: Path, config: ShadowsConfig) -> dict[str, NDArray[Any]]:
    """Makes one system in a folder, and asks it."""
    (forget,) = job.forget_sets
    labels = job.config.task.forget_sets[0]
    train = job.dataset.train
    rows = np.flatnonzero(np.isin(train.labels, forget))  # [T]
    member = half(job, number, len(rows))
    left_out = np.zeros(len(train.labels), bool)
    left_out[rows[~member]] = True
    dataset = replace(job.dataset, train=Split(train.images[~left_out], train.labels[~left_out]))
    changed = replace(job.config, workdir=str(folder / "run"), seed=job.config.seed + 1 + number)
    own = replace(job, config=changed, dataset=dataset, folder=folder / "run")
    workdir.acquire_workdir(changed)
    zoo = pipeline_zoo.make_zoo(own)
    model = training.train_hypernetwork(own, *zoo.split(changed.zoo.runs, changed.zoo.validation_share))
    generate = training.generator_of(own, model.hypernetwork)
    request = replace(changed.request, samples=config.samples, prompts="drawn")
    asked = prompts.of_request(model.statistics, forget, request, changed.hypernetwork.exposure)
    answered = requests.answer_drawn(
        lambda keys, rows: generate(keys, rows, lambda made: None),
        asked,
        requests.UnlearningRequest(labels, job.dataset.classes),
        on_device(job.dataset.validation),
        prng.stream(changed.seed, "shadows"),
        request,
    ).models
    recipe = replace(changed.reference, seeds=config.knowing)
    knowing = retrain(prng.stream(changed.seed, "knowing"), on_device(dataset.train), [()], own.sizes, recipe)
    knowing = jax.tree.map(lambda leaf: leaf[0], knowing)
    targets = jnp.asarray(train.images[rows]), jnp.asarray(train.labels[rows])
    attack = AttackConfig()
    found, known = margins(answered, targets, attack), margins(knowing, targets, attack)  # [N, T]
    test = job.dataset.test
    forgotten = np.isin(test.labels, forget)
    reached, kept = (evaluation.predictions(job, each) for each in (answered, knowing))
    return {
        "member": member,
        "one": found[0],
        "mean": found.mean(0),
        "knowing_one": known[0],
        "knowing_mean": known.mean(0),
        "retain": accuracy(reached, test.labels, ~forgotten).mean(),
        "forget": accuracy(reached, test.labels, forgotten).mean(),
        "knowing_forget": accuracy(kept, test.labels, forgotten).mean(),
    }


def half(job: Run, number: int, count: int) -> NDArray[np.bool_]:
    """Which of `count` images a system has; systems 2 i and 2 i + 1 share them out."""
    order = np.random.default_rng((job.config.seed, number // 2)).permutation(count)
    first = np.isin(np.arange(count), order[: count // 2])
    return ~first if number % 2 else first


def sides(confidences: Doubles, members: NDArray[np.bool_]) -> tuple[Doubles, Doubles]:
    """Confidences [S / 2, T] of the systems that had each image, and of those that had it not, from [S, T] of all."""
    with_it = np.argsort(~members, axis=0, kind="stable")  # systems that had the image first
    ordered = np.take_along_axis(confidences, with_it, axis=0)
    middle = len(members) // 2
    return ordered[:middle], ordered[middle:]


def page(lines: list[dict[str, Any]], reached: Mapping[str, Any], config: ShadowsConfig) -> str:
    """The table as Markdown."""
    return (
        "# Honest shadows of a hypernetwork\n\n"
        f"{config.systems} systems, each a zoo and a hypernetwork of its own, on digits with classes 0 to 3; each training image of class "
        "2 is in the training set of half of them. All answer the request to forget {2}: mean retain accuracy "
        f"{reached['retain']:.4f}, forget accuracy {reached['forget']:.4f} on test images. Models that were trained on everything, "
        f"of which nothing is forgotten, reach {reached['knowing_forget']:.4f} on class 2. Value: the attack on systems that had an "
        "image against those that had it not; reference: the same among systems that had it not.\n\n"
        f"{to_markdown(report.texts(lines).drop(columns='Family'), ['Method', 'Attack', 'Position'])}\n"
        "![AUC of every attacker](figures/shadows.png)\n"
    )


@styled
def figure(lines: list[dict[str, Any]]) -> Figure:
    """AUC of both attacks for what each attacker sees, with the 5–95% range of the control."""
    chosen = [each for each in lines if each["attack"].endswith("_auc")]
    drawn = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    panel = drawn.subplots()
    for place, each in enumerate(chosen):
        panel.plot(
            [each["low"], each["high"]], [place, place], color=REFERENCE, linewidth=5, alpha=0.35, solid_capstyle="butt"
        )
        panel.plot(each["value"], place, "o", color=OURS)
    panel.axvline(0.5, color=LEVEL, linewidth=1)
    names = [f"{each['attack'].removesuffix('_auc')}: {each['method']}" for each in chosen]
    panel.set_yticks(range(len(chosen)), names, fontsize=7)
    panel.invert_yaxis()
    panel.set(xlabel="AUC; bar: 5–95% of the control")
    return drawn


if __name__ == "__main__":
    sys.exit(run_experiment("shadows", get_config(), run, sys.argv[1:]))
