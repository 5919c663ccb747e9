"""A command asks for huge pages once, and only where that changes something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyperforget_jax.cli import huge_pages


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stands for the kernel's file, of a Linux with glibc that gives huge pages to who asks."""
    place = tmp_path / "enabled"
    place.write_text("always [madvise] never\n")
    monkeypatch.setattr(huge_pages, "KERNEL", place)
    monkeypatch.setattr(huge_pages.platform, "libc_ver", lambda: ("glibc", "2.36"))
    return place


def test_they_are_asked_for_beside_other_tunables(kernel: Path) -> None:
    assert huge_pages.environment_with_huge_pages({"A": "b"}) == {"A": "b", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    both = huge_pages.environment_with_huge_pages({"GLIBC_TUNABLES": "glibc.malloc.check=1"})
    assert both == {"GLIBC_TUNABLES": "glibc.malloc.check=1:glibc.malloc.hugetlb=1"}


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_who_has_chosen_keeps_the_choice(kernel: Path, chosen: int) -> None:
    assert huge_pages.environment_with_huge_pages({"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={chosen}"}) is None


@pytest.mark.parametrize("mode", ["[always] madvise never", "always madvise [never]"])
def test_a_kernel_that_gives_them_to_all_or_none_is_not_asked(kernel: Path, mode: str) -> None:
    kernel.write_text(mode)
    assert huge_pages.environment_with_huge_pages({}) is None


def test_other_systems_are_left_alone(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge_pages.platform, "libc_ver", lambda: ("", ""))
    assert huge_pages.environment_with_huge_pages({}) is None
    monkeypatch.undo()
    monkeypatch.setattr(huge_pages, "KERNEL", kernel.parent / "missing")
    assert huge_pages.environment_with_huge_pages({}) is None


def test_a_command_starts_over_once_with_all_its_arguments() -> None:
    script = (
        "import os, sys; from hyperforget_jax.cli import huge_pages; huge_pages.enable(); "
        "print(os.environ.get('GLIBC_TUNABLES', ''), *sys.argv[1:])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    command = [sys.executable, "-c", script, "--a", "b c"]
    answer = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    expected = (huge_pages.environment_with_huge_pages(environment) or environment).get("GLIBC_TUNABLES", "")
    assert answer.stdout == f"{expected} --a b c\n"
