"""What is called retrained has learned, and no artifact has a number that is not finite."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import reference, workdir
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.finite import validate_finite
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("programs")


def begin(folder: Path, learning_rate: float) -> Run:
    config = tiny(folder)
    config = replace(config, reference=replace(config.reference, learning_rate=learning_rate))
    workdir.acquire_workdir(config)
    return on_paper(config)


def test_models_that_learned_are_kept(tmp_path: Path) -> None:
    reference.reference_models(begin(tmp_path, 1e-2))
    artifacts.verify(tmp_path / "reference")


def test_models_that_learned_nothing_are_no_reference(tmp_path: Path) -> None:
    """The fault: with 0 epochs, or a step size near 0, untrained models were compared as retrained."""
    with pytest.raises(HyperForgetError) as refusal:
        reference.reference_models(begin(tmp_path, 1e-30))
    assert str(refusal.value).startswith("models retrained without {2} have an accuracy of 0.")
    assert "chance is 0.333: raise reference.epochs, or change reference.learning_rate" in str(refusal.value)
    assert not (tmp_path / "reference").exists()


def test_models_with_a_number_that_is_not_finite_are_no_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault: a learning rate of 1e30 left NaN models as a complete artifact."""
    run = begin(tmp_path, 1e-2)
    retrain = reference.retrain

    def spoilt(*arguments: object) -> object:
        first, last = retrain(*arguments)  # type: ignore[arg-type]
        return first, {**last, "b": last["b"].at[0, 1, 0].set(jnp.nan)}

    monkeypatch.setattr(reference, "retrain", spoilt)
    with pytest.raises(
        HyperForgetError, match=r"^reference models have numbers that are not finite: lower reference\."
    ):
        reference.reference_models(run)
    assert not (tmp_path / "reference").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, jnp.bfloat16, np.float16])
def test_one_number_of_many_is_found(value: float, kind: type) -> None:
    arrays = {"w": np.zeros((3, 4), kind), "steps": np.array(3)}
    validate_finite("models", arrays, "lower it")
    arrays["w"][2, 1] = value
    with pytest.raises(HyperForgetError, match=r"^models have numbers that are not finite: lower it$"):
        validate_finite("models", arrays, "lower it")
