"""What smule-doctor checks of the terms that both parties sign, and of the audit log."""

from __future__ import annotations

import os

from smule_crypten.audit.log import read_log
from smule_crypten.config.between_hosts import NO_TERMS
from smule_crypten.doctor.checkup import Checkup, needed
from smule_crypten.errors import OutputError
from smule_crypten.party.disclosing import audit_path
from smule_crypten.party.inputs import public_configuration
from smule_crypten.terms.approval import approval_of


def check_terms(checkup: Checkup) -> str:
    """What a run looks at before it meets anybody."""
    inputs = needed(checkup.inputs, "the data")
    approval = approval_of(checkup.config, public_configuration(checkup.config, inputs.bundle))
    if approval is None:
        checkup.terms = ""
        return f"{NO_TERMS}, as this side's file says: a run needs nobody's approval"
    checkup.terms, terms, signed_at = approval.digest, approval.terms, approval.signed_at
    return (
        f"signed by {terms.certificates.a.name} on {signed_at['a']} and by {terms.certificates.b.name} on "
        f"{signed_at['b']}, valid until {terms.not_after}, digest {approval.digest[:16]}"
    )


def check_audit_log(checkup: Checkup) -> str:
    """A run does not begin behind a log that is damaged, or that it cannot write."""
    path = audit_path(checkup.config)
    if path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        raise OutputError(f"audit log {path} is no file that this account may read and write; set another audit.path")
    if path.exists():
        found = read_log(path)
        text = f"{path}, whose {len(found.digests)} lines follow from each other, the last one is {found.digest[:16]}"
        cut_off = f"; line {found.torn_from} is cut off, which the next run will say there"
        return text if found.torn_from is None else f"{text}{cut_off}"
    if checkup.config.audit.path is not None and not path.parent.is_dir():
        raise OutputError(f"audit.path: there is no folder {path.parent}; create or mount it")
    return f"{path} will be a new one"
