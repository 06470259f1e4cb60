"""Command lines: good ones of every command, with tokens changed, moved, left out and put in. Run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import hostile
from tests.fuzz.case import Faults
from tests.fuzz.ground import Ground
from tests.fuzz.oracle import CANARY, faults, keeps_secret, verbs

GOOD: tuple[str, ...] = (
    "worker --burst",
    "worker --burst -c 3 --lease 2s --max-entries 500 -m flows.py",
    "schedule fuzz_order -a n=1",
    "schedule fuzz_order -a n:=7 -a note=x --id new-1 --delay 10s",
    'schedule fuzz_order --input {"n":3,"amount":"9.50"}',
    "schedule fuzz_order --input @args.json -a n:=@args.json",
    "schedule fuzz_order --input - --id done",
    "schedule FuzzReport -a title=t --version v2",
    "schedule fuzz_order -a n=1 --id done --wait --timeout 100ms",
    "run fuzz_order -a n=1",
    "run fuzz_order -a n=1 --store memory:// --timeout 5s",
    "run fuzz_fails -a text=no",
    "run fuzz_waits -a name=z --timeout 50ms",
    "signal go 5",
    'signal go-2 {"a":1} --flow waits-1 --id k1',
    "signal nobody text --text",
    "signal go-2 -5 --all",
    "inspect done",
    "inspect failed fuzz_echo",
    "inspect waits-1 --step fuzz --full",
    "inspect parent --view tree --failed",
    "inspect done any failed",
    "inspect flaky --view events",
    "inspect done --watch",
    "inspect sleeps --watch --timeout 100ms",
    "replay done failed",
    "replay --all --status completed --flow fuzz_order --limit 3",
    "replay all.jsonl --junit out.xml --github",
    "replay done --check-result",
    "replay waits-1 --stack",
    "replay done --until fuzz_charge",
    "replay - --check-result",
    "list",
    "list --status failed --status waiting --flow fuzz_waits -n 5",
    "retry failed",
    "retry failed --from fuzz_echo --dry-run",
    "retry --all --flow fuzz_fails --error ValueError --yes",
    "retry blocked --adopt --yes",
    "fork done --from fuzz_send --yes",
    "fork done --from fuzz_charge -a n=9 --id forked-1 --yes",
    'fork done --from fuzz_send --result fuzz_charge={"order":"a","amount":"1"} --no-signals --dry-run',
    "fork --all --from fuzz_echo --status failed --dry-run",
    "cancel sleeps waits-1",
    "export done",
    "export --all --status failed --since 1d -o out.jsonl",
    "import all.jsonl",
    "import - --store sqlite:///new.db",
    "import failed.jsonl --store sqlite:///other.db",
    "store copy sqlite:///ergon.db sqlite:///copied.db",
    "store check",
    "--version",
    "--help",
)
OPTIONS: tuple[str, ...] = (
    *hostile.words("""
    --store --config -m --module --json --help -h --version -V -- - --all --status --flow --error --since
    --before --limit --sample --yes --dry-run --from --adopt --id --input -a --arg --wait --timeout --delay
    --burst -c --lease --view --full --failed --watch --step --stack --until --debug --junit --github
    --check-result --result --no-signals -o --output --text -n --allow-volatile --max-entries --nope -x
    """),
)
URLS: tuple[str, ...] = (
    f"redis://user:{CANARY}@127.0.0.1:1/0",
    f"redis://:{CANARY}@127.0.0.1:1/x",
    f"rediss://u:{CANARY}@127.0.0.1:1/0?ca=no/file",
    f"redis+sentinel://u:{CANARY}@127.0.0.1:1/svc/0",
    f"sqlite://u:{CANARY}@host/x.db",
    f"postgres://u:{CANARY}@host/db",
    "memory://",
    "sqlite:///ergon.db?synchronous=normal",
    "sqlite:///ergon.db?synchronous=off",
    "sqlite:///folder",
    "sqlite:///not_a.db",
    "sqlite:///no/folder/x.db",
    "sqlite:///loop",
    "sqlite:///empty",
    "sqlite:////dev/null",
    "sqlite:////dev/full",
    "sqlite://",
    "sqlite:///%00",
    "sqlite:///" + "x" * 300,
    "redis://127.0.0.1:99999",
    "unix:///no/socket",
    "ergon.db",
    "",
)
WORDS: tuple[str, ...] = (
    *hostile.words("""
    done failed any waits-1 waits flaky parent parent/fuzz_order held blocked cancelled later pending nope
    fuzz_order fuzz_any fuzz_waits FuzzReport fuzz_charge fuzz_echo fuzz_send#2 1/x ~2 fuzz_charge#0 completed
    failed waiting n=1 n:=1 note=x n=@args.json n:=@args.json n:=@/dev/null n:=@folder n:=@nope @args.json
    @empty @latin.json @big.json @deep.json @/dev/zero @/dev/null @folder @loop - all.jsonl failed.jsonl
    other.db empty latin.json folder loop /dev/null /dev/full flows flows.py flows:fuzz_order no_flows raises
    syntax raises.py folder.. json os.path -1 0 1 5s 0s 1ms 99999999d -5s 1w timeline tree events io error fuzz
    fuzz=1 fuzz_charge=1 fuzz_charge={} n=99999999999999999999 text:=null worker list ergon.toml pyproject.toml
    """),
    "odd\x1b[31m\u202e.py",
)
BIG: tuple[str, ...] = ("x" * 120_000, "[" * 50_000, '{"a":' * 10_000, "9" * 100_000, "\u202e" * 20_000)


class CommandLines:
    """Each case is a list of arguments, what stdin holds, and variables of the environment."""

    def __init__(self, folder: Path, patience: float) -> None:
        self._ground = Ground(folder, patience)

    def make(self, random: Random) -> Any:
        args = random.choice(GOOD).split(" ")
        for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 6))):
            random.choice(CHANGES)(random, args)
        if random.random() < 0.3:
            args.insert(random.randrange(len(args) + 1), "--json")
        if random.random() < 0.1:
            args[random.randrange(2) : 0] = ["--store", random.choice(URLS)]
        stdin = random.choice((b"", b"{}", b'{"n": 5}', b"\xff\xfe", b"[", b'"' * 100, b"\n" * 1000))
        environ = {}
        if random.random() < 0.08:
            environ[
                random.choice(("ERGON_STORE", "ERGON_MODULES", "ERGON_WORKER__LEASE", "ERGON_WORKER__CONCURRENCY"))
            ] = random.choice((*URLS, *WORDS)).replace("\0", "")
        return {"args": [arg.replace("\0", "") for arg in args], "stdin": stdin.decode("latin-1"), "environ": environ}

    def run(self, data: Any) -> Faults:
        args, environ = data["args"], {str(name): str(text) for name, text in data["environ"].items()}
        if goes_astray(args):
            return []
        self._ground.renew()
        ran = self._ground.run(args, stdin=data["stdin"].encode("latin-1"), environ=environ, stops=may_go_on(args))
        return faults(ran, secrets=keeps_secret([*args, *environ.values()]))


def goes_astray(args: list[str]) -> bool:
    """Whether a command line would do what is right, and no good here: read an endless file as histories, or begin to
    debug."""
    return any(arg.startswith("/dev/zero") for arg in args) or "--debug" in args


def may_go_on(args: list[str]) -> bool:
    """Whether a command line may go on for ever. Also `worker --burst` does, while another worker has a flow."""
    named = verbs(args)
    return "worker" in named or "run" in named or any(arg in ("--watch", "--wait") for arg in args)


def _replace(random: Random, args: list[str]) -> None:
    if args:
        args[random.randrange(len(args))] = _token(random)


def _insert(random: Random, args: list[str]) -> None:
    args.insert(random.randrange(len(args) + 1), _token(random))


def _delete(random: Random, args: list[str]) -> None:
    if args:
        del args[random.randrange(len(args))]


def _double(random: Random, args: list[str]) -> None:
    if args:
        args.insert(random.randrange(len(args) + 1), random.choice(args))


def _swap(random: Random, args: list[str]) -> None:
    random.shuffle(args) if random.random() < 0.3 else args.append(args.pop(0)) if args else None


def _garble(random: Random, args: list[str]) -> None:
    if args:
        place = random.randrange(len(args))
        args[place] = hostile.mutate_text(random, args[place])


def _value(random: Random, args: list[str]) -> None:
    """Another value for an option that is there."""
    places = [place for place, arg in enumerate(args[:-1]) if arg.startswith("-")]
    if places:
        args[random.choice(places) + 1] = _token(random)


def _option(random: Random, args: list[str]) -> None:
    """One more option, with a value or `=` and a value."""
    option = random.choice(OPTIONS)
    place = random.randrange(len(args) + 1)
    match random.randrange(3):
        case 0:
            args[place:place] = [option]
        case 1:
            args[place:place] = [option, _token(random)]
        case _:
            args[place:place] = [f"{option}={_token(random)}"]


def _store(random: Random, args: list[str]) -> None:
    args[len(args) :] = ["--store", random.choice(URLS)]


def _many(random: Random, args: list[str]) -> None:
    args += [random.choice((*OPTIONS, *WORDS))] * random.choice((3, 300))


def _token(random: Random) -> str:
    match random.randrange(12):
        case 0 | 1 | 2 | 3 | 4:
            return random.choice(WORDS)
        case 5 | 6:
            return random.choice(OPTIONS)
        case 7 | 8:
            return hostile.text(random)
        case 9:
            return random.choice(("\udcff", "a\udc80b", "n=\udcff", "--\udcff"))
        case 10:
            return random.choice(URLS)
        case _:
            return (
                random.choice(BIG)
                if random.random() < 0.3
                else random.choice(("n=", "n:=", "note=", "-a")) + hostile.text(random)
            )


CHANGES: tuple[Callable[[Random, list[str]], None], ...] = (
    _replace,
    _replace,
    _insert,
    _delete,
    _double,
    _swap,
    _garble,
    _garble,
    _value,
    _value,
    _option,
    _option,
    _store,
    _many,
)
