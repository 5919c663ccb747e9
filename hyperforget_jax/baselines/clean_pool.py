"""Methods that answer from a pool of clean runs, which never saw the forget set: retrieval, soup, and matching of their outputs."""

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.baselines.retrain import Retrain, from_scratch, sizes_of
from hyperforget_jax.classifier import Params

JUDGED = 2048
"""Retained images that a pool is judged on."""


@settings
class Retrieval(Method):
    """The run of a pool with the highest accuracy on retained training images.

    Attributes:
      models: runs in the pool; 1: that run, which is retraining.
      epochs: passes of a run.
      batch_size: images in a minibatch.
      learning_rate: of Adam.
    """

    models: int = 8
    epochs: int = 25
    batch_size: int = 256
    learning_rate: float = 4e-3

    source = "a stored model in place of a new one; methods of this repository"
    exact = True
    ranges = (Range("learning_rate", 1e-3, 2e-2),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """The best run; all have initialisations of their own."""
        recipe = Retrain(self.epochs, self.batch_size, self.learning_rate)
        starts = [classifier.init(each, sizes_of(original)) for each in jax.random.split(key, self.models)]
        pool = jax.vmap(lambda start: from_scratch(start, problem, recipe))(stacked(starts))
        judged = steps.draw(problem, jnp.asarray(-1), JUDGED).retained
        losses = jax.vmap(steps.cross_entropy, in_axes=(0, None))(pool, judged)
        hits = jax.vmap(accuracy, in_axes=(0, None))(pool, judged)
        best = jnp.lexsort((losses, -hits))[0]  # of equal accuracies the lower loss
        return jax.tree.map(lambda leaf: leaf[best], pool)


@settings
class Soup(Method):
    """The mean of clean runs from one initialisation, each with minibatches of its own.

    Attributes:
      models: runs that are averaged; 1: that run.
      epochs: passes of a run.
      batch_size: images in a minibatch.
      learning_rate: of Adam.
    """

    models: int = 4
    epochs: int = 25
    batch_size: int = 256
    learning_rate: float = 4e-3

    source = "arXiv 2203.05482, of runs that match the request"
    exact = True
    ranges = (Range("learning_rate", 1e-3, 2e-2),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """The mean; runs of one initialisation need no matching of their units."""
        pool = runs(classifier.init(key, sizes_of(original)), problem, self.models, self)
        return jax.tree.map(lambda leaf: leaf.mean(0), pool)


@settings
class DatamodelMatching(Method):
    """Fine-tunes the original until its logits are the mean ones of clean runs, on images of both sets.

    Attributes:
      models: clean runs behind the targets.
      epochs: passes, of runs and of the fine-tuning.
      batch_size: images of either kind in a minibatch.
      run_rate: of Adam in the runs.
      learning_rate: of Adam in the fine-tuning.
    """

    models: int = 8
    epochs: int = 10
    batch_size: int = 256
    run_rate: float = 4e-3
    learning_rate: float = 1e-3

    source = "arXiv 2410.23232"
    reconstructed = True
    ranges = (Range("learning_rate", 1e-4, 3e-2),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of Adam on squared differences of centred logits, in units of their variance."""
        recipe = Retrieval(self.models, self.epochs, self.batch_size, self.run_rate)
        pool = runs(classifier.init(key, sizes_of(original)), problem, self.models, recipe)

        def loss(params: Params, step: steps.Step) -> jax.Array:
            def apart(batch: steps.Minibatch) -> jax.Array:
                targets = jax.vmap(classifier.scores, in_axes=(0, None))(pool, batch.columns).mean(0)  # [K, B]
                found, wanted = (
                    each - each.mean(0)[None] for each in (classifier.scores(params, batch.columns), targets)
                )
                return jnp.square(found - wanted).mean() / jnp.maximum(jnp.square(wanted).mean(), 1e-6)

            return apart(step.retained) + step.present * apart(step.forgotten)

        count = steps.num_steps(problem, self.epochs, self.batch_size)
        return steps.train(original, problem, loss, optax.adam(self.learning_rate), count, self.batch_size)


def runs(start: Params, problem: Problem, count: int, recipe: Retrieval | Soup) -> Params:
    """Clean runs [count, …] from one start; run i draws its minibatches from fold_in(draws, i)."""
    plain = Retrain(recipe.epochs, recipe.batch_size, recipe.learning_rate)

    def run(number: jax.Array) -> Params:
        draws = jax.random.fold_in(problem.draws, number)
        return from_scratch(start, problem._replace(draws=draws), plain)

    return jax.lax.map(run, jnp.arange(count))


def accuracy(params: Params, batch: steps.Minibatch) -> jax.Array:
    """Share of a minibatch that a model gets right."""
    return (classifier.scores(params, batch.columns).argmax(0) == batch.labels).mean(dtype=jnp.float32)


def stacked(models: list[Params]) -> Params:
    """Models as one, leaves [N, …]."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
