"""The zoo of a run: made, completed or reused, opened, split and counted."""

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import zoo_identity, zoo_path
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime import prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.zoo import build, coverage, storage, train
from hyperforget_jax.zoo.recipe import Recipe
from hyperforget_jax.zoo.storage import Zoo


def make_zoo(run: Run) -> Zoo:
    """Trains the zoo, or the blocks of it that are missing, and opens it."""
    folder = zoo_path(run.config)
    if storage.read_summary(folder) is not None:
        run.console.print(f"zoo: reused from {folder}")
    else:
        build_zoo(run, (0, 1))
    return storage.read(folder, zoo_identity(run.config))


def split_zoo(run: Run) -> tuple[Zoo, Zoo]:
    """The zoo, made if it is missing, as (train_zoo, val_zoo): what hypernetworks learn from, and runs held out."""
    return make_zoo(run).split(run.config.zoo.runs, run.config.zoo.validation_share)


def zoo_recipe(run: Run) -> Recipe:
    """What decides the run's zoo."""
    return Recipe(
        run.config.zoo,
        prng.stream(run.config.seed, "zoo"),
        *(train.all_pixels if run.config.zoo.purgeable else train.varying)(on_device(run.dataset.train)),
        on_device(run.dataset.validation),
        run.sizes,
        run.dataset.positions(run.config.task.pivots),
        tuple(run.dataset.positions(forget) for forget in run.config.zoo.held_out_sets),
        zoo_identity(run.config),
    )


def build_zoo(run: Run, shard: tuple[int, int]) -> bool:
    """Trains the missing blocks of one shard (i, n); returns whether the zoo is complete.

    Raises:
      HyperForgetError: classes are purged, and runs that saw them may not come back.
    """
    if run.config.task.purged:
        raise HyperForgetError(
            f"{zoo_path(run.config)} holds no complete zoo, and one without the classes {braces(run.config.task.purged)} is never trained: "
            "restore it, or leave task.purged to `hyperforget purge`"
        )
    recipe = zoo_recipe(run)
    total = sum(len(recipe.drawn_runs(number)) for number in range(recipe.num_blocks)[shard[0] :: shard[1]])
    with run.timed("zoo", resumes=True), track(run.console, "zoo", total, "runs") as advance:
        return build.build(zoo_path(run.config), recipe, shard, advance, lambda line: run.console.print(f"zoo: {line}"))


def combination_counts(run: Run, zoo: Zoo) -> dict[str, int]:
    """Checkpoints for every high/low combination of the forgettable classes."""
    labels = [run.dataset.classes[position] for position in run.forgettable]
    counts = coverage.counts(coverage.combination(zoo.accuracies, run.forgettable), len(labels))
    return {coverage.name(code, labels): int(count) for code, count in enumerate(counts)}
