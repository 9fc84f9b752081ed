"""Keras's way of building and training models, with torch underneath: a layer is a ``torch.nn.Module``."""

from __future__ import annotations

from . import activations, callbacks, initializers, layers, losses, metrics, optimizers, regularizers, schedules
from .layers.base import Layer
from .model import Input, Model
from .saving import load_model
from .sequential import Sequential
from .training import set_random_seed, set_seed

__all__ = [
    "Input",
    "Layer",
    "Model",
    "Sequential",
    "activations",
    "callbacks",
    "initializers",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "schedules",
    "set_random_seed",
    "set_seed",
]
