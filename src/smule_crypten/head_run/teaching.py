"""What a party's joint head, in the clear and its own, says of its own samples."""

from __future__ import annotations

import torch

from smule_crypten.joint_head.head_rows import HeadFeatures
from smule_crypten.joint_head.knowledge import HeadKnowledge, head_logits
from smule_crypten.metric_names import TaskName
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.learner import Holding


def head_answers(knowledge: HeadKnowledge, features: HeadFeatures, held: Holding, task: TaskName) -> OwnAnswers:
    """Of all that the party may learn from or judge by: labelled, held-out, unlabelled and public samples.

    Raises:
        DataError, ModelError: as HeadFeatures.of.
    """
    parts = [(part, what) for part, what in ((held.candidates, "own samples"), (held.public, "public samples")) if part]
    logits_NC = [
        head_logits(knowledge, rows_NF, task)
        for part, what in parts
        for rows_NF in features.blocks(part.without_copies(), what)
    ]
    return OwnAnswers(torch.cat([part.sample_ids.cpu() for part, _ in parts]), torch.cat(logits_NC))
