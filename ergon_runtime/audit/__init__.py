"""The audit: whether what a store holds keeps the rules of docs/protocol.md. It reads only.

`audit_pieces` looks at pieces in memory, `audit` at an open store that may be in use. The check of a rule is a row of a
table: rows.py looks at what every store keeps of a flow, journals.py at its journal, flows.py at both, families.py at
parents and children, post.py at the mail of a whole store.
"""

from ergon_runtime.audit.case import Check, Violation
from ergon_runtime.audit.pieces import CHECKS, audit_pieces
from ergon_runtime.audit.reading import audit, damage
from ergon_runtime.audit.rows import ROWS

__all__ = ["CHECKS", "ROWS", "Check", "Violation", "audit", "audit_pieces", "damage"]
