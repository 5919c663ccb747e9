"""What the paper does not ask and a reviewer will: every forget set, rivals of the generator, novelty, attackers, cost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from experiments import alignment_grids, all_forget_sets, generator_baselines, membership_attacks
from experiments import cost as costs
from experiments.leaf import Leaf
from experiments.made import Runs
from hyperforget_jax.metrics.comparison import relative_to
from hyperforget_jax.metrics.results import REFERENCE
from hyperforget_jax.pipeline import training
from hyperforget_jax.report import paper_figures
from hyperforget_jax.report.paper_tables import METHODS
from hyperforget_jax.report.tables import Row, braces, interval, markdown, number, select

RIVALS = ("retrieval", "noise", "average")
COMPARED = (
    *("retain_accuracy", "forget_accuracy", "failed_models", "overlap_retain", "phi_jsd", "mia"),
    *("novelty_distance", "novelty_shared_mistakes"),
)
SEEDS = (1, 2)
"""Seeds of further trainings, beside the run's own."""
SEEDED = (
    ("retain, all, median", 0, "retain_accuracy", "median"),
    ("retain, selected, mean", 1, "retain_accuracy", "mean"),
    ("forget, all, mean", 0, "forget_accuracy", "mean"),
)
"""What is told of every forget set: words, selection (all, selected), metric, statistic."""


def every_subset(setting: str, method: str, runs: Runs) -> Leaf:
    """Retain and forget accuracy of every forget set, beside models retrained for each; the worst named."""
    found = all_forget_sets.of_rows(all_forget_sets.rows(runs.one(setting, method).run), method)
    worst = all_forget_sets.worst(found)
    lines: list[dict[str, Any]] = [
        {
            "forget_set": "-".join(map(str, forget)),
            "retain_all_median": each.unselected,
            "retain_selected_mean": each.selected,
            "retain_reference_median": each.reference,
            "gap": each.gap,
            "forget_all_mean": each.forget,
        }
        for forget, each in found.items()
    ]
    heads = (
        "Forget",
        "Retain, all, median",
        "Retain, selected",
        "Retain, retrained, median",
        "Gap",
        "Forget, all",
    )
    body = [[_braced(line), *map(number, list(line.values())[1:])] for line in lines]
    words = (
        f"{METHODS[method]}, {setting}: one hypernetwork, {len(found)} forget sets, test images, strict. Gap: by how much the selected "
        f"models fall below the retrained ones' median. The worst is {braces(worst)}: {number(found[worst].gap)}.\n"
    )
    return Leaf(
        f"Every forget set, {METHODS[method]}, {setting}",
        f"{words}\n{markdown(heads, 'lrrrrr', body)}",
        lines,
        {f"subsets-{setting}-{method}": paper_figures.subsets(found, worst)},
    )


def against_rivals(setting: str, method: str, runs: Runs) -> Leaf:
    """The generator beside retrieval, noise and averages at the same prompts; alignment and novelty."""
    made = runs.one(setting, method)
    rows = [*made.rows, *generator_baselines.rows(made.run)]
    by_method = {name: select(rows, (name,), "all") for name in (method, *RIVALS, "held_out")}
    by_method[REFERENCE] = select(rows, (REFERENCE,), None)
    lines: list[dict[str, Any]] = [
        {
            "forget_set": "-".join(map(str, forget)),
            "method": name,
            **{metric: _value(found, forget, metric) for metric in COMPARED},
        }
        for forget in made.run.config.task.forget_sets
        for name, found in by_method.items()
    ]
    heads = (
        "Forget",
        "Models",
        "Accuracy on D_r",
        "Accuracy on D_f",
        "Failed",
        "Overlap on D_r",
        "φ, JSD in bits",
        "MIA",
        "Distance from the zoo",
        "Shared mistakes",
    )
    body = [
        [
            _braced(line),
            _called(line["method"]),
            *(number(line[metric]) for metric in COMPARED),
        ]
        for line in lines
    ]
    aligned = list(_alignment(rows, (method, "retrieval", "nearest")))
    words = (
        f"{METHODS[method]}, {setting}, test images, medians of unselected models at the prompt that was chosen on validation. "
        f"Failed: share with forget accuracy above {made.run.config.request.forget_tolerance:g}, or "
        f"{generator_baselines.FAILED:g} below the retrained ones' median. "
        f"Retrieval: the checkpoints of the zoo nearest to the prompt in standardised log losses; noise: these with Gaussian noise of "
        f"{generator_baselines.NOISE:g} times each tensor's root mean square; average: {generator_baselines.NEIGHBOURS} neighbours, aligned. "
        f"Distance: from the nearest of the {generator_baselines.CHECKPOINTS:,} training checkpoints closest to the prompt in losses, free of symmetries; "
        "held out: checkpoints of runs it never saw. Shared mistakes: of the retained test images that a model or a checkpoint gets "
        f"wrong, the greatest share that both do, with any of the {generator_baselines.MODELS * generator_baselines.NEIGHBOURS} checkpoints nearest to the prompt. "
        "Alignment: the families of retrieval are the nearest checkpoint of every prompt, the second nearest, and so on; nearest: the "
        "first alone.\n"
    )
    tables = (
        markdown(heads, "llrrrrrrrr", body),
        markdown(("Class", "Models", "R², mean", "Pearson, mean"), "llrr", aligned),
    )
    return Leaf(f"Rivals of {METHODS[method]}, {setting}", "\n".join((words, *tables)), lines, {})


