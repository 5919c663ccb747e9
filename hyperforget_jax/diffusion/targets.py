"""What a hypernetwork is asked for: every class loss, or one number, made from a classifier's class losses and accuracies."""

from typing import Any, TypeVar

import jax
import numpy as np

from hyperforget_jax.config import HypernetworkConfig

A = TypeVar("A", jax.Array, np.ndarray[Any, np.dtype[np.float32]])


def observe(config: HypernetworkConfig, losses: A, accuracies: A) -> A:
    """The metric of N classifiers.

    Args:
      config: which metric.
      losses: [N, K], nats, class by class on the same images.
      accuracies: [N, K].

    Returns:
      class_losses: [N, K]. one_loss, mean_loss, mean_error: [N, 1], every class weighing alike (G.pt, section A.6).
    """
    match config.metric:
        case "class_losses":
            return losses
        case "one_loss":
            return losses[:, config.metric_class : config.metric_class + 1]
        case "mean_loss":
            return losses.mean(1, keepdims=True)
        case "mean_error":
            return 1.0 - accuracies.mean(1, keepdims=True)


def width(config: HypernetworkConfig, num_classes: int) -> int:
    """Columns of the metric."""
    return num_classes if config.metric == "class_losses" else 1


def kinds(config: HypernetworkConfig, num_classes: int) -> tuple[int, ...]:
    """Columns of each kind of a condition: losses, and with exposure those of the classes' exposures and of the age."""
    return (width(config, num_classes), *((num_classes, 1) if config.exposure else ()))
