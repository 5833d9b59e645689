"""What smule-doctor checks of the terms that both parties sign."""

from __future__ import annotations

from smule_crypten.config.between_hosts import NO_TERMS
from smule_crypten.doctor.checkup import Checkup, needed
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
