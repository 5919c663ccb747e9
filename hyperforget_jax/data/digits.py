"""scikit-learn's embedded digits: 1,797 images of 8x8 pixels, for quick starts and tests without a download."""

import numpy as np

from hyperforget_jax.data.source import Info, Labelled, Source, hold_out

TEST_SIZE = 449
"""Images held out as the test set: a quarter of the 1,797, which come without an official split."""
INFO = Info(labels=tuple(range(10)), num_train=1348, input_shape=(8, 8))


def read() -> Source:
    """Reads the digits; the test set is the same in every run.

    Returns:
      1,348 training and 449 test images; pixels from 0 to 16.
    """
    from sklearn.datasets import load_digits  # takes a second, which other data need not wait for

    bunch = load_digits()
    pixels = bunch.images.astype(np.uint8)  # [1797, 8, 8]
    labels = bunch.target.astype(np.int32)  # [1797]
    train, test = hold_out(len(labels), TEST_SIZE)
    return Source(Labelled(pixels[train], labels[train]), Labelled(pixels[test], labels[test]), white=16)
