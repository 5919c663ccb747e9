"""U-LiRA and RULI on Gaussian confidences, whose AUC theory knows, and beside scipy's densities."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gaussian_kde, norm

from hyperforget_jax.attacks.roc import area_under_curve
from hyperforget_jax.attacks.shadow import Density, log_ratios, measures, shadow_attack
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

CONFIG = replace(AttackConfig(), control_splits=5)
DENSITIES: list[Density] = ["gaussian", "kernel"]


@pytest.mark.parametrize("density", DENSITIES)
def test_a_shift_has_the_measures_of_theory(density: Density) -> None:
    rng, shift = np.random.default_rng(0), 1.0
    centres = rng.normal(0, 5, 40)  # of the examples: no threshold for all of them would do
    unlearned, out = (rng.normal(centres + each, 1.0, (200, 40)) for each in (shift, 0.0))
    found = measures(*log_ratios(unlearned, out, density), (0.01,))
    assert found["auc"] == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.02)  # 0.76
    assert found["balanced_accuracy"] == pytest.approx(norm.cdf(shift / 2), abs=0.02)  # 0.69
    assert found["tpr_at_0.01"] == pytest.approx(norm.cdf(shift + norm.ppf(0.01)), abs=0.03)  # 0.09
    assert abs(area_under_curve(unlearned, out).mean() - 0.5) < 0.1


@pytest.mark.parametrize("density", DENSITIES)
def test_a_spread_has_the_auc_of_theory(density: Density) -> None:
    rng = np.random.default_rng(0)
    unlearned, out = rng.normal(0, 3, (200, 40)), rng.normal(0, 1, (200, 40))
    auc = measures(*log_ratios(unlearned, out, density), ())["auc"]
    assert auc == pytest.approx(2 / np.pi * np.arctan(3), abs=0.02)  # P(|3 a| > |b|) = 0.80


def test_densities_are_scipys_without_the_model_that_they_score() -> None:
    rng = np.random.default_rng(0)
    unlearned, out = rng.normal(1, 2, (7, 3)), rng.normal(0, 1, (7, 3))
    by_gaussian, by_kernel = (log_ratios(unlearned, out, each) for each in DENSITIES)
    for model in range(7):
        for example in range(3):
            own, other = (np.delete(each[:, example], model) for each in (unlearned, out))
            for kind, points in enumerate((unlearned, out)):
                point = points[model, example]
                fitted = [norm(each.mean(), each.std(ddof=1)).logpdf(point) for each in (own, other)]
                assert by_gaussian[kind][model, example] == pytest.approx(fitted[0] - fitted[1])
                kernels = [gaussian_kde(each, "scott").logpdf(point)[0] for each in (own, other)]
                assert by_kernel[kind][model, example] == pytest.approx(kernels[0] - kernels[1])


@pytest.mark.parametrize("density", DENSITIES)
def test_few_shadows_of_one_distribution_are_not_told_apart(density: Density) -> None:
    rng = np.random.default_rng(0)
    unlearned, out = rng.normal(size=(5, 4000)), rng.normal(size=(5, 4000))
    found = measures(*log_ratios(unlearned, out, density), ())
    assert found["auc"] == pytest.approx(0.5, abs=0.02)
    assert found["balanced_accuracy"] == pytest.approx(0.5, abs=0.02)
    # Densities that a model's own confidence is part of tell them apart, by chance alone.
    own, other = unlearned.mean(0), out.mean(0)
    closer = [(points - other) ** 2 - (points - own) ** 2 for points in (unlearned, out)]
    assert area_under_curve(*closer).mean() > 0.6


def test_the_control_plays_the_attack_among_models_that_never_saw_the_examples() -> None:
    rng = np.random.default_rng(0)
    found = shadow_attack(rng.normal(3, 1, (20, 30)), rng.normal(0, 1, (40, 30)), "gaussian", CONFIG)
    assert set(found) == {f"ulira_{each}" for each in ("auc", "balanced_accuracy", "tpr_at_0.01", "tpr_at_0.001")}
    auc = found["ulira_auc"]
    assert len(auc.ours) == len(auc.reference) == 5
    assert auc.value == pytest.approx(norm.cdf(3 / np.sqrt(2)), abs=0.02)
    assert auc.reference.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("density", DENSITIES)
def test_shadows_of_one_distribution_are_inside_in_nine_of_ten_cases(density: Density) -> None:
    inside, values = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        unlearned, out = (rng.normal(size=(count, 40)) + rng.normal(size=(count, 1)) for count in (16, 32))
        auc = next(iter(shadow_attack(unlearned, out, density, AttackConfig()).values()))
        inside.append(auc.position == "inside")
        values.append(auc.value)
    assert np.mean(inside) > 0.84
    assert np.mean(values) == pytest.approx(0.5, abs=0.01)


def test_what_cannot_be_attacked_is_refused() -> None:
    with pytest.raises(
        HyperForgetError, match="ulira got 3 unlearned and 20 reference models, expected at least 4 and 8"
    ):
        shadow_attack(np.zeros((3, 2)), np.zeros((20, 2)), "gaussian", CONFIG)
    with pytest.raises(HyperForgetError, match="not finite"):
        shadow_attack(np.full((9, 2), np.inf), np.zeros((20, 2)), "kernel", CONFIG)
