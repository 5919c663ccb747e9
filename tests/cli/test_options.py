"""A verb's own options come out of its command line."""

from hyperforget_jax.cli.options import command_line, pop_options


def test_an_experiments_own_options_come_out_and_the_others_stay_in_order() -> None:
    line = ["--seed", "3", "--shard=1/2", "--config", "my own", "--conf", "x", "--cluster"]
    given, others = pop_options(line, "config", "model", "shard", "cluster")
    assert list(given.items()) == [("config", "my own"), ("shard", "1/2"), ("cluster", "")]
    assert others == ["--seed", "3", "--conf", "x"]
    assert command_line("hyperforget zoo", given) == "hyperforget zoo --config 'my own' --shard 1/2 --cluster ''"
