"""Image networks: timm's test nets, families of torchvision in small, facenet-pytorch's detectors with real weights.

Random weights leave batch norms with statistics of 0 and 1, under which activations die out or explode from layer to
layer; `settled` networks have statistics of the noise that they are judged on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from catalog import Inputs, Network, random_floats, seeded
from torch import nn
from torchvision_ops import torchvision_ops

TIMM_TESTS = (
    *("byobnet", "coatnet", "convnext", "convnext2", "convnext3", "efficientnet", "efficientnet_evos"),
    *("efficientnet_gn", "efficientnet_ln", "mambaout", "maxvit", "nfnet", "resnet", "vit", "vit2", "vit3", "vit4"),
    "vit_relpos",
)
"""timm's nets for testing, one a family, each under the name test_<name>."""


def noise(name: str, batch: int, height: int, width: int) -> Inputs:
    """Images under the name that forward gives them."""
    return {name: random_floats(batch, 3, height, width, seed=height + width)}


def settled(make: Callable[[], nn.Module], size: int) -> nn.Module:
    """A seeded network whose batch norms have seen noise of a size; in eval mode."""
    module = seeded(make)
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train().momentum = None  # the mean of what it has seen
        norm.reset_running_stats()
    with torch.no_grad():
        module(random_floats(4, 3, size, size, seed=1))
    return module.eval()


def from_timm(name: str, **options: Any) -> nn.Module:
    torchvision_ops()
    import timm

    return seeded(lambda: timm.create_model(name, **options))


def from_torchvision(name: str, size: int, **options: Any) -> nn.Module:
    """A model by torchvision's name of its class or function, with random weights."""
    torchvision_ops()
    from torchvision import models

    place: Any = models.segmentation if hasattr(models.segmentation, name) else models
    return settled(lambda: getattr(place, name)(**options), size)


def face_net(name: str) -> nn.Module:
    """P-Net, R-Net or O-Net of MTCNN, with the weights that facenet-pytorch carries."""
    torchvision_ops()
    from facenet_pytorch.models import mtcnn

    spec = find_spec("facenet_pytorch")
    assert spec is not None and spec.origin is not None, "it has just been imported"
    net: nn.Module = getattr(mtcnn, name)(pretrained=False)
    net.load_state_dict(torch.load(Path(spec.origin).parent / "data" / f"{name.lower()}.pt", weights_only=True))
    return net.eval()


def face_embedding() -> nn.Module:
    torchvision_ops()
    from facenet_pytorch import InceptionResnetV1

    return settled(lambda: InceptionResnetV1(pretrained=None), 96)


def vision(
    name: str,
    make: Callable[[], nn.Module],
    size: int,
    any_size: bool = False,
    argument: str = "x",
    browser: bool = False,
) -> Network:
    """A network of images, whose batch is free.

    any_size   height and width are free too: it is also judged at others, odd and not square
    argument   what forward calls the images
    """
    if not any_size:
        fixed = functools.partial(noise, argument, height=size, width=size)
        return Network(name, make, fixed, {argument: {0: "batch"}}, browser=browser)
    checks = (
        {"batch": 1, "height": size, "width": size},
        {"batch": 3, "height": size + 21, "width": size - 19},
        {"batch": 1, "height": size // 2 + 7, "width": size + 9},
    )
    free = {argument: {0: "batch", 2: "height", 3: "width"}}
    return Network(name, make, functools.partial(noise, argument), free, checks, browser)


def torchvision(
    name: str, size: int, any_size: bool = False, alias: str = "", argument: str = "x", **options: Any
) -> Network:
    """`from_torchvision` as a network, called by an alias where there is one."""
    make = functools.partial(from_torchvision, name, size, **options)
    return vision(alias or name, make, size, any_size, argument)


RANDOM: dict[str, Any] = {"weights": None, "weights_backbone": None}

NETWORKS = [
    *(vision(f"test_{name}", functools.partial(from_timm, f"test_{name}"), 160) for name in TIMM_TESTS),
    vision("mtcnn_pnet", lambda: face_net("PNet"), 48, any_size=True, browser=True),
    vision("mtcnn_rnet", lambda: face_net("RNet"), 24),
    vision("mtcnn_onet", lambda: face_net("ONet"), 48),
    vision("inception_resnet_v1", face_embedding, 96),
    torchvision("mobilenet_v3_small", 96, any_size=True),
    torchvision("shufflenet_v2_x0_5", 96, any_size=True),
    torchvision("squeezenet1_1", 96, any_size=True),
    torchvision("regnet_y_400mf", 64),
    torchvision("DenseNet", 64, alias="densenet", growth_rate=16, block_config=(2, 2, 2, 2), num_init_features=32),
    torchvision("googlenet", 64, aux_logits=False, init_weights=False),
    torchvision("lraspp_mobilenet_v3_large", 96, any_size=True, argument="input", **RANDOM),
    torchvision("deeplabv3_mobilenet_v3_large", 96, any_size=True, **RANDOM, aux_loss=True),
    torchvision(
        "SwinTransformer",
        56,
        alias="swin",
        patch_size=[4, 4],
        embed_dim=24,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=[7, 7],
    ),
    torchvision(
        "VisionTransformer",
        64,
        alias="vit",
        image_size=64,
        patch_size=16,
        num_layers=2,
        num_heads=2,
        hidden_dim=64,
        mlp_dim=128,
    ),
    vision("mobilevit_xxs", lambda: from_timm("mobilevit_xxs"), 96),
    vision("levit_128s", lambda: from_timm("levit_128s", img_size=128), 128),
]
