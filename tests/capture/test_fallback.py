from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function2, captured, sample

from triport.exporter.errors import ModelError

Loss = Callable[[torch.Tensor, torch.Tensor], Any]

LOSSES: dict[str, Loss] = {
    "mse": lambda a, b: (F.mse_loss(a, b), F.mse_loss(a, b, reduction="none")),
    "l1": lambda a, b: F.l1_loss(a, b, reduction="sum"),
    "huber": lambda a, b: (F.huber_loss(a, b, delta=0.5), F.smooth_l1_loss(a, b)),
    "kl_div": lambda a, b: F.kl_div(a, b.sigmoid(), reduction="batchmean"),
    "bce": lambda a, b: (F.binary_cross_entropy(a.sigmoid(), b.sigmoid()), F.binary_cross_entropy_with_logits(a, b)),
    "cosine_similarity": lambda a, b: F.cosine_similarity(a, b),
    "pairwise_distance": lambda a, b: F.pairwise_distance(a, b),
    "soft_margin": lambda a, b: F.soft_margin_loss(a, b.sign()),
    "margin_ranking": lambda a, b: F.margin_ranking_loss(a, b, a.sign()),
    "triplet": lambda a, b: F.triplet_margin_loss(a, b, a + b),
    "poisson": lambda a, b: F.poisson_nll_loss(a, b),
    "cross_entropy": lambda a, b: F.cross_entropy(a, b.softmax(1)),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_losses_are_written_with_ops_that_have_a_meaning(loss: Loss) -> None:
    captured(Function2(loss), sample(3, 5), sample(3, 5, seed=1), dynamic={})


def test_an_op_that_torch_cannot_write_otherwise_is_named_as_the_user_wrote_it() -> None:
    with pytest.raises(ModelError, match=r"aten\.gcd"):
        captured(
            Function2(lambda a, b: torch.gcd(a.int(), b.int()) + b), sample(3, 5), sample(3, 5, seed=1), dynamic={}
        )
