"""The project's checks, said once: `nox` runs lint, test, site and wheel in the environment that holds `pip install -e '.[dev]'`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "test", "site", "wheel"]

SOURCES = ("hyperforget_jax", "experiments", "configs")
TIMED_IMPORT = """
import sys, time
start = time.perf_counter()
import hyperforget_jax
print(time.perf_counter() - start)
assert "jax" not in sys.modules, "import hyperforget_jax imports JAX"
"""


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, types and import contracts; prints the number of lines."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-logo")
    sources = [path for folder in SOURCES for path in Path(folder).rglob("*.py")]
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in sources)
    session.log(f"{lines} lines in {', '.join(SOURCES)}")


@nox.session
def test(session: nox.Session) -> None:
    """The tests but the slow ones, and which of them took longest; arguments after `--` go to pytest."""
    session.run(
        "pytest", "-n", "2", "--dist", "loadfile", "--durations", "100", "--durations-min", "5", *session.posargs
    )


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that take minutes: whole runs, and builds that are killed."""
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """10,000 mutated inputs for every format that is read; arguments after `--` go to the harness."""
    session.run("python", "-m", "tests.fuzzing", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """A run that is stopped, or whose disk fails, at every call that writes, and started again; arguments after `--` go to the harness."""
    session.run("python", "-m", "tests.crash_search", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed beside PyTorch (`pip install -e '.[bench]'`); arguments after `--` go to both benchmarks."""
    session.run("python", "-m", "experiments.benchmarks.zoo", *session.posargs)
    session.run("python", "-m", "experiments.benchmarks.hypernetwork", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Links, commands and examples of README, docs/, CONTRIBUTING and docstrings."""
    session.run("pytest", "tests/test_docs.py", "tests/test_contributing.py", "tests/test_docstrings.py")


@nox.session
def site(session: nox.Session) -> None:
    """The documentation site in build/site; a warning is an error."""
    session.run("sphinx-build", "--quiet", "--fail-on-warning", "--keep-going", "docs", "build/site")


@nox.session
def wheel(session: nox.Session) -> None:
    """Builds the wheel and uses it outside the checkout, in an environment that holds nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ".")
        session.run("python", "-m", "venv", f"{folder}/venv")
        session.env["HYPERFORGET_COMPILE_CACHE"] = f"{folder}/programs"
        with session.chdir(folder):
            (built,) = Path(folder).glob("*.whl")
            session.run("venv/bin/python", "-m", "pip", "install", "--quiet", str(built))
            session.run("venv/bin/hyperforget", "doctor")
            output(session, "hyperforget", "run", "--config", "mnist4_dihyfo2", "--help")
            seconds = seconds_of(session, "hyperforget", "unlearn", "digits4", "--forget", "2", "--out", "model")
            session.log(f"hyperforget unlearn digits4 --forget 2 --out model, nothing compiled before: {seconds:.1f} s")
            session.run("venv/bin/hyperforget", "verify", "model")
            shortest(session, "import hyperforget_jax", lambda: float(output(session, "python", "-c", TIMED_IMPORT)))
            shortest(session, "hyperforget --help", lambda: seconds_of(session, "hyperforget", "--help"))


def output(session: nox.Session, program: str, *arguments: str) -> str:
    """What a program of the wheel's environment prints."""
    return str(session.run(f"venv/bin/{program}", *arguments, silent=True))


def seconds_of(session: nox.Session, *command: str) -> float:
    """Wall time of a program of the wheel's environment."""
    start = time.perf_counter()
    output(session, *command)
    return time.perf_counter() - start


def shortest(session: nox.Session, what: str, measure: Callable[[], float]) -> None:
    """Logs the shortest of five measurements, which is the least disturbed by other programs."""
    session.log(f"{what}: {min(measure() for _ in range(5)):.2f} s")
