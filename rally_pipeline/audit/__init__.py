"""Audit: is what a note claims true, by the warehouse?

Belongs here: recomputing typed claims and keeping the verdicts. Does not belong here: finding claims (`notes/`) and the
definitions of marts (`marts/`), by which claims are recomputed.
"""

from rally_pipeline.audit.run import audit_claims
from rally_pipeline.audit.verdict import REASONS, AuditResult, Reason, Verdict

__all__ = ["REASONS", "AuditResult", "Reason", "Verdict", "audit_claims"]
