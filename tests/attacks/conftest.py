"""Models of the two problems, trained once."""

from typing import NamedTuple

import pytest

from hyperforget_jax.attacks.result import Images
from hyperforget_jax.classifier import Params
from tests.attacks import problems


class Problem(NamedTuple):
    """Models that know the class FORGET, reference models that never saw it, and further ones like these."""

    known: Params
    reference: Params
    never_seen: Params
    train: Images
    test: Images


@pytest.fixture(scope="session")
def clustered() -> Problem:
    train, test = problems.clusters(0, 150), problems.clusters(1, 150)
    known, never_seen = problems.known_and_never_seen(train, (40, 4, 4), 150, 12, 48)
    reference, further = problems.take(never_seen, slice(0, 32)), problems.take(never_seen, slice(32, 48))
    return Problem(known, reference, further, train, test)


@pytest.fixture(scope="session")
def memorised() -> Problem:
    train, test = problems.noise(0, 64), problems.noise(1, 256)
    known, never_seen = problems.known_and_never_seen(train, (64, 32, 4), 100, 16, 48)
    reference, further = problems.take(never_seen, slice(0, 32)), problems.take(never_seen, slice(32, 48))
    return Problem(known, reference, further, train, test)
