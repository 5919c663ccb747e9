"""Unlearned models beside reference models: values of every model, and the frame."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from hyperforget_jax.classifier import Params, logits_of_many
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.comparison import against_reference, compare, measure
from hyperforget_jax.metrics.membership import entropy, membership_inference
from hyperforget_jax.metrics.results import REFERENCE
from hyperforget_jax.zoo.train import Images

CLASSES = (1, 5, 8)
IMAGES = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)  # two images of each class
SPLIT = Images(jnp.asarray(IMAGES), jnp.asarray([0, 0, 1, 1, 2, 2]))


def answering(*answers: tuple[int, int, int]) -> Params:
    """Models of one layer; each gives the images of class k the class that its k-th number names."""
    weights = [[[4.0 * (answer[k] == row) for k in range(3)] for row in range(3)] for answer in answers]
    return ({"w": jnp.asarray(weights, jnp.float32), "b": jnp.zeros((len(answers), 3), jnp.float32)},)


UNLEARNED = answering((0, 1, 0), (0, 1, 1), (0, 0, 2))
RETRAINED = answering((0, 1, 0), (0, 1, 0), (0, 1, 1))


def value(frame: pd.DataFrame, metric: str, method: str = "unlearned", **others: object) -> float:
    """The value of the one row with these fields; the mean of all samples unless they say otherwise."""
    fields = {"method": method, "metric": metric, "statistic": "mean"}
    selection = {"selection": "all"} if method == "unlearned" else {}
    for name, wanted in (fields | selection | others).items():
        frame = frame[(frame[name] == wanted).fillna(False)]
    return float(frame["value"].item())


def test_every_metric_by_hand() -> None:
    frame = compare(UNLEARNED, [0, 1], RETRAINED, SPLIT, (2,), SPLIT, classes=CLASSES)
    assert set(frame["forget_set"]) == {(8,)}
    assert value(frame, "retain_accuracy") == pytest.approx((1 + 1 + 0.5) / 3)
    assert value(frame, "forget_accuracy") == pytest.approx(1 / 3)
    assert value(frame, "retain_accuracy", selection="selected") == 1.0
    assert value(frame, "forget_accuracy", REFERENCE) == 0.0
    assert value(frame, "overlap_forget") == pytest.approx(1 / 3)  # medians over the reference: 1, 0, 0
    assert value(frame, "overlap_forget", REFERENCE) == pytest.approx((0.5 + 0.5 + 0.0) / 3)  # without themselves
    assert value(frame, "class_accuracy", **{"class": 8}) == pytest.approx(1 / 3)
    right, wrong = np.log(1 + 2 * np.exp(-4.0)), np.log(2 + np.exp(4.0))
    assert value(frame, "class_loss", **{"class": 5}) == pytest.approx((2 * right + wrong) / 3, rel=1e-6)
    assert value(frame, "phi_jsd", statistic="q95") == pytest.approx(1.0, rel=0.05)


def test_metrics_without_training_images_are_the_same_but_for_membership() -> None:
    with_train = compare(UNLEARNED, [0], RETRAINED, SPLIT, (2,), SPLIT, seed=3)
    without = compare(UNLEARNED, [0], RETRAINED, SPLIT, (2,), seed=3)
    others = with_train[with_train["metric"] != "mia"].reset_index(drop=True)
    pd.testing.assert_frame_equal(without, others)


def test_membership_is_that_of_the_entropies() -> None:
    train = Images(SPLIT.images[1:] * 1.5, SPLIT.labels[1:])
    entropies, on_train = (entropy(jax.nn.softmax(logits_of_many(UNLEARNED, each.images))) for each in (SPLIT, train))
    expected = membership_inference(on_train[:, :3], entropies, on_train[:, 3:])
    measured = measure(UNLEARNED, [0], RETRAINED, SPLIT, (2,), train)
    np.testing.assert_array_equal(measured.metrics["mia"], expected)


def test_values_below_inside_and_above_the_range_of_the_reference_models() -> None:
    frame = compare(UNLEARNED, [2], RETRAINED, SPLIT, (2,))
    column = frame.set_index(["selection", "metric", "statistic"])["against_reference"]
    assert column["all", "retain_accuracy", "median"] == "inside"
    assert column["selected", "retain_accuracy", "value"] == "below"
    assert column["selected", "forget_accuracy", "value"] == "above"
    assert frame.loc[frame["method"] == REFERENCE, "against_reference"].isna().all()
    assert frame.loc[frame["statistic"].isin(["q05", "q95"]), "against_reference"].isna().all()


def test_a_value_on_an_end_as_printed_is_inside() -> None:
    common = {"forget_set": [(2,)] * 4, "metric": ["mia"] * 4, "class": pd.array([None] * 4, "Int64")}
    of_methods = {"method": ["dihyfo2", "dihyfo2", REFERENCE, REFERENCE]}
    values = {"statistic": ["mean", "median", "q05", "q95"], "value": [0.50004, 0.2999, 0.3, 0.5]}
    frame = pd.DataFrame(common | of_methods | values)
    assert against_reference(frame).tolist()[:2] == ["inside", "below"]


def test_one_reference_model_is_refused() -> None:
    one = jax.tree.map(lambda leaf: leaf[:1], RETRAINED)
    with pytest.raises(HyperForgetError, match="1 reference models, expected at least 2"):
        compare(UNLEARNED, [0], one, SPLIT, (2,))
