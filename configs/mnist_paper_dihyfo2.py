"""The paper's DiHyFo-2 on MNIST: that of paper_mnist4 on a zoo of 46,000 runs, 784-7-10, forgettable {0, ..., 4}.

`hyperforget run --config paper_mnist --data.dir DIR` (DiHyFo-1: `--hypernetwork.kind dihyfo1`)

About 3.7 million checkpoints, 82 GB on disk, and the transformer of paper_mnist4: 373 million parameters with
this classifier's tokens. Not trained here.
"""

from dataclasses import replace

from configs import mnist4_paper_dihyfo2 as paper_mnist4
from configs import mnist_zoo
from hyperforget_jax.config import Config


def get_config() -> Config:
    """The paper's hypernetwork on a zoo of its second one's size."""
    paper, zoo = paper_mnist4.get_config(), mnist_zoo.get_config()
    return replace(
        zoo,
        workdir="runs/paper_mnist",
        zoo=replace(zoo.zoo, runs=46_080),
        loader=paper.loader,
        codec=paper.codec,
        hypernetwork=paper.hypernetwork,
        diffusion=paper.diffusion,
        training=paper.training,
        sampling=paper.sampling,
    )
