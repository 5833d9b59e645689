"""What an answer opens, and nothing else: the differences between the logits of a sample, or each value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scheme_steps import elements_that_lean_opens, elements_that_lean_opens_without_an_offset
from steps import LEAN, open_to_party_a

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.testing import PartyPool, check_scheme
from smule_crypten.types import InferenceQuery, centred

INPUTS = torch.randn(300, 1, 2, 2, generator=torch.Generator().manual_seed(0))
SHIFT = 1.0
"""What the biases of the last layer have in common in one run, and not in the other."""


def hides_what_is_common(first: torch.Tensor, again: torch.Tensor, ring: int) -> bool:
    """Whether elements (300, C) of two runs differ by one number a sample, new and uniform modulo 2^ring."""
    change_NC = (first - again) & ((1 << ring) - 1)
    bits = torch.stack([(change_NC[:, 0] >> shift) & 1 for shift in range(ring)]).double()
    is_one_number = torch.equal(change_NC, change_NC[:, :1].expand_as(change_NC))
    is_new = len(change_NC[:, 0].unique()) == len(change_NC)
    return is_one_number and is_new and float((bits.mean() - 0.5).abs()) * 2 * bits.numel() ** 0.5 < 5


class TestLean:
    """A network without roundings, so that what is opened can be compared bit by bit."""

    def opened(self, pool: PartyPool, step: Callable[..., Any], opening: str, shift: float) -> Any:
        at_data_owner, at_model_owner = pool.run(step, INPUTS, opening, shift, dealt=True)
        assert at_model_owner[0].numel() == 0
        return at_data_owner

    def test_differences_say_nothing_of_what_is_common(self, pool: PartyPool) -> None:
        """Another common bias gives the same answers, and what crosses for it is masked by one new number a sample."""
        (first, first_NC), (other, other_NC) = (
            self.opened(pool, elements_that_lean_opens, "differences", shift) for shift in (0.0, SHIFT)
        )
        assert torch.equal(first_NC, other_NC)
        assert hides_what_is_common(first, other, 32)

    def test_a_missing_mask_is_seen(self, pool: PartyPool) -> None:
        """Control: without the number the answers are the same, and what crosses is not."""
        (first, first_NC), (other, other_NC) = (
            self.opened(pool, elements_that_lean_opens_without_an_offset, "differences", shift)
            for shift in (0.0, SHIFT)
        )
        assert torch.equal(first_NC, other_NC)
        assert not hides_what_is_common(first, other, 32)

    def test_values_are_the_logits(self, pool: PartyPool) -> None:
        """Nothing covers them but noise, which is left out here: twice the same elements, and the shift shows."""
        runs = [self.opened(pool, elements_that_lean_opens, "values", shift) for shift in (0.0, 0.0, SHIFT)]
        (first, first_NC), (again, _), (_, shifted_NC) = runs
        assert torch.equal(first, again)
        weight_CF, bias_C = torch.linspace(-1, 1, 20).view(5, 4), torch.linspace(2, 3, 5)
        assert torch.allclose(first_NC, INPUTS.flatten(1) @ weight_CF.T + bias_C, atol=3e-3)
        assert torch.allclose(shifted_NC - first_NC, torch.tensor(SHIFT), atol=1e-4)


class TestCrypten:
    def test_differences_say_nothing_of_what_is_common(self, pool: PartyPool) -> None:
        """As with lean, in the ring of 2^64."""
        secret_NC = torch.randn(300, 10, generator=torch.Generator().manual_seed(0))
        (first, _), (other, _) = (pool.run(open_to_party_a, secret_NC + shift) for shift in (0.0, SHIFT))
        assert torch.allclose(centred(first.logits_NC), centred(other.logits_NC), atol=2.0**-14)

    def test_values_are_the_logits(self, pool: PartyPool) -> None:
        """Of one output, too; the model owner receives nothing."""
        for outputs in (10, 1):
            secret_NC = torch.randn(300, outputs, generator=torch.Generator().manual_seed(0))
            at_owner, at_other = pool.run(open_to_party_a, secret_NC, "values")
            assert torch.allclose(at_owner.logits_NC, secret_NC, atol=2.0**-15)
            assert at_owner.num_bytes == 8 * 300 * outputs
            assert at_other == (None, None, 0)


class OneNoiseForAll(LeanScheme):
    """All values of a sample get the same noise, so their differences come as they are."""

    def output_noise(self, answerer: Answerer, size: tuple[int, ...]) -> torch.Tensor | None:
        noise = super().output_noise(answerer, size)
        return noise if noise is None or self.opening == "differences" else noise[:, :1].expand(size)


class NoNoiseOnWhatIsCommon(CryptenScheme):
    """Noise that is centred: what the values of a sample have in common comes as it is."""

    def output_noise(self, answerer: Answerer, size: tuple[int, ...]) -> torch.Tensor | None:
        noise = super().output_noise(answerer, size)
        return noise if noise is None or self.opening == "differences" or size[1] == 1 else centred(noise)


class LessNoiseThanSaid(PlaintextScheme):
    """On differences."""

    def output_noise(self, answerer: Answerer, size: tuple[int, ...]) -> torch.Tensor | None:
        noise = super().output_noise(answerer, size)
        return noise if noise is None or self.opening == "values" else 0.7 * noise


class NoiseForDifferences(SecureInferenceScheme):
    """Measures the scatter of the centred logits, whatever is opened."""

    @classmethod
    def answerer_of(cls, *arguments: Any, opening: Any, **options: Any) -> Answerer:
        answerer = super().answerer_of(*arguments, opening=opening, **options)
        if answerer.network.architecture.output_shape == (1,):
            return answerer
        wrong = super().answerer_of(*arguments, opening="differences", **options).scatter
        return dataclasses.replace(answerer, scatter=dataclasses.replace(wrong, opening=opening))


class LeanNoiseForDifferences(NoiseForDifferences, LeanScheme):
    pass


class CryptenNoiseForDifferences(NoiseForDifferences, CryptenScheme):
    pass


class DifferencesForValues(PlaintextScheme):
    """Opens the centred logits where there are several, whatever is asked for."""

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        logits_NC, seconds = super()._run(answerer, asked, answered)
        return (centred(logits_NC) if logits_NC.shape[1] > 1 else logits_NC), seconds


class OneOutputAccepted(PlaintextScheme):
    """Takes a network of which there is nothing to open."""

    def __init__(self, *arguments: Any, opening: Any) -> None:
        super().__init__(*arguments, opening="values")
        self.opening = opening


@pytest.mark.parametrize(
    ("scheme", "clause"),
    [
        (OneNoiseForAll, "^values of 3 outputs, inputs .+: the noise is not of each output alone"),
        (NoNoiseOnWhatIsCommon, "^values of 3 outputs, inputs .+: the noise is not of each output alone"),
        (LessNoiseThanSaid, "^differences of 3 outputs, inputs .+: the noise is not .* or not what is announced"),
        (LeanNoiseForDifferences, "^values: 3 outputs alike get noise of"),
        (CryptenNoiseForDifferences, "^values: 3 outputs alike get noise of"),
        (DifferencesForValues, "values of 3 outputs, .* a logit is off by"),
        (OneOutputAccepted, "differences of a network of one output were accepted"),
    ],
)
def test_contract_suite_catches_wrong_openings(
    pool: PartyPool, scheme: type[SecureInferenceScheme], clause: str
) -> None:
    """Protects: noise that leaves something open, or is measured for something else, does not pass the contract."""
    config = LEAN if issubclass(scheme, LeanScheme) else SchemeConfig(name=scheme.name)
    with pytest.raises(AssertionError, match=clause):
        check_scheme(
            pool, scheme, dealt=scheme.traits.needs_dealer, config=config.model_copy(update={"micro_batch": 2})
        )
