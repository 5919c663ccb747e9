"""Splits are disjoint, whole and the same for every choice of classes; what cannot be loaded is refused in one line."""

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import load, load_dataset
from hyperforget_jax.errors import HyperForgetError

ALL = tuple(range(10))
DIGITS = DataConfig(name="digits", dir=None, classes=ALL, validation_size=360)
PARTS = ("train", "validation", "test")


def rows(images: np.ndarray) -> list[bytes]:
    """Images as values that can be counted and compared."""
    return sorted(image.tobytes() for image in images)


def test_the_digits_splits_together_are_scikit_learns_digits():
    dataset = load(DIGITS)
    parts = [getattr(dataset, part) for part in PARTS]
    assert [len(part.labels) for part in parts] == [1797 - 449 - 360, 360, 449]
    bunch = load_digits()
    expected = (bunch.data / 16).astype(np.float32)
    assert rows(np.concatenate([part.images for part in parts])) == rows(expected)
    label_of = {image.tobytes(): label for image, label in zip(expected, bunch.target, strict=True)}
    for part in parts:
        assert [label_of[image.tobytes()] for image in part.images] == part.labels.tolist()


def test_digits_have_the_promised_types_and_range():
    dataset = load(DIGITS)
    assert (dataset.num_classes, dataset.input_size, dataset.input_shape) == (10, 64, (8, 8))
    for part in PARTS:
        split = getattr(dataset, part)
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int32
        assert split.images.shape == (len(split.labels), 64)
        assert split.images.min() == 0.0
        assert split.images.max() == 1.0


def test_two_loads_are_equal():
    first, second = load(DIGITS), load(DIGITS)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(first, part).images, getattr(second, part).images)
        np.testing.assert_array_equal(getattr(first, part).labels, getattr(second, part).labels)


@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (7, 2), (3, 9, 0)])
def test_a_choice_of_classes_is_the_whole_split_filtered_and_relabelled(classes: tuple[int, ...]):
    whole, chosen = load(DIGITS), load(dataclasses.replace(DIGITS, classes=classes))
    assert chosen.classes == classes
    for part in PARTS:
        everything, some = getattr(whole, part), getattr(chosen, part)
        member = np.isin(everything.labels, classes)
        np.testing.assert_array_equal(some.images, everything.images[member])
        assert [classes[position] for position in some.labels] == everything.labels[member].tolist()


def test_positions_are_those_of_the_classifiers_outputs():
    dataset = load(dataclasses.replace(DIGITS, classes=(7, 2, 5)))
    assert dataset.positions((2,)) == (1,)
    assert dataset.positions([5, 7]) == (2, 0)
    assert dataset.positions(()) == ()
    with pytest.raises(HyperForgetError, match=r"class 3 .*\(7, 2, 5\)"):
        dataset.positions((2, 3))


def test_without_a_class_its_training_images_are_blank_in_their_places_and_validation_has_none():
    dataset = load(dataclasses.replace(DIGITS, classes=(7, 2, 5)))
    without = dataset.without((2,))
    gone = dataset.train.labels == 1
    np.testing.assert_array_equal(without.train.labels, dataset.train.labels)
    np.testing.assert_array_equal(without.train.images[~gone], dataset.train.images[~gone])
    assert (without.train.images[gone] == 0).all()
    assert without.train.images.dtype == np.float32
    assert {*without.validation.labels.tolist()} == {0, 2}
    np.testing.assert_array_equal(without.validation.images, dataset.validation.images[dataset.validation.labels != 1])
    assert without.test is dataset.test
    with pytest.raises(HyperForgetError, match="class 3 does not take part"):
        dataset.without((3,))


@pytest.mark.parametrize(("size", "part"), [(2, "validation"), (1346, "training")])
def test_a_class_without_an_image_is_refused(size: int, part: str):
    with pytest.raises(HyperForgetError, match=f"validation_size {size} leaves no {part} image of class"):
        load(dataclasses.replace(DIGITS, validation_size=size))


@pytest.mark.parametrize(
    ("classes", "name"), [(ALL, "digits"), (ALL[::-1], "digits"), ((0, 1, 2, 3), "digits4"), ((7, 2), "digits-72")]
)
def test_a_dataset_is_called_as_people_call_it(classes: tuple[int, ...], name: str):
    assert load(dataclasses.replace(DIGITS, classes=classes)).name == name


def test_load_dataset_is_load_with_fitting_defaults():
    ours, theirs = load_dataset("digits", classes=range(4)), load(DataConfig())
    for part in PARTS:
        np.testing.assert_array_equal(getattr(ours, part).images, getattr(theirs, part).images)
    assert (ours.name, ours.classes, ours.class_names) == ("digits4", (0, 1, 2, 3), None)
    assert load_dataset().classes == ALL
    assert len(load_dataset(validation_size=100).validation.labels) == 100


def test_standardised_inputs_have_mean_0_and_variance_1_in_training_alone():
    plain, standardised = load(DIGITS), load(dataclasses.replace(DIGITS, standardise=True))
    train = plain.train.images.astype(np.float64)
    constant = train.std(0) == 0
    assert 0 < constant.sum() < 64
    scale = np.where(constant, 1, train.std(0))
    for part in PARTS:
        expected = (getattr(plain, part).images - train.mean(0)) / scale
        images = getattr(standardised, part).images
        assert images.dtype == np.float32
        np.testing.assert_allclose(images, expected, atol=1e-5)
    np.testing.assert_allclose(standardised.train.images.mean(0), 0, atol=1e-5)
    np.testing.assert_array_equal(standardised.train.images[:, constant], 0)


def test_distillation_images_come_from_train_alone_and_are_shared_with_no_other_split() -> None:
    before, after = load(DIGITS), load(dataclasses.replace(DIGITS, distillation_size=100))
    assert len(before.distillation.labels) == 0
    assert len(after.distillation.labels) == 100
    np.testing.assert_array_equal(after.validation.images, before.validation.images)
    np.testing.assert_array_equal(after.test.images, before.test.images)
    together = np.concatenate([after.train.images, after.distillation.images])
    assert sorted(map(bytes, together)) == sorted(map(bytes, before.train.images))
    gone = after.without([3]).distillation
    assert set(gone.labels.tolist()) == set(ALL) - {3}
    with pytest.raises(
        HyperForgetError, match=r"data.distillation_size 1000 is out of range: .* allows 0 to 987 images"
    ):
        load(dataclasses.replace(DIGITS, distillation_size=1000))
