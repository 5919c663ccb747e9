"""The doctor names what is missing, with the remedy, and fails only for what stops a run."""

import gzip
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from hyperforget_jax.cli import compile_cache, doctor, huge_pages
from hyperforget_jax.data import idx


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a GPU, with memory, disk and huge pages, on which nothing is prepared."""
    monkeypatch.setattr(doctor, "NVIDIA", tmp_path / "no driver")
    monkeypatch.setattr(doctor.shutil, "which", lambda _name: None)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=5e9))
    monkeypatch.setattr(doctor, "MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n")
    monkeypatch.setattr(huge_pages, "KERNEL", tmp_path / "enabled")
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)


def examined(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    """Findings by what was looked at."""
    assert doctor.main([*arguments, "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] == (status == 0)
    return {finding["check"]: finding for finding in report["findings"]}


def test_a_healthy_machine_has_nothing_to_remedy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    findings = examined(capsys, "--workdir", str(tmp_path / "run" / "deep"))
    assert list(findings) == [
        *("versions", "devices", "settings", "gpu", "memory", "huge pages", "programs", "workdir", "disk", "tfds")
    ]
    del findings["versions"]  # the package may run from a checkout that is not installed
    assert [finding["status"] for finding in findings.values()] == ["ok"] * len(findings)
    assert [finding["remedy"] for finding in findings.values()] == [""] * len(findings)
    assert findings["memory"]["message"] == "8.0 of 16.0 GiB available"
    assert not (tmp_path / "run").exists()


def test_lines_are_for_people_and_the_exit_status_for_scripts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert doctor.main(["--data.dir", str(tmp_path / "none")]) == 2
    out, error = capsys.readouterr()
    assert "\nok    memory      8.0 of 16.0 GiB available\n" in out
    assert f"\nfail  data.dir    {tmp_path / 'none'} is not a folder: set data.dir to the folder" in out
    assert error == "error: 1 of 11 checks failed, first data.dir: follow its remedy\n"


@pytest.mark.parametrize("sign", ["driver", "program"])
def test_a_gpu_that_jax_does_not_use_is_told(
    sign: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sign == "driver":
        monkeypatch.setattr(doctor, "NVIDIA", tmp_path)
    else:
        monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    finding = examined(capsys)["gpu"]
    assert (finding["status"], finding["remedy"]) == ("warn", "pip install 'hyperforget-jax[cuda]'")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert examined(capsys)["gpu"]["remedy"] == "unset JAX_PLATFORMS, which is cpu"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert examined(capsys)["gpu"]["message"] == "in use"


def test_the_place_of_compiled_programs_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("HYPERFORGET_COMPILE_CACHE", "off")
    assert examined(capsys)["programs"]["message"] == "compiled anew by every command: HYPERFORGET_COMPILE_CACHE is off"
    monkeypatch.setenv("HYPERFORGET_COMPILE_CACHE", str(tmp_path / "kept"))
    place = tmp_path / "kept" / compile_cache.machine_folder()
    assert examined(capsys)["programs"]["message"] == f"compiled once: 0 of 0.0 MB in {place}"
    assert not (tmp_path / "kept").exists()
    place.mkdir(parents=True)
    for name, size in (("a-cache", 2_000_000), ("b-cache", 500_000), ("a-atime", 8), ("b-atime", 8)):
        (place / name).write_bytes(bytes(size))
    assert examined(capsys)["programs"]["message"] == f"compiled once: 2 of 2.5 MB in {place}"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    told = examined(capsys)["programs"]["message"]
    assert told == f"compiled once: 0 of 0.0 MB in {tmp_path}, which JAX_COMPILATION_CACHE_DIR names"


def test_a_place_for_programs_that_cannot_be_written_is_a_warning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("HYPERFORGET_COMPILE_CACHE", str(tmp_path / "file" / "kept"))
    finding = examined(capsys)["programs"]
    assert finding["status"] == "warn"
    assert finding["message"] == f"every command compiles anew: cannot write in {tmp_path / 'file'} (Not a directory)"
    assert finding["remedy"] == "set HYPERFORGET_COMPILE_CACHE to another folder, or to off"


def test_jax_without_a_device_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RuntimeError("Unable to initialize backend 'cuda':\nno driver")

    monkeypatch.setattr(jax, "devices", fail)
    finding = examined(capsys, status=2)["devices"]
    assert finding["status"] == "fail"
    assert finding["message"] == "JAX finds none (Unable to initialize backend 'cuda': no driver)"


def test_little_memory_little_disk_and_no_huge_pages_are_warnings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable: 2097152 kB\n")
    (tmp_path / "enabled").write_text("always madvise [never]\n")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1e9))
    findings = examined(capsys)
    assert {name for name in findings if findings[name]["status"] == "warn"} - {"versions"} == {
        *("memory", "huge pages", "disk")
    }
    assert "zoo.memory_gib below 2.0" in findings["memory"]["remedy"]


def test_a_workdir_that_cannot_be_written_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = examined(capsys, "--workdir", str(tmp_path / "file" / "run"), status=2)["workdir"]
    assert finding["message"] == f"cannot write in {tmp_path / 'file'} (Not a directory)"
    assert finding["remedy"] == "choose another --workdir"


def test_what_is_not_installed_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    finding = examined(capsys, status=2)["versions"]
    assert (finding["message"], finding["remedy"]) == (
        *("no-such-package not installed", "pip install hyperforget-jax"),
    )


def write_idx(folder: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four files whose checksums are official for a dataset."""
    folder.mkdir(exist_ok=True)
    for name in idx.FILES:
        path = folder / f"{name}.gz"
        content = f"{dataset} {name}".encode()
        path.write_bytes(gzip.compress(content))
        monkeypatch.setitem(idx.CHECKSUMS[dataset], name, hashlib.sha256(content).hexdigest())