def attackers(setting: str, method: str, runs: Runs) -> Leaf:
    """What other membership attackers find, beside what they find in retrained models."""
    made = runs.one(setting, method)
    rows = membership_attacks.rows(made)
    best, unselected, reference = (
        select(rows, (name,), selection)
        for name, selection in ((method, "selected"), (method, "all"), (REFERENCE, None))
    )
    lines: list[dict[str, Any]] = []
    for forget in made.run.config.task.forget_sets:
        for metric in membership_attacks.NAMES:
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
    body = [
        [
            _braced(line),
            membership_attacks.NAMES[line["metric"]],
            *(number(line[name]) for name in ("selected_mean", "all_median", "reference_mean")),
            interval(line["reference_low"], line["reference_high"]),
            line["place"],
        ]
        for line in lines
    ]
    words = (
        f"{METHODS[method]}, {setting}, strict. The first three tell how many forgotten training images an attacker takes for members, who "
        "learned from what is named; the last two how well one tells them from test images of the same classes: 0.5 is not at all. "
        f"Best: the selected models; all: {membership_attacks.MODELS} unselected ones. The SVM has C = 3, an RBF kernel and {membership_attacks.IMAGES} "
        "images of either kind.\n"
    )
    title = f"Other membership attackers, {METHODS[method]}, {setting}"
    return Leaf(title, f"{words}\n{markdown(heads, 'llrrrrl', body)}", lines, {})


def _braced(line: Mapping[str, Any]) -> str:
    """The forget set of a line of a CSV file, as people write it."""
    return braces(map(int, line["forget_set"].split("-")))


def _value(found: Mapping[tuple[Any, ...], Row], forget: tuple[int, ...], metric: str) -> float | None:
    row = found.get((forget, metric, "median"))
    return None if row is None else float(row["value"])


def _alignment(rows: Sequence[Row], methods: Iterable[str]) -> Iterable[list[str]]:
    values = _aligned(rows)
    for label in dict.fromkeys(key[0] for key in values):
        for method in methods:
            pair = (values[label, method, f"alignment_{name}"] for name in ("r2", "pearson"))
            yield [str(label), _called(method), *map(number, pair)]


def _aligned(rows: Sequence[Row]) -> dict[tuple[int, str, str], float]:
    """Means over families of every alignment metric, by class, method and metric; of one family, its value."""
    return {
        (row["class"], row["method"], row["metric"]): row["value"]
        for row in rows
        if row["metric"].startswith("alignment_") and row["statistic"] in ("mean", "value")
    }


def _called(method: str) -> str:
    return METHODS.get(method, method.replace("_", " "))


