"""Numbers that no setting can mean are refused in one line that names the field."""

from dataclasses import replace

import pytest

from hyperforget_jax.config import (
    ClassifierConfig,
    CodecConfig,
    Config,
    DataConfig,
    DiffusionConfig,
    EvaluationConfig,
    HypernetworkConfig,
    LoaderConfig,
    ReferenceConfig,
    RequestConfig,
    SamplingConfig,
    TrainingConfig,
    ZooConfig,
    validation,
)
from hyperforget_jax.errors import HyperForgetError

REFUSED = {
    "zoo.runs is 0": Config(zoo=ZooConfig(runs=0)),
    "training.learning_rate is -0.1": Config(training=TrainingConfig(learning_rate=-0.1)),
    "training.learning_rate is nan": Config(training=TrainingConfig(learning_rate=float("nan"))),
    "zoo.pivot_accuracy is 80.0": Config(zoo=ZooConfig(pivot_accuracy=80.0)),
    r"zoo.keep_rate is \[0.3, 0.1\]": Config(zoo=ZooConfig(keep_rate=(0.3, 0.1))),
    "zoo.learning_rate is 0.0": Config(zoo=ZooConfig(learning_rate=(0.0, 0.1))),
    "classifier.hidden is empty": Config(classifier=ClassifierConfig(hidden=())),
    r"classifier.hidden is 0": Config(classifier=ClassifierConfig(hidden=(3, 0))),
    "zoo.pivot_accuracy is 1.0": Config(zoo=ZooConfig(pivot_accuracy=1.0)),
    "zoo.validation_share is 0.0": Config(zoo=ZooConfig(validation_share=0.0)),
    "zoo.selection_probability is 1.5": Config(zoo=ZooConfig(selection_probability=(1.5, 0.5))),
    "zoo.loss_shift_threshold is -0.5": Config(zoo=ZooConfig(loss_shift_threshold=-0.5)),
    "zoo.loss_shift_threshold is inf": Config(zoo=ZooConfig(loss_shift_threshold=float("inf"))),
    "zoo.min_learned is -1": Config(zoo=ZooConfig(min_learned=-1)),
    "zoo.min_per_combination is -5": Config(zoo=ZooConfig(min_per_combination=-5)),
    "zoo.max_added_blocks is -1": Config(zoo=ZooConfig(max_added_blocks=-1)),
    "zoo.max_per_bin is 0": Config(zoo=ZooConfig(max_per_bin=0)),
    "zoo.max_per_combination is 0": Config(zoo=ZooConfig(max_per_combination=0)),
    r"zoo.bin_edges are \[1.0, 0.5\]": Config(zoo=ZooConfig(bin_edges=(1.0, 0.5))),
    r"zoo.bin_edges are \[0.5, 0.5, 1.0\]": Config(zoo=ZooConfig(bin_edges=(0.5, 0.5, 1.0))),
    "zoo.bin_edges is empty": Config(zoo=ZooConfig(bin_edges=())),
    "evaluation.distribution_models is 4": Config(evaluation=EvaluationConfig(distribution_models=4)),
    r"evaluation.relearning_steps are \[20, 5\]": Config(evaluation=EvaluationConfig(relearning_steps=(20, 5))),
    "evaluation.relearning_shots is empty": Config(evaluation=EvaluationConfig(relearning_shots=())),
    "zoo.memory_gib is 0.0": Config(zoo=ZooConfig(memory_gib=0.0)),
    "loader.reverse_probability is 1.5": Config(loader=LoaderConfig(reverse_probability=1.5)),
    "loader.loss_levels is 1": Config(loader=LoaderConfig(loss_levels=1)),
    "loader.threads is 0": Config(loader=LoaderConfig(threads=0)),
    "seed is -1": Config(seed=-1),
    "reference.seeds is 1": Config(reference=ReferenceConfig(seeds=1)),
    "hypernetwork.num_heads 5 do not divide hypernetwork.hidden_size 192": Config(
        hypernetwork=HypernetworkConfig(hidden_size=192, num_heads=5)
    ),
    "training.grad_accum_steps 3 does not divide training.batch_size 256": Config(
        training=TrainingConfig(batch_size=256, grad_accum_steps=3)
    ),
    "training.grad_accum_steps is 0": Config(training=TrainingConfig(grad_accum_steps=0)),
    "training.untrained is 0": Config(training=TrainingConfig(untrained=0)),
    "training.untrained_share and training.unrelated_share add up to 1.2": Config(
        training=TrainingConfig(untrained_share=0.6, unrelated_share=0.6)
    ),
    "training.untrained_share is 1.5": Config(training=TrainingConfig(untrained_share=1.5)),
    "sampling.guidance_scale is 2.0, but training never drops a whole condition": Config(
        sampling=SamplingConfig(guidance_scale=2.0)
    ),
    "sampling.eta is 1.5": Config(sampling=SamplingConfig(eta=1.5)),
    "diffusion.class_dropout is 1.5": Config(diffusion=DiffusionConfig(class_dropout=1.5)),
    "diffusion.full_dropout is 1.5": Config(diffusion=DiffusionConfig(full_dropout=1.5)),
    "diffusion.min_snr_ceiling is 0.0": Config(diffusion=DiffusionConfig(min_snr_ceiling=0.0)),
    "codec.chunk_size is 256": Config(codec=CodecConfig(kind="raw", chunk_size=256)),
    "request.num_selected is 9, request.samples 8": Config(request=RequestConfig(num_selected=9, samples=8)),
    "data.standardise is True, which lets the images of a class decide about runs that never see it": Config(
        data=DataConfig(standardise=True), zoo=ZooConfig(purgeable=True)
    ),
    "zoo.max_per_bin is 9, which lets the images of a class decide about runs that never see it": Config(
        zoo=ZooConfig(purgeable=True, max_per_bin=9)
    ),
    "zoo.min_learned is 1, which lets the images of a class decide about runs that never see it": Config(
        zoo=ZooConfig(purgeable=True, min_learned=1)
    ),
    "zoo.validation_share is 0.0001, which holds none of 32 runs out": Config(
        zoo=ZooConfig(runs=32, validation_share=1e-4)
    ),
    "zoo.validation_share is 0.99, which leaves none of 8 runs to learn from": Config(
        zoo=ZooConfig(runs=8, validation_share=0.99)
    ),
    "zoo.selection_probability is 0 from start to end and zoo.loss_shift_threshold None, so no checkpoint is kept": Config(
        zoo=ZooConfig(selection_probability=(0.0, 0.0))
    ),
    "zoo.snapshots is 1, but hypernetwork.kind dihyfo1 learns from two checkpoints of a run": Config(
        zoo=ZooConfig(snapshots=1), hypernetwork=HypernetworkConfig(kind="dihyfo1")
    ),
    "evaluation.alignment_quantiles is 1.5": Config(evaluation=EvaluationConfig(alignment_quantiles=(0.0, 1.5))),
}


