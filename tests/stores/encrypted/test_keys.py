"""Keys: where they are read from, and that no refusal shows any of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ergon_runtime.errors import ConfigError
from ergon_runtime.stores.encrypted.keys import Keys, key_check, read_keys

KEY = "c0ffee11" * 8


def key_file(folder: Path, text: str = KEY + "\n", mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(*sources: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read_keys(sources, environ=environ or {})
    assert "c0ffee" not in str(caught.value)
    return str(caught.value)


def test_keys_from_a_variable_and_a_file_are_read_in_order(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    keys = read_keys(["k2=env:NEW", f"k1={path}"], environ={"NEW": "AB" * 32})
    assert dict(keys.secrets) == {"k2": b"\xab" * 32, "k1": bytes.fromhex(KEY)}
    assert (keys.active, keys.read_plain) == ("k2", False)


def test_keys_shown_hold_no_secret(tmp_path: Path) -> None:
    keys = read_keys([f"k1={key_file(tmp_path)}"])
    assert "c0ffee" not in repr(keys)
    assert str(bytes.fromhex(KEY))[2:10] not in repr(keys)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_key_file_that_others_have_rights_to_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, mode=mode)
    assert f"others have rights to {path}" in refusal(f"k1={path}")


def test_key_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mine = key_file(tmp_path), os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert f"{path} belongs to another user" in refusal(f"k1={path}")


def test_key_file_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is no regular file" in refusal(f"k1={tmp_path}/pipe")


@pytest.mark.parametrize("text", ["", "c0ffee", KEY + "0", KEY[:-1] + "g", "c0ffee" * 100, "\xff" * 64])
def test_key_that_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    said = refusal(f"k1={key_file(tmp_path, text)}")
    assert said.endswith("does not hold 64 hexadecimal digits; make a key with: openssl rand -hex 32")


def test_missing_file_and_missing_variable_are_named(tmp_path: Path) -> None:
    assert refusal(f"k1={tmp_path}/none") == f"key 'k1': cannot read {tmp_path}/none: No such file or directory"
    assert "the environment variable NONE is not set" in refusal("k1=env:NONE")


@pytest.mark.parametrize("source", ["c0ffee", "=env:A", "k1=", "k 1=env:A", "k1/2=env:A", f"{'k' * 33}=env:A"])
def test_source_that_names_no_key_is_refused(source: str) -> None:
    assert refusal(source).startswith("a key is named as ID=env:VARIABLE or ID=path/of/file")


def test_key_in_the_configuration_itself_is_refused() -> None:
    assert "stands in the configuration itself" in refusal(f"k1={KEY}")


def test_two_keys_with_one_id_are_refused() -> None:
    assert "two keys with the id 'k1'" in refusal("k1=env:A", "k1=env:A", environ={"A": KEY})


def test_no_source_at_all_is_refused() -> None:
    assert refusal().startswith("there is no key")


def test_key_check_differs_by_key_and_store() -> None:
    checks = {key_check(key, store) for key in (bytes(32), b"\1" * 32) for store in ("a", "b")}
    assert len(checks) == 4
    assert all(len(check) == 32 for check in checks)


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({}, "there is no key"),
        ({"k1": b"short"}, "'k1' has 5 bytes, not 32"),
        ({"k" * 33: bytes(32)}, "is no id of a key"),
    ],
)
def test_keys_that_make_no_sense_are_refused(secrets: dict[str, bytes], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Keys(secrets)
