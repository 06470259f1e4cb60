"""Configuration: which file, which source wins, what is refused and in what words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ergon_runtime.config import Flags, load_config, parse_duration
from ergon_runtime.errors import ConfigError


def refusal(folder: Path, text: str, name: str = "ergon.toml") -> str:
    (folder / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(folder, {})
    return str(caught.value)


def test_load_without_anything_gives_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path, {})
    assert config.store_url == f"sqlite:///{tmp_path}/ergon.db"
    assert (config.modules, config.concurrency, config.lease, config.max_entries) == ((), 100, 15_000, 200_000)
    assert (config.root, config.file) == (tmp_path, None)
    assert set(config.origins.values()) == {"default"}


def test_load_each_stronger_source_wins(tmp_path: Path) -> None:
    text = 'store = "redis://file"\nallow_volatile = true\nmodules = ["a"]\n[worker]\nlease = "1s"\n'
    (tmp_path / "ergon.toml").write_text(text)
    environ = {"ERGON_STORE": "redis://env", "ERGON_MODULES": "b c", "ERGON_WORKER__CONCURRENCY": "7"}
    by_file = load_config(tmp_path, {})
    by_environ = load_config(tmp_path, environ)
    by_flag = load_config(tmp_path, environ, Flags(store="redis://flag", modules=("d",), concurrency=9, lease="2s"))
    assert (by_file.store_url, by_file.modules, by_file.lease) == ("redis://file", ("a",), 1_000)
    assert (by_environ.store_url, by_environ.modules, by_environ.concurrency) == ("redis://env", ("b", "c"), 7)
    assert by_environ.lease == 1_000
    assert (by_flag.store_url, by_flag.modules) == ("redis://flag", ("d",))
    assert (by_flag.concurrency, by_flag.lease) == (9, 2_000)
    assert by_environ.origins == {
        "store": "ERGON_STORE",
        "allow_volatile": "ergon.toml",
        "modules": "ERGON_MODULES",
        "worker.concurrency": "ERGON_WORKER__CONCURRENCY",
        "worker.lease": "ergon.toml",
        "worker.max_entries": "default",
        "payload.warn": "default",
        "payload.max": "default",
        "crypto.keys": "default",
        "crypto.read_plain": "default",
    }


def test_load_cap_of_entries_from_each_source(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_text("[worker]\nmax_entries = 1000")
    environ = {"ERGON_WORKER__MAX_ENTRIES": "2000"}
    assert load_config(tmp_path, {}).max_entries == 1000
    assert load_config(tmp_path, environ).max_entries == 2000
    assert load_config(tmp_path, environ, Flags(max_entries=3000)).max_entries == 3000


def test_load_payload_sizes_from_file_and_environment(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_text('[payload]\nwarn = "1KiB"\nmax = "3MiB"')
    by_file, by_environ = load_config(tmp_path, {}), load_config(tmp_path, {"ERGON_PAYLOAD__MAX": "1024B"})
    assert (by_file.payload_warn, by_file.payload_max) == (1024, 3 * 1024 * 1024)
    assert (by_environ.payload_warn, by_environ.payload_max) == (1024, 1024)


def test_load_file_named_in_the_environment_is_read_and_a_named_one_beats_it(tmp_path: Path) -> None:
    for name, lease in (("ergon.toml", "1s"), ("a.toml", "2s"), ("b.toml", "3s")):
        (tmp_path / name).write_text(f'[worker]\nlease = "{lease}"')
    environ = {"ERGON_CONFIG": "a.toml"}
    assert load_config(tmp_path, environ).lease == 2_000
    assert load_config(tmp_path, environ, file=Path("b.toml")).lease == 3_000


@pytest.mark.parametrize("name", ["ergon.toml", "pyproject.toml"])
def test_load_file_of_somebody_else_is_refused_unless_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.write_text('[tool.ergon]\nmodules = ["evil"]' if name == "pyproject.toml" else 'modules = ["evil"]')
    if os.getuid() == 0:
        os.chown(path, 4711, -1)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(ConfigError, match=f"{name} belongs to another user .*--config {name}, or ERGON_CONFIG"):
        load_config(tmp_path, {})
    assert load_config(tmp_path, {}, file=Path(name)).modules == ("evil",)


def test_load_file_of_root_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ergon.toml"
    path.write_text('modules = ["a"]')
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1 if owner == 0 else owner)
    assert load_config(tmp_path, {}).modules == ("a",)


def test_load_huge_file_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/zero is larger than 1 MiB"):
        load_config(tmp_path, {}, file=Path("/dev/zero"))


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("True", True), ("0", False), ("false", False)])
def test_load_allow_volatile_from_the_environment_and_by_flag(tmp_path: Path, said: str, meant: bool) -> None:
    assert load_config(tmp_path, {}).allow_volatile is False
    assert load_config(tmp_path, {"ERGON_ALLOW_VOLATILE": said}).allow_volatile is meant
    assert load_config(tmp_path, {"ERGON_ALLOW_VOLATILE": said}, Flags(allow_volatile=True)).allow_volatile
    with pytest.raises(ConfigError, match="ERGON_ALLOW_VOLATILE: allow_volatile must be true or false; got 'maybe'"):
        load_config(tmp_path, {"ERGON_ALLOW_VOLATILE": "maybe"})


@pytest.mark.parametrize(
    "text",
    [
        'store = "redis://u:hidden@host',
        'store = ["redis://u:hidden@host"]',
        "store = 'redis+sentinel://host/m?sentinel_password=hidden' x",
    ],
)
def test_load_shows_no_secret_of_the_store(tmp_path: Path, text: str) -> None:
    said = refusal(tmp_path, text)
    assert "host" in said
    assert "hidden" not in said


def test_configuration_shown_has_no_secret(tmp_path: Path) -> None:
    flags = Flags(store="redis://u:hidden@host")
    assert "hidden" not in f"{flags} {load_config(tmp_path, {}, flags)}"


def test_load_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    assert load_config(tmp_path, {"ERGON_STORE": ""}).origins["store"] == "default"


def test_load_in_subfolder_takes_nearest_parent(tmp_path: Path) -> None:
    inner = tmp_path / "app" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "ergon.toml").write_text('store = "sqlite:///far.db"')
    (tmp_path / "app" / "pyproject.toml").write_text('[tool.ergon]\nstore = "sqlite:///near.db"')
    config = load_config(inner, {})
    assert config.store_url == f"sqlite:///{tmp_path}/app/near.db"
    assert config.root == tmp_path / "app"


def test_load_passes_over_pyproject_without_table(tmp_path: Path) -> None:
    inner = tmp_path / "app"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'")
    (tmp_path / "ergon.toml").write_text("[worker]\nconcurrency = 3")
    assert load_config(inner, {}).concurrency == 3


def test_load_both_in_one_folder_takes_ergon_toml(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ergon.worker]\nconcurrency = 3")
    (tmp_path / "ergon.toml").write_text("[worker]\nconcurrency = 4")
    assert load_config(tmp_path, {}).concurrency == 4


def test_load_relative_paths_belong_to_who_names_them(tmp_path: Path) -> None:
    inner = tmp_path / "here"
    inner.mkdir()
    (tmp_path / "ergon.toml").write_text('store = "sqlite:///a.db"\nmodules = ["x/y.py:Name", "pkg.mod"]')
    assert load_config(inner, {}).store_url == f"sqlite:///{tmp_path}/a.db"
    assert load_config(inner, {}).modules == (f"{tmp_path}/x/y.py:Name", "pkg.mod")
    assert load_config(inner, {"ERGON_STORE": "sqlite:///a.db"}).store_url == f"sqlite:///{inner}/a.db"
    assert load_config(inner, {}, Flags(modules=("y.py",))).modules == (f"{inner}/y.py",)
    assert load_config(inner, {}, Flags(store="redis:///1")).store_url == "redis:///1"
    assert load_config(inner, {}, Flags(store="sqlite:////abs/a.db")).store_url == "sqlite:////abs/a.db"


def test_load_named_file_is_read_instead(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_text("[worker]\nconcurrency = 4")
    other = tmp_path / "conf" / "prod.toml"
    other.parent.mkdir()
    other.write_text("[worker]\nconcurrency = 5")
    config = load_config(tmp_path, {}, file=Path("conf/prod.toml"))
    assert (config.concurrency, config.root) == (5, other.parent)


@pytest.mark.parametrize(("name", "text"), [("gone.toml", None), ("pyproject.toml", "[project]"), (".", None)])
def test_load_named_file_that_cannot_serve_is_refused(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError):
        load_config(tmp_path, {}, file=Path(name))


def test_load_broken_toml_shows_line_and_caret(tmp_path: Path) -> None:
    lines = refusal(tmp_path, '# one\nstore = "a"\nlease = 8x\n').splitlines()
    assert lines[0].startswith("ergon.toml:3:10: ")
    assert lines[1:] == ["  3 | lease = 8x", "               ^"]


@pytest.mark.parametrize("text", ["store = ", 'store = "', "[worker", "a = [\n", 'x = """\n'])
def test_load_toml_that_breaks_at_the_end_is_refused_with_a_place(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith("ergon.toml:")


def test_load_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_bytes(b'store = "\xff"')
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n[worker]\nconcurency = 1", "ergon.toml:3: unknown key worker.concurency; did you mean worker.concurrency?"),
        ("stor = 'x'", "ergon.toml:1: unknown key stor; did you mean store?"),
        ("lease = '1s'", "ergon.toml:1: unknown key lease; did you mean worker.lease?"),
        ("zzz = 1", "known: store, allow_volatile, modules"),
        ("[worker.deep]\nx = 1", "unknown key worker.deep"),
    ],
)
def test_load_unknown_key_is_refused_with_advice(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker = 3", "unknown key worker"),
        ("[worker]\nconcurrency = 0", "1 or more; got 0"),
        ("[worker]\nconcurrency = true", "1 or more; got True"),
        ("[worker]\nlease = 15", "a duration in quotes"),
        ('[payload]\nmax = "1000B"', "payload.max must be between 1 KiB and 64 MiB; got '1000B'"),
        ('[payload]\nmax = "65MiB"', "payload.max must be between 1 KiB and 64 MiB; got '65MiB'"),
        ("[payload]\nwarn = 1000", "payload.warn must be a size in quotes"),
        ("[worker]\nmax_entries = 99", "worker.max_entries must be a whole number, 100 or more; got 99"),
        ("[worker]\nlease = '0s'", "100ms or longer"),
        ("[worker]\nlease = 'soon'", "not a duration: 'soon'"),
        ("modules = 'flows'", 'a list, as in ["flows"]'),
        ("modules = [1]", "a list of names"),
        ("store = 5", "an address"),
    ],
)
def test_load_bad_value_is_refused_with_its_origin(tmp_path: Path, text: str, said: str) -> None:
    message = refusal(tmp_path, text)
    assert said in message
    assert message.startswith("ergon.toml")


