"""What `experiments.benchmarks.zoo` and `experiments.benchmarks.hypernetwork` measure: the contenders, the machine, the clock."""
