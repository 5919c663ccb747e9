"""`python -m hyperforget_jax VERB` is `hyperforget VERB`."""

from hyperforget_jax.cli.main import program

if __name__ == "__main__":
    program()
