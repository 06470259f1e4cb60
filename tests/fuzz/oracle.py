"""What must hold of every command line, whatever it was given: the judge of the fuzzers.

An exit code that the page on the interface names for the command, an error with its cause and what to do, no frame of
ours, nothing that a terminal obeys, JSON where JSON was asked for, and no password.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CANARY = "cAnArY7"
"""Part of every password that is planted."""
UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
DRAWING = re.compile(r"\x1b\[(?:[0-9;]*m|\?1049[hl]|\?25[hl]|H|K)|(?<=\x1b\[K)\r|\r(?=\n)")
"""What Ergon's own screens make a terminal do."""
CODES: dict[str, frozenset[int]] = {
    "worker": frozenset({0, 2, 6, 7}),
    "schedule": frozenset({0, 2, 3, 4, 6, 7, 124}),
    "run": frozenset({0, 2, 3, 4, 6, 7, 124, 130}),
    "signal": frozenset({0, 2, 3, 6}),
    "inspect": frozenset({0, 2, 3, 4, 6, 124, 130}),
    "replay": frozenset({0, 2, 3, 5, 6, 7}),
    "list": frozenset({0, 2, 6}),
    "retry": frozenset({0, 2, 3, 6}),
    "fork": frozenset({0, 2, 3, 6, 7}),
    "cancel": frozenset({0, 2, 3, 6}),
    "export": frozenset({0, 2, 3, 6}),
    "import": frozenset({0, 2, 6}),
    "store": frozenset({0, 1, 2, 3, 6}),
}
"""Verb to the exit codes that docs/interface.md has for it. 1 is `store` finding what it looks for."""
OURS = (
    f"{ROOT}/ergon_",
    "Task exception",
    "never retrieved",
    "Exception ignored",
    "was never awaited",
    "Exception in thread",
)
"""What only a fault of ours prints. The frames of a flow's own code are the user's to see."""
FLAGS = frozenset(
    [
        "--json",
        "--all",
        "--yes",
        "--dry-run",
        "--adopt",
        "--wait",
        "--burst",
        "--full",
        "--failed",
        "--watch",
        "--stack",
        "--debug",
        "--github",
        "--text",
        "--check-result",
        "--no-signals",
        "--allow-volatile",
        "--help",
        "-h",
        "--version",
        "-V",
    ]
)
"""Options that take no value."""
TOLD = frozenset({2, 3, 6, 7, 124})
"""Codes that never come without an error."""
WIDEST = 400


@dataclass(frozen=True)
class Ran:
    """A command line that was run. `stopped`: it was interrupted, as it would have gone on."""

    args: tuple[str, ...]
    code: int | None
    out: str
    err: str
    raised: str | None = None
    stopped: bool = False


def verbs(args: Iterable[str]) -> list[str]:
    return [arg for arg in args if arg in CODES]


def faults(ran: Ran, *, codes: frozenset[int] | None = None, secrets: bool = True, drawn: bool = False) -> list[str]:
    """All that is wrong with how a command line ended. `drawn`: on a terminal."""
    found = list(_ending(ran, codes))
    found += (
        f"{where}: {said}"
        for where, text in (("stdout", ran.out), ("stderr", ran.err))
        for said in unsafe(text, drawn=drawn)
    )
    interrupted = ran.stopped and "KeyboardInterrupt" in ran.err  # anywhere, also where Python can but tell of it
    without_files = "no attribute '_ssock'" in ran.err  # asyncio's own last words for a loop that had no file left
    if any(sign in ran.err for sign in OURS) and not (interrupted or without_files):
        found.append(f"traceback: {ran.err[-600:]!r}")
    if secrets and CANARY in (ran.err if _given_as_data(ran.args) else ran.out + ran.err):
        found.append(f"secret: {(ran.out + ran.err)!r:.600}")
    if ran.code is not None and asks_for_json(ran.args):
        found += _json(ran)
    return found


