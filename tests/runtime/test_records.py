"""A record tells damage from difference: one changed byte is damage, and its file and remedy are named."""

import json
from pathlib import Path

import numpy as np
import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, records

RECORD = {"format": 2, "made_from": {"seed": 0, "zoo.epochs": 25.0, "names": ["é", None]}, "blocks": 3}
STRUCTURE = {"format": int, "made_from": dict}


def read(path: Path) -> dict[str, object]:
    return records.read(path, "delete it", STRUCTURE)


def test_a_record_comes_back_without_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    path.write_text(json.dumps(records.sealed(RECORD), indent=2))
    assert read(path) == RECORD
    path.write_text(json.dumps(RECORD))  # written before there were checksums
    assert read(path) == RECORD


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "3", '{"format": 2', '{"format": "2", "made_from": {}}', "\x00"]
)
def test_what_is_no_such_record_is_damaged(tmp_path: Path, text: str) -> None:
    path = tmp_path / "zoo.json"
    path.write_text(text)
    with pytest.raises(HyperForgetError, match=f"^{path} is damaged: delete it$"):
        read(path)


def test_every_flipped_bit_of_a_value_is_damage_and_never_a_difference(tmp_path: Path) -> None:
    whole = json.dumps(records.sealed(RECORD)).encode()
    random, path, messages = np.random.default_rng(0), tmp_path / "zoo.json", []
    for place in random.permutation(len(whole) * 8)[:400].tolist():
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            found = read(path)
        except HyperForgetError as error:
            messages.append(str(error))
            continue
        assert {
            name: found[name] for name in RECORD
        } == RECORD  # the bit was of white space, or of the name of the checksum
    assert set(messages) == {f"{path} is damaged: delete it"}
    assert len(messages) > 350


@pytest.mark.parametrize("line", ['{"stage": "zoo", "seconds": 1.0', "[]", "3", "\udcff", '{"a": nope}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "costs.jsonl"
    path.write_text('{"stage": "zoo"}\n' + line + '\n{"stage": "x"}\n', encoding="utf-8", errors="surrogateescape")
    with pytest.raises(HyperForgetError, match=f"^line 2 of {path} is damaged: restore it, or delete it"):
        artifacts.read_rows(path)


def test_a_missing_file_of_rows_is_named(tmp_path: Path) -> None:
    with pytest.raises(HyperForgetError, match=r"learning_curve\.jsonl is missing: restore it"):
        artifacts.read_rows(tmp_path / "training" / "learning_curve.jsonl")


@pytest.mark.parametrize(
    "text",
    [
        *("{}", "[]", "{", '{"made_from": {}, "files": []}', '{"made_from": 3, "files": {}}'),
        *('{"made_from": {}, "files": {"a": {"bytes": 1}}}', '{"made_from": {}, "files": {"a": 3}}'),
        '{"made_from": {}, "files": {"../a": {"bytes": 1, "sha256": "x"}}}',
        '{"made_from": {}, "files": {"/etc/passwd": {"bytes": 1, "sha256": "x"}}}',
    ],
)
def test_a_damaged_or_foreign_manifest_is_named_with_the_remedy(tmp_path: Path, text: str) -> None:
    with artifacts.new_artifact(tmp_path / "zoo", {"seed": 0}):
        pass
    (tmp_path / "zoo" / "manifest.json").write_text(text)
    for look in (artifacts.manifest, artifacts.verify):
        with pytest.raises(HyperForgetError) as refusal:
            look(tmp_path / "zoo")
        path = tmp_path / "zoo" / "manifest.json"
        assert str(refusal.value) == f"{path} is damaged: delete {tmp_path / 'zoo'} and run again to rebuild it"


def test_a_changed_value_in_a_manifest_is_damage(tmp_path: Path) -> None:
    """The fault: it was told as "made by another config"."""
    with artifacts.new_artifact(tmp_path / "zoo", {"seed": 0}):
        pass
    path = tmp_path / "zoo" / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 8'))
    with pytest.raises(HyperForgetError, match="is damaged"):
        artifacts.manifest(tmp_path / "zoo")
