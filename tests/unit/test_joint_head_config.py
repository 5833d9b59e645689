"""The section joint_head: off by default, and what cannot mean anything is refused with a line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.joint_head import DEVIATION, JointHeadConfig
from smule_crypten.joint_head.asking import OUTPUT_BITS, RING


def test_there_is_none_unless_asked_for() -> None:
    """A run without the key is what it was before there was a joint head."""
    assert not JointHeadConfig().is_on
    assert JointHeadConfig(name="ridge").is_on


@pytest.mark.parametrize("values", [{"answers": 3}, {"reveal": "both"}, {"features": FeaturesConfig(name="patches")}])
def test_keys_of_no_head_are_refused(values: dict[str, object]) -> None:
    """A key that has no effect would mislead who reads the configuration."""
    with pytest.raises(ValidationError, match="set joint_head=ridge"):
        JointHeadConfig.model_validate(values)


def test_the_head_takes_no_copies() -> None:
    """Sums are over samples as they are; copies would be left out in silence."""
    with pytest.raises(ValidationError, match="leave it out"):
        JointHeadConfig(name="ridge", features=FeaturesConfig(name="patches", copies=4))


def test_answers_stay_in_their_ring() -> None:
    """The difference of two outputs of a row twice as long as usual, under the most noise that may be set: six
    deviations are within the 8 units that an answer's 32 bits hold."""
    most = 2.0
    assert JointHeadConfig(name="ridge", noise=most).noise == most
    assert 6 * 2**0.5 * 2 * most * DEVIATION < 2.0 ** (RING - 1 - OUTPUT_BITS)
    with pytest.raises(ValidationError, match="less than or equal to 2"):
        JointHeadConfig(name="ridge", noise=3.0)