@pytest.mark.parametrize(("message", "config"), REFUSED.items(), ids=list(REFUSED))
def test_a_number_without_meaning_is_refused(message: str, config: Config) -> None:
    with pytest.raises(HyperForgetError, match=f"^{message}: [^\n]+$"):
        validation.validate_config(config)


def test_the_ends_of_every_range_are_allowed() -> None:
    zoo = ZooConfig(
        runs=2,
        validation_share=0.5,
        pivot_accuracy=0.0,
        deletion_probability=0.0,
        keep_rate=(1.0, 1.0),
        selection_probability=(0.0, 1.0),
        loss_shift_threshold=0.0,
        min_learned=0,
        bin_edges=(0.5,),
        max_per_bin=1,
        max_per_combination=1,
        min_per_combination=0,
        max_added_blocks=0,
    )
    validation.validate_config(replace(Config(), seed=0, zoo=zoo, loader=LoaderConfig(loss_levels=2)))


def test_a_guided_hypernetwork_that_learned_to_do_without_a_condition_passes() -> None:
    validation.validate_config(
        Config(diffusion=DiffusionConfig(full_dropout=0.1), sampling=SamplingConfig(guidance_scale=2.0))
    )


def test_what_may_be_left_out_may_be_none() -> None:
    validation.validate_config(
        Config(zoo=ZooConfig(loss_shift_threshold=None, max_per_bin=None, max_per_combination=None, folder=None))
    )
