"""Cases of sample_flows/index_files.py, on the files of the standard library's json package."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sample_flows.index_files import index_files
from tests.samples.cases import Case

FOLDER = Path(json.__file__).resolve().parent
FILES = sorted(FOLDER.glob("*.py"))


def is_index(found: Any) -> bool:
    files = found["files"]
    facts = {file.name: file.read_bytes() for file in FILES}
    return (
        found["root"] == str(FOLDER)
        and (found["count"], found["size"]) == (len(facts), sum(map(len, facts.values())))
        and found["lines"] == sum(each["lines"] for each in files)
        and [(each["path"], each["sha256"]) for each in files]
        == [(name, hashlib.sha256(data).hexdigest()) for name, data in facts.items()]
    )


CASES = [
    Case(
        "index of a package",
        "sample_flows.index_files",
        lambda: index_files(str(FOLDER), batch=2),
        ("index_files", "-a", f"folder={FOLDER}", "-a", "batch=2"),
        result=is_index,
        steps={"list_files": 1, "measure": len(FILES)},
    ),
]
