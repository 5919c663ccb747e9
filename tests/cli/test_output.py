"""Text from people is never markup, what cannot be encoded is written plainly, and a lost reader or an early Ctrl-C is one line."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import hyperforget_jax as hf
from configs import smoke_dihyfo2
from hyperforget_jax.cli import main as command
from hyperforget_jax.cli import output
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.report import console
from hyperforget_jax.runtime.progress import track

ROOT = Path(__file__).parents[2]
MARKUP = "a[/b] [red]c :smile: {d}"


@pytest.mark.parametrize("terminal", [False, True])
def test_no_text_of_people_is_markup(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: a workdir named a[/b] stopped the run at its last line."""
    paper = console.make_console()
    paper.file, paper._force_terminal = io.StringIO(), terminal
    paper.print(f"results: {MARKUP}")
    paper.print(console.listing([{MARKUP: MARKUP}]))
    paper.print(console.table(pd.DataFrame({"x": [MARKUP]}), title=MARKUP, caption=MARKUP))
    with track(paper, MARKUP.replace("{d}", ""), 2, "runs") as advance:
        advance(2)
    assert paper.file.getvalue().count("a[/b]") >= 5


def test_verdicts_are_coloured_without_markup() -> None:
    texts = pd.DataFrame({"Forget": ["{2}"], "Metric": ["x"], "Verdict": ["inside 5–95%"]})
    paper = console.make_console()
    paper.file = io.StringIO()
    paper.print(console._by_forget_set(texts))
    assert "inside 5–95%" in paper.file.getvalue()
    assert "[" not in paper.file.getvalue()


def test_every_console_is_made_in_one_place() -> None:
    made = [path for part in ("hyperforget_jax", "experiments") for path in (ROOT / part).rglob("*.py")]
    assert [path.name for path in made if " Console(" in path.read_text(encoding="utf-8")] == ["console.py"]


def test_what_an_encoding_lacks_is_written_plainly(tmp_path: Path) -> None:
    """The fault: UnicodeEncodeError on the first line of progress."""
    output.set_up()  # of this process: pytest's own streams stay
    for encoding in ("ascii", "latin-1", "utf-8"):
        with (tmp_path / encoding).open("w", encoding=encoding) as file:
            stream = output.patient(file, announce=True)
            stream.write("32 runs · 5–95% · R² · φ × é \udce9 😀\n")
            stream.flush()
    assert (tmp_path / "ascii").read_text() == "32 runs - 5-95% - R^2 - phi x \\xe9 \\udce9 \\U0001f600\n"
    assert (tmp_path / "utf-8").read_text(encoding="utf-8") == "32 runs · 5–95% · R² · φ × é \\udce9 😀\n"
    assert "R²" in (tmp_path / "latin-1").read_text(encoding="latin-1")


def test_the_help_can_be_read_where_ascii_is_all_there_is() -> None:
    line = [sys.executable, "-m", "hyperforget_jax", "run", "--help"]
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    answer = subprocess.run(line, cwd=ROOT, env=os.environ | ascii_only, capture_output=True, timeout=60)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.isascii()


LINES = """
import sys
from hyperforget_jax.cli import main, output
class Verb:
    def main(words):
        for number in range(20000):
            print(number)
        print("done", file=sys.stderr)
        return 0
main.importlib.import_module = lambda name: Verb
sys.argv = ["hyperforget", "doctor"]
main.huge_pages.enable = lambda: None
main.program()
"""


def test_a_reader_that_goes_does_not_end_the_work() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LINES], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.stderr.read() == f"{output.GOING_ON}\ndone\n"
    assert process.wait(60) == 0


IMPORTING = """
import os, signal, sys, time
from hyperforget_jax.cli import main
def slow(name):
    print("importing", flush=True)
    time.sleep(60)
main.importlib.import_module = slow
sys.argv = ["hyperforget", "doctor"]
main.huge_pages.enable = lambda: None
main.program()
"""


def test_ctrl_c_while_libraries_are_imported_is_one_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "stopped: run the same command again to go on from here\n")


BAD_PATHS = {
    "~nosuchuser/run": "there is no such home folder",
    "/tmp/caf\udce9": r"/tmp/caf\udce9, which has a byte that is no UTF-8",
    "/tmp/a\nb": r"/tmp/a\nb, which has a character that cannot be printed",
    "/tmp/a\0b": r"/tmp/a\x00b, which has a character that cannot be printed",
    "LOOP/run": "whose links lead in a circle",
}


@pytest.mark.parametrize("bad", BAD_PATHS)
@pytest.mark.parametrize("option", ["--workdir", "--zoo.folder", "--data.dir", "--data.file"])
def test_a_path_that_no_library_could_take_is_refused_before_any_work(
    bad: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    config = replace(smoke_dihyfo2.get_config(), workdir=str(tmp_path / "run"))
    name = {"--data.dir": "mnist", "--data.file": "arrays"}.get(option, "digits")

    def job(_: Any) -> None:
        pytest.fail("work has begun")

    words = [option, bad.replace("LOOP", str(tmp_path / "loop")), "--data.name", name]
    assert run_job("hyperforget run", config, job, words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {option[2:]} is ")
    assert BAD_PATHS[bad] in line
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize("verb", ["unlearn", "evaluate", "report", "purge"])
def test_a_run_that_no_library_could_take_is_refused_too(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    forget = ["--forget", "2"] if verb in ("unlearn", "purge") else []
    assert command.main([verb, "~nosuchuser/run", *forget]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: RUN is ~nosuchuser/run, and there is no such home folder: write the path out"


CALLS: list[Callable[[str], Any]] = [hf.HyperForget.from_pretrained, hf.Zoo.load]


@pytest.mark.parametrize("call", CALLS)
def test_the_interface_refuses_such_paths_as_well(call: Callable[[str], Any]) -> None:
    with pytest.raises(HyperForgetError, match="no such home folder"):
        call("~nosuchuser/run")
