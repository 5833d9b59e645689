"""The joint head: a ridge head on public features, of the rows of both parties, whose weights nobody sees."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.sections import RARE, Section

DEVIATION = 0.214
"""joint_head.noise is in this unit: the deviation of a head's logits for ten classes, measured on CIFAR-10. Public, so
that the noise is what both agreed on, whatever the data are."""


class JointHeadConfig(Section):
    """Whether there is one, and what may be asked of it (docs/joint-head.md). Both parties agree on it."""

    name: Literal["none", "ridge"] = "none"
    """A third teacher: a linear head on public features, solved from the sums of both parties' rows and kept as shares,
    so that nobody sees it (ridge). None leaves it out."""
    answers: int | None = Field(default=None, ge=0, json_schema_extra=RARE)
    """How many answers of it each party may have, in all uses together; null for a quarter of its features. They are
    counted as disclosures."""
    noise: float = Field(default=0.2, ge=0.0, le=2.0, json_schema_extra=RARE)
    """Standard deviation of each party's normal noise on an output, as a share of the logits' own, for which 0.214
    stands (of targets between 0 and 1). It is drawn once, on the weights; less than
    2^-12 on each is refused where answers are given."""
    reveal: Literal["nobody", "both"] = "nobody"
    """Who sees its weights under the other party's noise after it is solved: nobody, or both, which tells more than a
    jointly trained network does."""
    reveal_small: bool = Field(default=False, json_schema_extra=RARE)
    """Accept that it is revealed though a party has fewer than 20,000 rows, if noise is 0.2 at least; both must. Below
    2,000 rows, or 50 of a class, it never is."""
    features: FeaturesConfig = FeaturesConfig()
    """The public map of its features; none for those of the run, or for the normalised inputs where that has none."""
    penalty: float | None = Field(default=None, gt=0.0, json_schema_extra=RARE)
    """Added to the diagonal of the sums over the rows of both, which keeps weights small: null for twice the number of
    features. The less it is, the better a head tells who was among the rows. It is never more than twice the rows, and
    at least one to four hundredths of them, as errors of the solve demand."""
    bound: float | None = Field(default=None, gt=1.0, json_schema_extra=RARE)
    """Public bound of the eigenvalues in the solve; null for the one that suits the features: 128 with patches, else
    32."""
    iterations: int | None = Field(default=None, ge=1, le=200, json_schema_extra=RARE)
    """Iterations of the solve; null for 28 with patches, else 14."""

    @property
    def is_on(self) -> bool:
        return self.name != "none"

    @model_validator(mode="after")
    def _nothing_of_no_head(self) -> Self:
        changed = sorted(self.model_fields_set - {"name", "features"}) if not self.is_on else []
        different = [key for key in changed if getattr(self, key) != type(self).model_fields[key].default]
        if not self.is_on and self.features.is_on:  # where they are cached means nothing then
            different.append("features")
        if different:
            raise ValueError(f"{', '.join(different)}: belongs to a joint head; set joint_head=ridge")
        return self

    @model_validator(mode="after")
    def _one_set_of_features(self) -> Self:
        if self.features.copies > 1:
            raise ValueError("features.copies: the head takes each sample as it is; leave it out")
        return self