@pytest.mark.parametrize("value", ["many", "-1", "0", "1.5", "9" * 5000])
def test_load_bad_variable_names_it(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"^ERGON_WORKER__CONCURRENCY: worker\.concurrency must be"):
        load_config(tmp_path, {"ERGON_WORKER__CONCURRENCY": value})


def test_load_file_value_that_is_overridden_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_text("[worker]\nconcurrency = 0")
    assert load_config(tmp_path, {}, Flags(concurrency=2)).concurrency == 2


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500ms", 500),
        ("2s", 2_000),
        ("15m", 900_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1.5s", 1_500),
        ("0s", 0),
    ],
)
def test_parse_duration_gives_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1 s", "1w", "nan s", "1e3s", "\u0661s", "9" * 400 + "d", "1s2", "inf"]
)
def test_parse_duration_of_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="duration"):
        parse_duration(text)


def test_parse_duration_without_unit_says_so() -> None:
    with pytest.raises(ConfigError, match="say the unit, as in 15s"):
        parse_duration("15")


# Encryption keys


def test_load_keys_from_file_have_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_text('[crypto]\nkeys = ["k2=env:NEW", "k1 = keys/k1"]\nread_plain = true')
    (tmp_path / "below").mkdir()
    config = load_config(tmp_path / "below", {})
    assert config.key_sources == ("k2=env:NEW", f"k1={tmp_path}/keys/k1")
    assert config.read_plain