def test_idx_files_are_known_by_their_checksums(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    for dataset in ("mnist", "fashion_mnist"):
        write_idx(folder, dataset, monkeypatch)
        finding = examined(capsys, "--data.dir", str(folder))["data.dir"]
        assert finding["message"] == f"{folder}: {dataset}, all four checksums are the official ones"
    mixed = folder / f"{idx.TEST_LABELS}.gz"
    mixed.write_bytes(gzip.compress(f"mnist {idx.TEST_LABELS}".encode(), mtime=0))
    assert "mixes files" in examined(capsys, "--data.dir", str(folder), status=2)["data.dir"]["message"]
    mixed.write_bytes(b"damaged")
    finding = examined(capsys, "--data.dir", str(folder), status=2)["data.dir"]
    assert finding["message"] == f"{mixed} is truncated or corrupt (Not a gzipped file (b'da'))"
    mixed.write_bytes(gzip.compress(b"another"))
    finding = examined(capsys, "--data.dir", str(folder), status=2)["data.dir"]
    assert finding["message"] == f"{folder}: {mixed.name} not the official file"
    assert finding["remedy"] == idx.REMEDY
    mixed.unlink()
    finding = examined(capsys, "--data.dir", str(folder), status=2)["data.dir"]
    assert finding["message"].startswith(f"{mixed} is missing")


def test_prepared_datasets_are_listed_and_unusable_ones_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, text in (
        ("mnist", '{"name": "mnist", "fileFormat": "array_record"}'),
        ("kmnist", '{"name": "kmnist", "fileFormat": "array_record"}'),
    ):
        folder = tmp_path / "prepared" / name / "3.0.1"
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text(text)
    assert examined(capsys)["tfds"]["message"] == f"{tmp_path / 'prepared'}: kmnist, mnist prepared"
    (folder / "dataset_info.json").write_text('{"name": "kmnist"}')
    (tmp_path / "prepared" / "mnist" / "3.0.1" / "dataset_info.json").write_text("{")
    finding = examined(capsys)["tfds"]
    assert finding["status"] == "warn"
    assert finding["message"].endswith(": kmnist, mnist/3.0.1 not in the format array_record")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.dri", "x"], "--data.dri is no option: did you mean --data.dir?"),
        (["stray"], "stray is no option: --help lists every field"),
        (["--workdir"], "Missing value for argument '--workdir'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(arguments) == 2
    out, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert line.startswith(f"error: {message}")
    assert out == ""
