"""From images to a hypernetwork. Each stage is a function of (config, inputs), leaves an artefact, and reuses a finished one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.run import Run, on_device
from hyperforget_jax import keys, records
from hyperforget_jax.diffusion import conditioning, dit, store, trainer
from hyperforget_jax.diffusion.generator import Hypernetwork
from hyperforget_jax.progress import track
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.layout import unflatten
from hyperforget_jax.workdir import identity
from hyperforget_jax.zoo import build
from hyperforget_jax.zoo import store as zoo_store
from hyperforget_jax.zoo.store import Zoo


def make_zoo(run: Run) -> Zoo:
    """Trains the zoo, or the blocks of it that are missing."""
    config, folder = run.config.zoo, run.folder / "zoo"
    blocks = build.num_blocks(config)
    if all(zoo_store.is_stored(folder, block) for block in range(blocks)):
        run.console.print(f"zoo: reused from {folder}")
    else:
        data = on_device(run.dataset.train), on_device(run.dataset.validation)
        with run.timed("zoo", resumes=True), track(run.console, "zoo", config.runs, "runs") as advance:
            build.build(
                folder,
                config,
                keys.stream(run.config.seed, "zoo"),
                data,
                run.sizes,
                run.dataset.positions(run.config.task.pivots),
                identity(run.config),
                advance,
            )
    zoo = zoo_store.read(folder, blocks)
    counts = coverage(run, zoo)
    rarest = min(counts, key=counts.__getitem__)
    run.console.print(
        f"zoo: {len(zoo)} checkpoints of {config.runs} runs; {len(counts)} combinations of high and low losses, "
        f"the rarest ({rarest}) has {counts[rarest]}"
    )
    return zoo


def coverage(run: Run, zoo: Zoo) -> dict[str, int]:
    """Checkpoints for every high/low combination of the forgettable classes."""
    labels = [run.dataset.classes[position] for position in run.forgettable]
    counts = np.bincount(prompts.combination(zoo.accuracies, run.forgettable), minlength=2 ** len(labels))
    names = (
        ", ".join(f"{label} {'high' if code >> bit & 1 else 'low'}" for bit, label in enumerate(labels))
        for code in range(len(counts))
    )
    return dict(zip(names, counts.tolist(), strict=True))


def train_hypernetwork(run: Run, known: Zoo, held_out: Zoo) -> Hypernetwork:
    """Fits the codec and trains the transformer on the zoo's training part; the held-out runs watch."""
    config, folder = run.config, run.folder / "hypernetwork"
    if run.reuses("hypernetwork", folder):
        return store.load(folder, config.hypernetwork, config.diffusion)
    with run.timed("hypernetwork", resumes=True):
        from_vectors = jax.jit(jax.vmap(partial(unflatten, sizes=run.sizes)))
        coder = codec.fit(config.codec, run.sizes, from_vectors(known.weights), run.dataset.train.images)
        condition = conditioning.fit(known.losses, config.hypernetwork.loss_floor)
        encode = jax.jit(jax.vmap(lambda vector: coder.encode(unflatten(vector, run.sizes))))
        training, validation = (
            trainer.examples(
                np.asarray(encode(part.weights)),
                conditioning.standardise(condition, jnp.asarray(part.losses)),
                prompts.balanced(prompts.combination(part.accuracies, run.forgettable)),
            )
            for part in (known, held_out)
        )
        transformer = dit.make(config.hypernetwork, coder.layout, run.sizes[-1])
        workplace = run.folder / "training"
        with records.writing_errors(workplace):
            workplace.mkdir(exist_ok=True)
        with track(run.console, "hypernetwork", config.training.steps, "steps") as advance:
            params = trainer.train(
                workplace,
                keys.stream(config.seed, "hypernetwork"),
                transformer,
                coder.layout,
                coder.augment,
                training,
                validation,
                config.training,
                config.diffusion,
                advance,
            )
        hypernetwork = Hypernetwork(params, transformer, coder, condition, config.diffusion)
        with records.new_artefact(folder, identity(config)) as place:
            store.save(hypernetwork, place)
    return hypernetwork
