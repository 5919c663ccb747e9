"""What a hypernetwork is asked for, by hand, in numpy and in JAX."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import digits4_dihyfo2
from hyperforget_jax.config import Config, HypernetworkConfig, validation
from hyperforget_jax.diffusion import targets
from hyperforget_jax.errors import HyperForgetError

LOSSES = np.array([[0.5, 1.5, 4.0], [0.0, 0.25, 0.5]], np.float32)
ACCURACIES = np.array([[0.75, 0.5, 0.25], [1.0, 1.0, 0.25]], np.float32)
BY_HAND: dict[str, list[list[float]]] = {
    "class_losses": [[0.5, 1.5, 4.0], [0.0, 0.25, 0.5]],
    "one_loss": [[4.0], [0.5]],
    "mean_loss": [[2.0], [0.25]],
    "mean_error": [[0.5], [0.25]],
}
SETTINGS = {
    "class_losses": HypernetworkConfig(metric="class_losses"),
    "one_loss": HypernetworkConfig(metric="one_loss", metric_class=2),
    "mean_loss": HypernetworkConfig(metric="mean_loss"),
    "mean_error": HypernetworkConfig(metric="mean_error"),
}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_the_metric_by_hand(name: str, kind: Any) -> None:
    found = targets.observe(SETTINGS[name], kind(LOSSES), kind(ACCURACIES))
    assert type(found) is type(kind(LOSSES))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, BY_HAND[name])


@pytest.mark.parametrize("name", BY_HAND)
def test_its_columns_are_counted(name: str) -> None:
    assert targets.width(SETTINGS[name], 3) == len(BY_HAND[name][0])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_loss_is_that_of_its_class(place: int) -> None:
    config = HypernetworkConfig(metric="one_loss", metric_class=place)
    np.testing.assert_array_equal(targets.observe(config, LOSSES, ACCURACIES), LOSSES[:, place : place + 1])


@pytest.mark.parametrize("name", BY_HAND)
def test_it_compiles(name: str) -> None:
    """The same inside a compiled program, within rounding."""
    compiled = jax.jit(lambda losses, accuracies: targets.observe(SETTINGS[name], losses, accuracies))
    np.testing.assert_allclose(compiled(LOSSES, ACCURACIES), BY_HAND[name], rtol=1e-6)


def asking(hypernetwork: HypernetworkConfig) -> Config:
    """The quickstart of four classes, asked for something else."""
    return replace(digits4_dihyfo2.get_config(), hypernetwork=hypernetwork)


def test_a_class_that_is_not_there_is_refused_where_it_counts() -> None:
    outside = HypernetworkConfig(metric="one_loss", metric_class=4)
    with pytest.raises(HyperForgetError, match="metric_class is 4: choose an output position below 4"):
        validation.validate_config(asking(outside))
    validation.validate_config(asking(replace(outside, metric_class=3)))
    validation.validate_config(asking(replace(outside, metric="mean_loss")))
