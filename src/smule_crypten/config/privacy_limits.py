"""What a differentially private training cannot have beside it, refused with one line."""

from __future__ import annotations

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import SamplesConfig
from smule_crypten.config.sections import TrainingConfig


def refuse_what_tells(
    training: TrainingConfig,
    exchange: ExchangeConfig,
    samples: SamplesConfig,
    key: str,
    *,
    has_public_pool: bool,
    has_joint_head: bool,
) -> None:
    """Settings by which a training would depend on its samples other than through clipped and noisy gradients.

    Args:
        key: where samples stand.

    Raises:
        ValueError: in words for the user.
    """
    needed = {
        "training.trust=none": training.trust == "none",
        "training.balanced_softmax=false": not training.balanced_softmax,
        "training.class_weights=none": training.class_weights == "none",
        "training.self_mutual=false": not training.self_mutual,
        "training.alarm=report or off": training.alarm != "quarantine",
        # That a check failed ends the run, and so would tell of the samples that were checked.
        "exchange.spot_checks=0": exchange.spot_checks == 0,
        # Samples beside the labelled ones have no gradients that are clipped one by one.
        f"{key}.unlabeled=0": samples.unlabeled == 0,
        "public_pool.name=null": not has_public_pool,
        # Its sums are of whole rows, clipped but without noise.
        "joint_head.name=none": not has_joint_head,
    }
    missing = [setting for setting, is_kept in needed.items() if not is_kept]
    if missing:
        raise ValueError(
            f"training.dp: other settings would tell of training samples past the noise; set {', '.join(missing)}"
        )
