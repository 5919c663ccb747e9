"""What `experiments.bottleneck` measures: a trained bottleneck, what is left after a class is forgotten, and the heads beside it."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hyperforget_jax import classifier
from hyperforget_jax.baselines.method import answer, problem
from hyperforget_jax.baselines.scrub import Scrub
from hyperforget_jax.bottleneck import forgetting, keys, model, train
from hyperforget_jax.bottleneck.model import Bottleneck
from hyperforget_jax.config import ReferenceConfig
from hyperforget_jax.config.bottleneck import BottleneckConfig
from hyperforget_jax.data import Dataset, Split
from hyperforget_jax.runtime import flops, prng
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.zoo.train import Images

HIDDEN = 64
"""Units of the head that SCRUB unlearns."""
PENALTY = 1e-4
"""L2 penalty of the linear heads, on the mean loss."""
Row = dict[str, Any]
Floats = NDArray[np.float64]


class Trained(NamedTuple):
    """A bottleneck, and what its training took.

    Attributes:
      bottleneck: nothing is masked.
      accuracies: on training, validation and test images.
      seconds: of keys, of values.
    """

    bottleneck: Bottleneck
    accuracies: dict[str, float]
    seconds: dict[str, float]


def trained(data: Dataset, config: BottleneckConfig) -> Trained:
    """Learns keys on unlabelled training embeddings, then values."""
    key_of_keys, key_of_values = jax.random.split(prng.stream(config.seed, "bottleneck"))
    began = time.monotonic()
    codebooks = jax.block_until_ready(keys.learn(key_of_keys, jnp.asarray(data.train.images), config))
    learned = time.monotonic()
    empty = model.init(codebooks, data.num_classes)
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    images = {
        name: train.Images(model.selections(empty, jnp.asarray(part.images), config), jnp.asarray(part.labels))
        for name, part in parts.items()
    }
    bottleneck = train.fit(key_of_values, empty, images["training"], images["validation"], config).bottleneck
    seconds = {"keys": learned - began, "values": time.monotonic() - learned}
    accuracies = {name: train.accuracy(bottleneck, part, config) for name, part in images.items()}
    return Trained(bottleneck, accuracies, seconds)


def embeddings_of(part: Split, position: int) -> jax.Array:
    """Embeddings [n, D] of one class."""
    return jnp.asarray(part.images[part.labels == position])


def hits(bottleneck: Bottleneck, part: Split, config: BottleneckConfig) -> Floats:
    """Expected accuracy [N] on every image of a part."""
    logits = model.logits(bottleneck, jnp.asarray(part.images), config)
    return np.asarray(model.hits(logits, jnp.asarray(part.labels)), np.float64)


def left(bottleneck: Bottleneck, data: Dataset, position: int, config: BottleneckConfig) -> Row:
    """Accuracy on the training images to forget, on test images of their class and on those of all others."""
    own = data.train.labels == position
    asked = Split(data.train.images[own], data.train.labels[own])
    on_test, forgotten = hits(bottleneck, data.test, config), data.test.labels == position
    return {
        "forget training accuracy": float(hits(bottleneck, asked, config).mean()),
        "forget accuracy": float(on_test[forgotten].mean()),
        "retain accuracy": float(on_test[~forgotten].mean()),
    }


def by_activations(
    bottleneck: Bottleneck, data: Dataset, position: int, numbers: Sequence[int], config: BottleneckConfig
) -> list[Row]:
    """A curve over N_a: one class is forgotten by masking the pairs that its training images hit most."""
    asked = embeddings_of(data.train, position)
    return [
        {
            "pairs": number,
            "masked": (found := forgetting.activations(bottleneck, asked, config, number)).newly_masked,
            "flops": found.flops,
            **left(found.bottleneck, data, position, config),
        }
        for number in numbers
    ]


def by_examples(
    bottleneck: Bottleneck, data: Dataset, position: int, numbers: Sequence[int], config: BottleneckConfig
) -> list[Row]:
    """A curve over N_e: one class is forgotten by masking all pairs that some of its training images hit."""
    asked = embeddings_of(data.train, position)
    key = prng.stream(config.seed, f"bottleneck/examples/{position}")  # a larger N_e looks at the same images and more
    return [
        {
            "examples": number,
            "masked": (
                found := forgetting.examples(jax.random.clone(key), bottleneck, asked, config, number)
            ).newly_masked,
            "flops": found.flops,
            **left(found.bottleneck, data, position, config),
        }
        for number in numbers
    ]


def request_seconds(
    bottleneck: Bottleneck, data: Dataset, position: int, number: int, config: BottleneckConfig
) -> float:
    """Seconds of one warm request: selections of the images to forget, counts, mask and deletion."""
    asked = embeddings_of(data.train, position)

    def once() -> float:
        began = time.monotonic()
        jax.block_until_ready(forgetting.activations(bottleneck, asked, config, number).bottleneck.values)
        return time.monotonic() - began

    once()  # compiles
    return min(once() for _ in range(3))


def unmasked(bottleneck: Bottleneck, data: Dataset, position: int, number: int, config: BottleneckConfig) -> Row:
    """What somebody finds who takes the mask off after a request."""
    masked = forgetting.activations(bottleneck, embeddings_of(data.train, position), config, number).bottleneck
    return left(forgetting.unmask(masked), data, position, config)


def overlaps(bottleneck: Bottleneck, data: Dataset, config: BottleneckConfig) -> Floats:
    """How far classes share pairs: [K, K], the sum over pairs of the lesser share of hits, averaged over codebooks; 1: the same pairs."""
    pairs = bottleneck.values.shape[1]
    shares = [
        np.asarray(forgetting.counts(model.as_trained(bottleneck, embeddings_of(data.train, position), config), pairs))
        for position in range(data.num_classes)
    ]
    normed = [each / each.sum(1, keepdims=True) for each in shares]  # [C, J] each
    return np.array([[np.minimum(one, other).sum(1).mean() for other in normed] for one in normed])


def linear_head(data: Dataset, without: int | None = None) -> Row:
    """Multinomial logistic regression on the same embeddings, trained without one class or with all: the honest rival."""
    kept = np.ones(len(data.train.labels), bool) if without is None else data.train.labels != without
    head = LogisticRegression(C=1 / (PENALTY * kept.sum()), max_iter=200)
    began = time.monotonic()
    head.fit(data.train.images[kept], data.train.labels[kept])
    seconds = time.monotonic() - began
    return {"seconds": seconds, **_of_predictions(head.predict(data.test.images), data.test.labels, without)}


class Ridge(NamedTuple):
    """Statistics that a ridge regression on one-hot labels is made of; those of a class can be subtracted.

    Attributes:
      moments: [K, D + 1, D + 1], second moments of the embeddings of each class, with a constant.
      sums: [K, D + 1], their sums.
    """

    moments: Floats
    sums: Floats


def ridge_statistics(data: Dataset) -> Ridge:
    """The statistics of the training images."""
    extended = np.hstack([data.train.images, np.ones((len(data.train.images), 1))]).astype(np.float64)  # [N, D + 1]
    of_classes = [extended[data.train.labels == position] for position in range(data.num_classes)]
    return Ridge(np.stack([each.T @ each for each in of_classes]), np.stack([each.sum(0) for each in of_classes]))


def ridge_head(statistics: Ridge, data: Dataset, without: int | None = None) -> Row:
    """A ridge regression of all classes but one: exactly the head that never saw the class, by subtraction."""
    kept = [position for position in range(data.num_classes) if position != without]
    began = time.monotonic()
    total = statistics.moments.sum(0) - (0.0 if without is None else statistics.moments[without])  # [D + 1, D + 1]
    penalty = PENALTY * np.trace(total) / len(total)
    weights = np.linalg.solve(total + penalty * np.eye(len(total)), statistics.sums[kept].T)  # [D + 1, K']
    seconds = time.monotonic() - began
    scores = data.test.images @ weights[:-1] + weights[-1]  # [N, K']
    return {"seconds": seconds, **_of_predictions(np.array(kept)[scores.argmax(1)], data.test.labels, without)}


def _of_predictions(predictions: NDArray[Any], labels: NDArray[Any], without: int | None) -> Row:
    right, forgotten = predictions == labels, labels == without
    if without is None:
        return {"accuracy": float(right.mean())}
    return {"forget accuracy": float(right[forgotten].mean()), "retain accuracy": float(right[~forgotten].mean())}


def scrubbed(data: Dataset, position: int, seed: int) -> Row:
    """SCRUB with its published settings on a head of one hidden layer: its accuracies before and after, and its operations."""
    sizes = (data.input_size, HIDDEN, data.num_classes)
    images = Images(jnp.asarray(data.train.images), jnp.asarray(data.train.labels))
    key = prng.stream(seed, "bottleneck/scrub")
    reference = ReferenceConfig(seeds=1, epochs=10.0, batch_size=256, learning_rate=2e-3)
    original = jax.tree.map(lambda leaf: leaf[0], retrain(key, images, [()], sizes, reference))  # [1, …]
    asked = problem(jax.random.fold_in(key, 1), *images, (position,), data.num_classes)
    keys_of_models = jax.random.split(jax.random.fold_in(key, 2), 1)  # [1]
    began = time.monotonic()
    after = jax.block_until_ready(answer(Scrub(), original, asked, keys_of_models))
    seconds = time.monotonic() - began
    first = jax.tree.map(lambda leaf: leaf[0], original)
    row: Row = {"seconds": seconds, "flops": flops.of_products(Scrub().unlearn, first, asked, keys_of_models[0])}
    for name, models in (("before", original), ("after", after)):
        predictions = np.asarray(classifier.logits_of_many(models, jnp.asarray(data.test.images)))[0].argmax(1)
        found = _of_predictions(predictions, data.test.labels, position)
        row |= {f"{measure} {name}": value for measure, value in found.items()}
    return row
