"""UNSIR: noise that the original takes for anything but a forgotten class is taught as that class, then the model is repaired."""

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class Unsir(Method):
    """Impairs on retained images beside error-maximising noise, then repairs on retained images.

    Attributes:
      noise_steps: steps that maximise the error of the noise.
      noise_rate: of Adam on the noise.
      noise_penalty: weight of the mean squared noise.
      impair_steps: steps with the noise.
      impair_rate: of Adam in these.
      repair_steps: steps without.
      repair_rate: of Adam in these.
      batch_size: images, and as many of noise, in a minibatch.
    """

    noise_steps: int = 40
    noise_rate: float = 0.1
    noise_penalty: float = 0.1
    impair_steps: int = 20
    impair_rate: float = 0.02
    repair_steps: int = 100
    repair_rate: float = 0.01
    batch_size: int = 256

    source = "arXiv 2111.08947"
    ranges = (Range("impair_rate", 1e-3, 0.2), Range("repair_rate", 1e-4, 3e-2))

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Noise, impair, repair."""
        first = steps.draw(problem, jnp.asarray(0), self.batch_size).forgotten
        noise = self.error_maximising(original, first, key)

        def impair(params: Params, step: steps.Step) -> jax.Array:
            return steps.cross_entropy(params, step.retained) + step.present * steps.cross_entropy(params, noise)

        def repair(params: Params, step: steps.Step) -> jax.Array:
            return steps.cross_entropy(params, step.retained)

        phases = ((impair, self.impair_rate, self.impair_steps), (repair, self.repair_rate, self.repair_steps))
        params = original
        for loss, rate, count in phases:
            params = steps.train(params, problem, loss, optax.adam(rate), count, self.batch_size)
        return params

    def error_maximising(self, original: Params, like: steps.Minibatch, key: jax.Array) -> steps.Minibatch:
        """A minibatch of noise with the labels of forgotten images, on which the original's error is as large as the penalty allows."""

        def loss(columns: jax.Array) -> jax.Array:
            losses = classifier.cross_entropy(classifier.scores(original, columns), like.labels)
            return -losses.mean() + self.noise_penalty * jnp.square(columns).mean()

        def step(_: int, state: tuple[jax.Array, optax.OptState]) -> tuple[jax.Array, optax.OptState]:
            columns, opt_state = state
            with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
                updates, opt_state = adam.update(jax.grad(loss)(columns), opt_state)
            return columns + updates, opt_state

        adam = optax.adam(self.noise_rate)
        start = jax.random.normal(key, like.columns.shape, like.columns.dtype)
        return like._replace(columns=jax.lax.fori_loop(0, self.noise_steps, step, (start, adam.init(start)))[0])
