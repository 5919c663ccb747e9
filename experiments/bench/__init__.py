"""What `experiments.bench_zoo` and `experiments.bench_hypernet` measure: the contenders, the machine, the clock."""
