"""A document that two people have to approve: the manager first, then legal. Only then it is published.

Shows signals with typed payloads, a time limit for each answer, errors of one's own domain, and steps as methods.

    ergon worker -m sample_flows/approval.py
    ergon schedule Approval -m sample_flows/approval.py -a 'document={"id": "D-7", "title": "Prices"}' --id D-7
    ergon signal manager-D-7 '{"approved": true, "by": "Mia"}'
    ergon signal legal-D-7 '{"approved": true, "by": "Leo"}'
    ergon inspect D-7

It ends with {"document": "D-7", "address": "/documents/D-7", "approved_by": ["Mia", "Leo"]}. `ergon inspect` tells whom
it waits for. A refusal, such as '{"approved": false, "by": "Leo", "reason": "not so"}', makes it fail with Rejected, no
answer within `patience` (seconds, a day unless told) with NoAnswer, a document without a title with BadDocument. A
payload that is no verdict, such as '"fine"', is set aside, and the flow waits on.

    ergon run Approval -m sample_flows/approval.py -a 'document={"id": "D-8", "title": "Fees"}' -a patience=60

needs no worker. It waits for the same signals, sent from another terminal, a minute for each.
"""

from __future__ import annotations

from dataclasses import dataclass

from ergon_runtime import NonRetryableError, flow, flow_type, step, wait_signal


class DocumentError(NonRetryableError):
    """A document was not published."""


class BadDocument(DocumentError):
    """It is not fit to be shown to anybody."""


class Rejected(DocumentError):
    """Somebody said no."""

    def __init__(self, role: str, by: str, reason: str) -> None:
        super().__init__(f"rejected by {role} {by}: {reason or 'no reason given'}")
        self.role, self.by, self.reason = role, by, reason


class NoAnswer(DocumentError):
    """Somebody said nothing in time."""


@dataclass(frozen=True)
class Document:
    id: str
    title: str
    text: str = ""


@dataclass(frozen=True)
class Verdict:
    """The payload of the signals `manager-<document id>` and `legal-<document id>`."""

    approved: bool
    by: str
    reason: str = ""


@dataclass(frozen=True)
class Publication:
    document: str
    address: str
    approved_by: list[str]


@dataclass
@flow_type
class Approval:
    document: Document
    patience: float = 86_400.0

    @step
    async def validate(self) -> None:
        if not self.document.title.strip():
            raise BadDocument(f"document {self.document.id} has no title")

    @step
    async def publish(self) -> str:
        return f"/documents/{self.document.id}"  # to publish it twice is to publish it once

    @flow
    async def run(self) -> Publication:
        await self.validate()
        manager = await self.verdict("manager")
        legal = await self.verdict("legal")  # not asked when the manager says no
        address = await self.publish()
        return Publication(self.document.id, address, [manager.by, legal.by])

    async def verdict(self, role: str) -> Verdict:
        """Not a step: flow code that waits, for days if need be, on no worker."""
        try:
            verdict = await wait_signal(f"{role}-{self.document.id}", Verdict, timeout=self.patience)
        except TimeoutError:
            raise NoAnswer(f"no answer from {role} within {self.patience:g} s") from None
        if not verdict.approved:
            raise Rejected(role, verdict.by, verdict.reason)
        return verdict
