"""Wrong input on the real command line: each case has its exit code, a cause, a fix, and the form of every error.

Stores that cannot be used are in test_unusable_stores.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, Shop, shop
from tests.acceptance.refusals import check_harmless, refused

BIG = 2 * 1024 * 1024 + 1
MODULES = {
    "helpers_missing.py": "def load():\n    import no_such_helper\n\n\nload()\n",
    "no_flows.py": "x = 1\n",
    "bad_syntax.py": "def f(:\n",
    "leaves.py": "raise SystemExit(3)\n",
    "prints.py": "print('on stdout')\nraise ValueError('\\x1b[2J')\n",
    "deep.py": "import json\njson.loads('{')\n",
    "bad_hint.py": "from ergon_runtime import flow\n@flow\nasync def a(x: 'Nope') -> None: ...\n",
    "twice.py": (
        "from ergon_runtime import flow\n@flow\nasync def a() -> None: ...\n"
        "@flow(name='a')\nasync def b() -> None: ...\n"
    ),
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A folder with flows.py, broken modules, odd files and a store with an ended and two waiting flows."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(ROOT / "tests/acceptance/wrong_input_flows.py", folder / "flows.py")
    (folder / "broken").mkdir()
    for name, text in MODULES.items():
        (folder / "broken" / name).write_text(text)
    (folder / "empty").mkdir()
    (folder / "big.json").write_text(f'"{"x" * BIG}"')
    (folder / "latin.json").write_bytes(b'{"order_id": "\xfc"}')
    (folder / "nothing").write_bytes(b"")
    with shop(folder) as made:
        made.run("schedule", "hello", "--id", "ended")
        made.run("schedule", "waits", "-a", "name=go", "--id", "asks-1")
        made.run("schedule", "waits", "-a", "name=go", "--id", "asks-2")
        made.run("worker", "--burst")
        yield made


ORDER = ["schedule", "OrderFlow"]
GOOD = ["-a", "order_id=A", "-a", "amount=1"]
HELLO = ["schedule", "hello"]

USAGE: list[tuple[list[str], int, tuple[str, ...]]] = [
    (["nonsense"], 2, ("no such command 'nonsense'", "see: ergon --help")),
    (["wroker"], 2, ("Did you mean 'worker'?",)),
    (["--store"], 2, ("--store", "requires an argument")),
    (["cancel"], 2, ("missing argument 'ID...'", "see: ergon cancel --help")),
    (["cancel", "--nope", "x"], 2, ("no such option: --nope",)),
    (["worker", "extra"], 2, ("extra",)),
    # Flow types.
    (["schedule", "OrdrFlow"], 3, ("unknown flow 'OrdrFlow'", "did you mean: OrderFlow")),
    (["schedule", "zzz"], 3, ("unknown flow 'zzz'", "there is: OrderFlow, hello")),
    ([*HELLO, "--version", "9"], 3, ("no version '9'", "there is: one without version")),
    (["schedule", "\x1b[31mred\u202e"], 3, ("unknown flow '\\x1b[31mred\\u202e'",)),
    # Arguments.
    (
        [*ORDER, "-a", "amount=ninety", "-a", "ordr_id=3", "-a", "tags:={"],
        2,
        (
            "OrderFlow(order_id: str, amount: Decimal",
            "order_id  missing",
            "amount    not a number: 'ninety'",
            "ordr_id   unknown; did you mean order_id?",
            "tags      not JSON",
        ),
    ),
    ([*ORDER, *[part for n in range(9) for part in ("-a", f"x{n}=1")]], 2, ("more",)),
    ([*ORDER, *GOOD, "-a", "amount=2"], 2, ("amount  given twice",)),
    ([*ORDER, *GOOD, "-a", "express=perhaps"], 2, ("express  not true or false: 'perhaps'",)),
    ([*ORDER, "-a", "order_id:=null", "-a", "amount=1"], 2, ("order_id  should be a valid string",)),
    ([*ORDER, *GOOD, "-a", "tags=null"], 2, ("tags  should be a valid array: None",)),
    ([*HELLO, "-a", "name"], 2, ("-a name  not name=text, name:=JSON or name:=@file",)),
    ([*HELLO, "-a", "9x=1"], 2, ("-a 9x=1",)),
    ([*HELLO, "-a", "\x1b[2J=\u202e"], 2, ("\\x1b[2J=\\u202e",)),
    ([*HELLO, "-a", "name:=@no/file"], 2, ("name  cannot read no/file: No such file",)),
    ([*HELLO, "-a", "name:=@."], 2, ("cannot read .: Is a directory",)),
    ([*HELLO, "-a", "name:=@big.json"], 2, ("big.json is larger than 2 MiB",)),
    ([*HELLO, "-a", "name:=@latin.json"], 2, ("latin.json is not UTF-8",)),
    ([*HELLO, "-a", "name=\udcff"], 2, ("not UTF-8: 'name=\\udcff'", "convert it")),
    # --input.
    ([*HELLO, "--input", "[1]"], 2, ("--input is not a JSON object", 'write {"name": value, ...}')),
    ([*HELLO, "--input", '{"name": 1,}'], 2, ("--input is not JSON (line 1, column", "^", "-a name=text")),
    ([*HELLO, "--input", ""], 2, ("--input is empty",)),
    ([*HELLO, "--input", '{"name": "a", "name": "b"}'], 2, ("--input names 'name' twice",)),
    ([*HELLO, "--input", "@no/file"], 2, ("cannot read no/file", "check the path after @")),
    ([*HELLO, "--input", "@big.json"], 2, ("big.json is larger than 2 MiB",)),
    ([*HELLO, "--input", "@latin.json"], 2, ("latin.json is not UTF-8 (byte 14)",)),
    # Ids, durations.
    *(
        ([*HELLO, "--id", wrong], 2, ("cannot be a flow id", "begin with a letter or digit"))
        for wrong in ("", "-x", "/x", "a b", "a/b", "ü", "a\n", "x" * 201, "a\x1b[31m\u202e")
    ),
    *(
        ([*HELLO, "--delay", wrong], 2, ("not a duration", advice))
        for wrong, advice in (
            ("soon", "500ms, 2s"),
            ("5", "as in 5s"),
            ("-5s", "500ms, 2s"),
            ("1w", "500ms, 2s"),
            ("", ""),
        )
    ),
    ([*HELLO, "--delay", "99999999d"], 2, ("too long a duration", "36500d")),
    ([*HELLO, "--timeout", "1s"], 2, ("--timeout goes with --wait", "add --wait")),
    ([*HELLO, "--wait", "--timeout", "1"], 2, ("not a duration: '1'", "as in 1s")),
    # Ids of flows that are there.
    ([*HELLO, "--id", "asks-1"], 2, ("flow 'asks-1' exists already", "choose another id")),
    (["schedule", "waits", "-a", "name=other", "--id", "asks-1"], 2, ("exists already, with another type, arguments",)),
    *(([verb, "nosuch"], 3, ("no flow 'nosuch'", "ergon list")) for verb in ("cancel", "inspect", "replay")),
    *(
        ([verb, "asks"], 2, ("'asks' fits 2 flows: ", "give more of the id"))
        for verb in ("cancel", "inspect", "replay")
    ),
    (["cancel", "\x1b[2J\u202e[red]"], 3, ("no flow '\\x1b[2J\\u202e[red]'",)),
    (["list", "--status", "lost"], 2, ("lost", "pending")),
    # Signals.
    *(
        (["signal", "x", wrong], 2, ("the payload is not JSON (line 1, column", "--text sends it as it is"))
        for wrong in ("{bad", "[1,", '"open', "{'a': 1}")
    ),
    (["signal", "x", '{"a": 1, "a": 2}'], 2, ("twice", "--text sends it")),
    (["signal", "x", "[" * 99 + "]" * 99], 2, ("nested more than 64 levels", "--text sends it")),
    (["signal", "x", "--nope"], 2, ("no such option: --nope", "--text")),
    (["signal", "x", "1", "--nope"], 2, ("--nope",)),
    (["signal", ""], 2, ("cannot be a signal's name", "1 to 200 characters")),
    (["signal", "-x"], 2, ("cannot be a signal's name",)),
    (["signal", "n" * 201], 2, ("cannot be a signal's name",)),
    (["signal", "x", "1", "--id", ""], 2, ("cannot be an --id",)),
    (["signal", "x", "1", "--flow", "asks-1", "--all"], 2, ("--flow and --all exclude each other",)),
    (["signal", "x", "1", "--flow", "nosuch"], 3, ("no flow 'nosuch'",)),
    (["signal", "x", "1", "--flow", "ended"], 3, ("flow ended has ended (completed)",)),
    (["signal", "\x1b[2J\u202e", "--all"], 3, ("no flow waits for signal '\\x1b[2J\\u202e'", "waited for: go")),
    (["signal", "a\udcff"], 2, ("not UTF-8: 'a\\udcff'",)),
    # Workers.
    *((["worker", "-c", wrong], 2, ("worker.concurrency must be a whole number, 1 or more",)) for wrong in ("0", "-1")),
    (["worker", "-c", "many"], 2, ("--concurrency", "valid integer")),
    *((["worker", "--lease", wrong], 2, ("worker.lease: not a duration",)) for wrong in ("0", "soon", "-5s", "")),
    *((["worker", "--lease", wrong], 2, ("worker.lease must be 100ms or longer",)) for wrong in ("0s", "99ms")),
    # Modules.
    (
        ["worker", "-m", "broken/helpers_missing.py"],
        7,
        ("importing 'broken/helpers_missing.py' failed", "line 5, in <module>", "line 2, in load", "'no_such_helper'"),
    ),
    (["worker", "-m", "broken.deep"], 7, ("importing 'broken.deep' failed", "broken/deep.py", "JSONDecodeError")),
    (["worker", "-m", "broken/bad_syntax.py"], 7, ("def f(:", "^", "SyntaxError")),
    (["schedule", "a", "-m", "broken/leaves.py"], 7, ("the module ended the program (3)", "__name__")),
    (["worker", "-m", "broken/no_flows.py"], 7, ("module 'broken/no_flows.py' has no flows", "define one with @flow")),
    (["worker", "-m", "broken/bad_hint.py"], 7, ("'Nope' of parameter x cannot be resolved", "import or define")),
    (["worker", "-m", "broken/twice.py"], 7, ("flow a is defined twice", "twice.py:2", "twice.py:4", "version=")),
    (["worker", "-m", "flosw"], 7, ("no module 'flosw'", "did you mean: flows")),
    (["worker", "-m", "flosw.py"], 7, ("no file", "did you mean: flows.py")),
    (["worker", "-m", "qqqqqqqq"], 7, ("no module 'qqqqqqqq'", "write pkg.mod, path/file.py or mod:Name")),
    (["worker", "-m", "flows:OrdrFlow"], 7, ("no flow 'OrdrFlow' in 'flows'", "did you mean: OrderFlow")),
    (["worker", "-m", "a b"], 2, ("not a module: 'a b'", "write pkg.mod")),
    (["replay", "ended", "-m", "qqqqqqqq"], 7, ("no module 'qqqqqqqq'",)),
    # Store addresses.
    (["list", "--store", "memory://"], 2, ("memory:// keeps nothing", "--store sqlite:///ergon.db")),
    (["worker", "--store", "redis://host/nonsense"], 2, ("the database of a Redis address is a number",)),
    *(
        (["list", "--store", wrong], 2, ("is not a store address; write",))
        for wrong in ("nonsense", "http://x", "ergon.db")
    ),
    (["list", "--store", "sqlite://ergon.db"], 2, ("a path begins after three slashes",)),
    (["list", "--store", "sqlite:///"], 2, ("names no file",)),
    (["list", "--store", "sqlite:///x.db?sync=off"], 2, ("unknown option 'sync'",)),
    (["list", "--store", ""], 2, ("store must be an address",)),
]


@pytest.mark.parametrize(("args", "code", "said"), USAGE)
def test_wrong_command_line_is_refused_with_cause_and_fix(
    here: Shop, args: list[str], code: int, said: tuple[str, ...]
) -> None:
    refused(here, args, code, *said)


STDIN: list[tuple[bytes, tuple[str, ...]]] = [
    (b"", ("--input is empty",)),
    (b"{", ("--input is not JSON", "line 1, column 2")),
    (b'{"name": "\xfc"}', ("stdin is not UTF-8 (byte 10)", "convert it")),
    (b'{"name": "' + b"x" * BIG + b'"}', ("stdin is larger than 2 MiB",)),
    (b'{"nane": "x"}', ("nane  unknown; did you mean name?",)),
]


@pytest.mark.parametrize(("given", "said"), STDIN, ids=["empty", "broken", "latin", "big", "unknown"])
def test_wrong_input_on_stdin_is_refused(here: Shop, tmp_path: Path, given: bytes, said: tuple[str, ...]) -> None:
    (tmp_path / "given").write_bytes(given)
    refused(here, [*HELLO, "--input", "-"], 2, *said, stdin=tmp_path / "given")


CONFIGS: list[tuple[bytes, tuple[str, ...]]] = [
    (b"store = ", ("ergon.toml:1:9: ", "1 | store =", "^")),
    (b"[worker\nlease = 1", ("ergon.toml:1:8: ",)),
    (
        b'stor = "x"\n[worker]\nconcurency = 3\n',
        ("ergon.toml:1: unknown key stor", "store?", ":3: unknown key worker.conc"),
    ),
    (b"store = 3", ("ergon.toml: store must be an address", "got 3")),
    (b'modules = "flows"', ("ergon.toml: modules must be a list",)),
    (b"[worker]\nlease = 15", ("worker.lease must be a duration in quotes",)),
    (b"[worker]\nconcurrency = true", ("worker.concurrency must be a whole number",)),
    (b"\xff\xfe", ("ergon.toml is not UTF-8 text",)),
    (b'"\x1b[2J" = 1', ("ergon.toml:1:2: ",)),
    (b'"\\u001b[2J" = 1', ("unknown key \\x1b[2J", "known: store")),
]


@pytest.mark.parametrize(("text", "said"), CONFIGS)
def test_wrong_configuration_is_refused_where_it_stands(tmp_path: Path, text: bytes, said: tuple[str, ...]) -> None:
    (tmp_path / "ergon.toml").write_bytes(text)
    with shop(tmp_path) as made:
        refused(made, ["cancel", "x"], 2, *said)


@pytest.mark.parametrize(("name", "said"), [("none.toml", "check --config"), (".", "Is a directory")])
def test_configuration_file_that_cannot_be_read_is_refused(here: Shop, name: str, said: str) -> None:
    refused(here, ["list", "--config", name], 2, said)


def test_wrong_environment_is_named_as_the_origin(tmp_path: Path) -> None:
    with shop(tmp_path, ERGON_WORKER__LEASE="5") as made:
        refused(made, ["list"], 2, "ERGON_WORKER__LEASE: worker.lease: not a duration: '5'")


def test_worker_without_modules_lists_candidates(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "orders.py").write_text("from ergon_runtime import flow\n")
    (tmp_path / "other.py").write_text("x = 1\n")
    with shop(tmp_path) as made:
        refused(made, ["worker"], 2, "no module given, and no flows.py or flows/ in", "-m jobs/orders.py")
    assert not (tmp_path / "ergon.db").exists()


def test_what_a_module_prints_goes_to_stderr(here: Shop) -> None:
    done = here.run("worker", "-m", "broken/prints.py", code=7)
    assert done.stdout == ""
    assert done.stderr.startswith("on stdout\nerror: importing 'broken/prints.py' failed")
    check_harmless(done.stderr)
