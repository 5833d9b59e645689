"""Which of its networks a party lets answer its peer (exchange.answer_with)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from smule_crypten.config.run import PartyConfig
from smule_crypten.data.images import DataBundle
from smule_crypten.party.inputs import build_party_model, resolve_device
from smule_crypten.party.run_folder import STANDALONE_FILE, party_folder
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.checkpoint import load_checkpoint


@dataclass(frozen=True)
class AnsweringNetwork:
    """name and model_step, the optimizer steps behind its weights, say which one it is."""

    model: nn.Module
    model_step: int
    name: str


def answering_network(
    config: PartyConfig, bundle: DataBundle, in_training: AnsweringNetwork, best: BestNetwork
) -> AnsweringNetwork:
    """The best network there is, or the one in training.

    The best one is that which `best` keeps; where nothing was offered to it, the one that was trained alone; where
    there is none either, the one in training.

    Raises:
        DataError, ModelError: the file of the network that was trained alone has been damaged since.
    """
    has_finished_one = bool(best.name) or config.training.standalone
    if config.exchange.answer_with == "current" or not has_finished_one:
        return in_training
    if not best.name:
        return standalone_network(config, bundle)
    model = build_party_model(config, bundle).to(resolve_device(config.device))
    best.restore(model)
    return AnsweringNetwork(model, best.model_step, best.name)


def standalone_network(config: PartyConfig, bundle: DataBundle) -> AnsweringNetwork:
    """The network that was trained alone. From its file, so that a run that was cut off finds it, too.

    Raises:
        DataError, ModelError: the file has been damaged since.
    """
    checkpoint = load_checkpoint(party_folder(config) / STANDALONE_FILE)
    model = build_party_model(config, bundle)
    model.load_state_dict(checkpoint.state_dict)
    return AnsweringNetwork(model.to(resolve_device(config.device)), checkpoint.model_step, "alone")


def fallback(config: PartyConfig) -> str | None:
    """What answers where exchange.answer_with=best finds no finished network; None where it finds one."""
    if config.exchange.answer_with == "current" or config.training.standalone:
        return None
    so_far = ", the best of its epochs so far" if config.training.keep == "best" else ""
    return (
        f"party {config.name} answers with its network in training{so_far}: exchange.answer_with=best finds no "
        "finished one with training.standalone=false"
    )