def over_seeds(setting: str, method: str, runs: Runs) -> Leaf:
    """How far trainings of the hypernetwork differ: the same zoo and requests, other seeds."""
    first = runs.one(setting, method)
    further = [seed for seed in SEEDS if seed != training.training_seed(first.run.config)]
    trained = [first, *(runs.one(setting, method, seed) for seed in further)]
    tables = [
        (select(made.rows, (method,), "all"), select(made.rows, (method,), "selected")) for made in trained
    ]
    lines: list[dict[str, Any]] = [
        {
            "about": f"{braces(forget)}, {what}",
            **_spread([found[which][forget, metric, statistic]["value"] for found in tables]),
        }
        for forget in first.run.config.task.forget_sets
        for what, which, metric, statistic in SEEDED
    ]
    aligned = [_aligned(made.rows) for made in trained]
    for label in first.labels:
        for name, metric in (("R²", "alignment_r2"), ("Pearson", "alignment_pearson")):
            values = [means[label, method, metric] for means in aligned]
            lines.append({"about": f"class {label}, {name}, mean", **_spread(values)})
    heads = (
        "",
        "Mean",
        "Least",
        "Greatest",
        *(f"Seed {training.training_seed(made.run.config)}" for made in trained),
    )
    body = [[line["about"], *map(number, list(line.values())[1:])] for line in lines]
    words = f"{METHODS[method]}, {setting}: {len(trained)} trainings on one zoo, test images, strict.\n"
    return Leaf(
        f"Seeds of the training, {METHODS[method]}, {setting}",
        f"{words}\n{markdown(heads, 'l' + 'r' * (len(heads) - 1), body)}",
        lines,
        {},
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and ends of some values, and the values."""
    ends = {"mean": sum(values) / len(values), "least": min(values), "greatest": max(values)}
    return ends | {f"training_{number}": value for number, value in enumerate(values)}


def grids_compared(setting: str, method: str, runs: Runs) -> Leaf:
    """Prompt alignment on the shared grid, and on G.pt's."""
    made = runs.one(setting, method)
    means = _aligned([*made.rows, *alignment_grids.rows(made.run)])
    columns = [f"alignment_{name}{grid}" for grid in ("", "_gpt_grid") for name in ("r2", "pearson")]
    lines: list[dict[str, Any]] = [
        {"class": label, **{name: means[label, method, name] for name in columns}} for label in made.labels
    ]
    heads = ("Class", "R², shared grid", "Pearson, shared grid", "R², G.pt's grid", "Pearson, G.pt's grid")
    body = [[str(line["class"]), *map(number, list(line.values())[1:])] for line in lines]
    words = (
        f"{METHODS[method]}, {setting}, means over families, test images. The shared grid has the zoo's quantiles as its ends; G.pt's goes "
        f"from the loss of learned models to {alignment_grids.REACH:g} times that of the random model that a family starts from.\n"
    )
    title = f"Prompt alignment on two grids, {METHODS[method]}, {setting}"
    return Leaf(title, f"{words}\n{markdown(heads, 'rrrrr', body)}", lines, {})


def cost(setting: str, runs: Runs) -> Leaf:
    """Seconds per model and the number of models at which the hypernetwork has paid for itself."""
    lines: list[dict[str, Any]] = [
        {"method": method, **costs.of(made.run)} for method, made in runs.of(setting).items()
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
        [
            METHODS[line["method"]],
            *("–" if value is None else f"{value:.4g}" for value in list(line.values())[1:]),
        ]
        for line in lines
    ]
    words = (
        f"{setting}. Request: all candidate prompts, samples and their selection. One model: sampled alone, compiled; one retraining: a "
        "model trained alone without a forget set, compiled. A zoo that several hypernetworks share counts for each. Break-even: (zoo + "
        "training) / (one retraining - one model); a dash: never. It counts neither the prompts that a request tries nor the samples it "
        "selects from: a whole request may take longer than one retraining. A dash for the zoo: nobody timed it, and it is not counted.\n"
    )
    return Leaf(f"Cost, {setting}", f"{words}\n{markdown(heads, 'lrrrrrr', body)}", lines, {})


TARGETS: Mapping[str, Callable[[Runs], Leaf]] = {
    f"{name}-{setting}-{method}": partial(make, setting, method)
    for name, make in (
        ("subsets", every_subset),
        ("rivals", against_rivals),
        ("attacks", attackers),
        ("seeds", over_seeds),
        ("grids", grids_compared),
    )
    for setting in ("mnist4", "mnist")
    for method in ("dihyfo1", "dihyfo2")
} | {f"cost-{setting}": partial(cost, setting) for setting in ("mnist4", "mnist")}