def test_load_keys_from_environment_beat_the_file(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_text('[crypto]\nkeys = ["k1=env:OLD"]\nread_plain = true')
    environ = {"ERGON_CRYPTO__KEYS": "k3=env:A k2=/b", "ERGON_CRYPTO__READ_PLAIN": "0"}
    config = load_config(tmp_path, environ)
    assert (config.key_sources, config.read_plain) == (("k3=env:A", "k2=/b"), False)


@pytest.mark.parametrize("written", ['"k1=env:A"', "[1]", '["c0ffee"]', '["=c0ffee"]', '["k1="]'])
def test_load_keys_that_make_no_sense_are_refused_and_not_shown(tmp_path: Path, written: str) -> None:
    said = refusal(tmp_path, f"[crypto]\nkeys = {written}")
    assert said == 'ergon.toml: crypto.keys must be a list, as in ["k2=env:SHOP_KEY", "k1=keys/k1"]'


def test_config_shown_has_no_key_that_was_put_into_it(tmp_path: Path) -> None:
    (tmp_path / "ergon.toml").write_text(f'[crypto]\nkeys = ["k1={"c0ffee" * 10}"]')
    assert "c0ffee" not in repr(load_config(tmp_path, {}))


def test_line_of_a_toml_error_does_not_show_an_encryption_key(tmp_path: Path) -> None:
    key = "0123456789abcdef" * 4
    (tmp_path / "ergon.toml").write_text(f'[crypto]\nkeys = ["k1={key}"\n')
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path, {})
    assert key not in str(raised.value)
    assert f'keys = ["k1={"*" * 64}"' in str(raised.value)
