"""The paper's DiHyFo-2 on MNIST: that of mnist4_paper_dihyfo2 on a zoo of 46,000 runs, 784-7-10, forgettable {0, ..., 4}.

`hyperforget run --config mnist_paper_dihyfo2 --data.dir DIR` (DiHyFo-1: `--hypernetwork.kind dihyfo1`)

About 3.7 million checkpoints, 82 GB on disk, and the transformer of mnist4_paper_dihyfo2: 373 million parameters with this
classifier's tokens. It needs a GPU and has not been trained.
"""

from dataclasses import replace

from hyperforget_jax.config import Config

from . import mnist4_paper_dihyfo2, mnist_zoo


def get_config() -> Config:
    """The paper's hypernetwork on a zoo of its second one's size."""
    paper, zoo = mnist4_paper_dihyfo2.get_config(), mnist_zoo.get_config()
    return replace(
        zoo,
        workdir="runs/mnist_paper_dihyfo2",
        zoo=replace(zoo.zoo, runs=46_080),
        loader=paper.loader,
        codec=paper.codec,
        hypernetwork=paper.hypernetwork,
        diffusion=paper.diffusion,
        training=paper.training,
        sampling=paper.sampling,
    )
