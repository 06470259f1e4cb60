"""The hash seed of a store: taken over once, by beginning again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ergon_cli.hashseed import under_hash_seed


class Replaced(Exception):
    """Stands for the process that is no more."""


def test_process_under_another_seed_begins_again_with_its_own_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, list[str], str]] = []

    def execve(path: str, argv: list[str], environ: dict[str, str]) -> None:
        begun.append((path, argv, environ["PYTHONHASHSEED"]))
        raise Replaced

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "ergon_cli", "worker"])
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    with pytest.raises(Replaced):
        under_hash_seed("8")
    assert begun == [(sys.executable, [sys.executable, "-m", "ergon_cli", "worker"], "8")]
    under_hash_seed("7")
    assert len(begun) == 1


def test_sets_iterate_alike_in_processes_under_one_seed() -> None:
    code = (
        "from ergon_cli.hashseed import under_hash_seed; under_hash_seed('12345');"
        "print(list({str(n) for n in range(50)}))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env=environ | given, capture_output=True, text=True, check=True
        ).stdout
        for given in ({}, {"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "random"})
    }
    assert len(seen) == 1