def asks_for_json(args: Sequence[str]) -> bool:
    """Whether `--json` is an option here, not the value of one, nor a word after `--`."""
    for place, arg in enumerate(args):
        before = args[place - 1] if place else ""
        if arg == "--":
            return False
        if arg == "--json" and (before in FLAGS or not before.startswith("-")):
            return True
    return False


def _given_as_data(args: Sequence[str]) -> bool:
    """Whether a password stands where a value belongs, not an address: such a value may be shown as data."""
    return any(
        CANARY in arg and not arg.startswith("--store=") and not (place and args[place - 1] == "--store")
        for place, arg in enumerate(args)
    )


def unsafe(text: str, *, drawn: bool = False) -> list[str]:
    """What a terminal would obey, or people could not see. `drawn`: on a terminal, where screens may be coloured and
    drawn anew."""
    if drawn:
        text = DRAWING.sub("", text)
    odd = {char for char in text if char not in "\n\t" and unicodedata.category(char) in UNSAFE}
    return [f"unsafe {sorted(map(ascii, odd))} in {text!r:.300}"] if odd else []


def _ending(ran: Ran, codes: frozenset[int] | None) -> Iterable[str]:
    if ran.raised is not None:
        yield f"raised: {ran.raised}"
        return
    named = verbs(ran.args)
    allowed = codes or frozenset({0, 2}).union(*(CODES[verb] for verb in named))
    if ran.stopped:
        allowed |= {130}
    if ran.code not in allowed:
        yield f"code: {ran.code} of {' '.join(named)}, not of {sorted(allowed)}: {ran.err[-600:]!r}"
    lines = DRAWING.sub("\n", ran.err).splitlines()  # a bar that is written over stands before others
    told = [line for line in lines if line.startswith(("error: ", '{"error": '))]
    if ran.code == 0 and told:
        yield f"ok: exit 0 with an error: {told[0]!r:.300}"
    reported = "replay" in named and ran.code in {2, 3} and ran.out  # a report of each flow
    if ran.code in TOLD and not told and not reported and ran.args:
        yield f"silent: exit {ran.code} without an error: {ran.err[-300:]!r} {ran.out[-100:]!r}"
    if "--json" not in ran.args:
        yield from (f"wide: a line of {len(line)} characters" for line in told if len(line) > WIDEST)
        if len(told) == 1 and lines[-1] == told[0] and not _advises(told[0]):
            yield f"advice: no next action: {told[0]!r}"


def _advises(line: str) -> bool:
    """Whether an error of one line says what to do."""
    line = line.removeprefix("error: ")
    return len(line) > WIDEST - 10 or any(
        sign in line for sign in ("; ", ". ", ": ", "see", "give ", "write ", "as in ")
    )


def _json(ran: Ran) -> Iterable[str]:
    helped = {"--help", "-h", "--version", "-V"} & set(ran.args) or any(arg.startswith("-h") for arg in ran.args)
    if ran.code == 0 and ran.out and not helped:
        yield from (f"json: not JSON on stdout: {line!r:.200}" for line in ran.out.splitlines() if not _is_json(line))
    errors = [line for line in ran.err.splitlines() if line.startswith('{"error"')]
    for line in errors:
        error = json.loads(line)["error"] if _is_json(line) else {}
        if error.keys() != {"code", "message", "hint"} or not error["message"]:
            yield f"json: an error is not whole: {line!r:.300}"
        elif not error["hint"] and not _advises(error["message"].replace("\n", "; ")):
            yield f"advice: no next action: {line!r:.300}"
    if any(line.startswith("error: ") for line in ran.err.splitlines()):
        yield f"json: an error as text: {ran.err[-300:]!r}"


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return line.isascii()


def keeps_secret(words: Sequence[str]) -> bool:
    """Whether each password stands where it can be told from other text: between :// and @, after a name without it."""
    return all(
        CANARY not in re.sub(rf"://(?:(?!{CANARY})[^\s/@:\"'])*:[^\s/@\"']*{CANARY}[^\s/@\"']*@", "://", word)
        for word in words
        if CANARY in word
    )
