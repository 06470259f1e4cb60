"""The approvals of sample_flows/approval.py: who is asked how often, and what a rejection tells."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sample_flows.approval import Approval, Document, DocumentError, NoAnswer, Rejected
from tests.runtime.rigs import Rig, rig, stands, virtual

YES = {"approved": True, "by": "Mia"}
NO = {"approved": False, "by": "Leo", "reason": "not so"}


async def decide(here: Rig, number: int, **verdicts: Any) -> Any:
    """Schedule a document, let those answer who are named, and give its end."""
    handle = await here.scheduler.schedule(Approval(Document(f"D-{number}", "Prices")), id=f"D-{number}")
    for role, verdict in verdicts.items():
        await stands(handle, "waiting")
        await handle.signal(f"{role}-D-{number}", verdict)
    try:
        return await handle.result()
    except DocumentError as error:
        return error


def test_two_documents_of_which_one_is_rejected_ask_everybody_as_often_as_needed() -> None:
    async def main() -> None:
        async with rig(Approval) as here:
            published = await decide(here, 1, manager=YES, legal=YES)
            rejected = await decide(here, 2, manager=NO)
            assert (published.address, published.approved_by) == ("/documents/D-1", ["Mia", "Mia"])
            assert (type(rejected), str(rejected)) == (Rejected, "rejected by manager Leo: not so")
            assert (rejected.role, rejected.by, rejected.reason) == ("manager", "Leo", "not so")
            kinds = [*await here.kinds("D-1"), *await here.kinds("D-2")]
            assert Counter(kind.split("-")[0] for kind in kinds) == {
                "step validate": 2,
                "signal manager": 2,
                "signal legal": 1,
                "step publish": 1,
            }

    virtual(main)


def test_document_that_legal_rejects_is_not_published() -> None:
    async def main() -> None:
        async with rig(Approval) as here:
            rejected = await decide(here, 1, manager=YES, legal=NO)
            assert isinstance(rejected, Rejected)
            assert rejected.role == "legal"
            assert await here.kinds("D-1") == ["step validate", "signal manager-D-1", "signal legal-D-1"]

    virtual(main)


def test_document_that_nobody_answers_for_waits_as_long_as_it_has_patience() -> None:
    async def main() -> None:
        async with rig(Approval) as here:
            with pytest.raises(NoAnswer, match="no answer from manager within 600 s"):
                await here.result(Approval(Document("D-1", "Prices"), patience=600))
            validated, timeout = (await here.entries())[1:]
            assert timeout.at - validated.at == 600_000

    virtual(main)
