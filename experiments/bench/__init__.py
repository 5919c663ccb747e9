"""What `experiments.bench_zoo` measures: the contenders, the machine, the clock."""
