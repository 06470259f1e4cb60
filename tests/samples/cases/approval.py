"""Cases of sample_flows/approval.py: who is asked, and what comes of the answers."""

from __future__ import annotations

from typing import Any

from sample_flows.approval import Approval, Document
from tests.samples.cases import Case

YES = {"approved": True, "by": "Mia"}
NO = {"approved": False, "by": "Leo", "reason": "not so"}
COMMAND = ("Approval", "-a", 'document={"id": "D-7", "title": "Prices"}')


def answered(name: str, *signals: tuple[str, Any], **wanted: Any) -> Case:
    """A document with these answers, given before anybody asks."""
    return Case(
        name,
        "sample_flows.approval",
        lambda: Approval(Document("D-7", "Prices")),
        COMMAND,
        signals=signals,
        **wanted,
    )


CASES = [
    answered(
        "document approved by both",
        ("manager-D-7", YES),
        ("legal-D-7", {**YES, "by": "Leo"}),
        result={"document": "D-7", "address": "/documents/D-7", "approved_by": ["Mia", "Leo"]},
        steps={"validate": 1, "publish": 1},
    ),
    answered("document rejected by the manager", ("manager-D-7", NO), error="Rejected", steps={"validate": 1}),
    answered(
        "document rejected by legal", ("manager-D-7", YES), ("legal-D-7", NO), error="Rejected", steps={"validate": 1}
    ),
    answered(
        "document approved after an answer that is no verdict",
        ("manager-D-7", "fine"),
        ("manager-D-7", {"approved": "maybe", "by": "Mia"}),
        ("legal-D-7", {**YES, "by": "Leo"}),
        ("manager-D-7", YES),
        result={"document": "D-7", "address": "/documents/D-7", "approved_by": ["Mia", "Leo"]},
        steps={"validate": 1, "publish": 1},
    ),
    Case(
        "document that nobody answers for",
        "sample_flows.approval",
        lambda: Approval(Document("D-7", "Prices"), patience=0.1),
        (*COMMAND, "-a", "patience=0.1"),
        error="NoAnswer",
        steps={"validate": 1},
    ),
    Case(
        "document without a title",
        "sample_flows.approval",
        lambda: Approval(Document("D-7", " ")),
        ("Approval", "-a", 'document={"id": "D-7", "title": " "}'),
        error="BadDocument",
        steps={"validate": 1},
    ),
]
