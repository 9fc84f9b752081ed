"""Optimizers with Keras's names and default hyperparameters; ``torch.optim`` does the work.

``Adam(learning_rate=0.01)`` says what is wanted; the first training step binds it to the model's parameters. A
``torch.optim.Optimizer``, or a function from parameters to one, is accepted wherever these are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import torch
from torch import nn

from ..errors import UsageError
from .schedules import Schedule
from .structure import user_source

LearningRate = float | Schedule | Callable[[int], float]


@dataclass
class Optimizer:
    """Base of all: hyperparameters until ``bind``, then a torch optimizer with them.

    clipnorm         each gradient is scaled down to this norm
    clipvalue        each entry of a gradient is cut to ± this
    global_clipnorm  all gradients together are scaled down to this norm
    """

    learning_rate: LearningRate = 0.001
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    torch_class: ClassVar[type[torch.optim.Optimizer]]
    fused_on: ClassVar[tuple[str, ...]] = ()
    """Device types on which torch's fused kernel is taken: one pass over memory instead of several."""
    bound: torch.optim.Optimizer | None = field(default=None, init=False, repr=False, compare=False)
    parameters: list[nn.Parameter] = field(default_factory=list, init=False, repr=False, compare=False)
    iterations: int = field(default=0, init=False, compare=False)

    def torch_arguments(self) -> dict[str, Any]:
        """This optimizer's hyperparameters under torch's names, the learning rate left out."""
        return {}

    def bind(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the torch optimizer for these parameters; state of an earlier one is dropped."""
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        arguments = {"lr": self.current_rate(), **self.torch_arguments()}
        if self.weight_decay is not None:
            arguments["weight_decay"] = self.weight_decay
        if self.fused_on and all(parameter.device.type in self.fused_on for parameter in self.parameters):
            arguments["fused"] = True
        self.bound = self.torch_class(self.parameters, **arguments)
        return self.bound

    def current_rate(self) -> float:
        """The learning rate of the next step."""
        if isinstance(self.learning_rate, int | float):
            return float(self.learning_rate)
        return float(self.learning_rate(self.iterations))

    def set_rate(self, value: float) -> None:
        """Changes the learning rate, of the torch optimizer too once there is one."""
        self.learning_rate = float(value)
        for group in [] if self.bound is None else self.bound.param_groups:
            group["lr"] = float(value)

    @property
    def lr(self) -> float:
        """The learning rate of the next step, by Keras's old name."""
        return self.current_rate()

    @lr.setter
    def lr(self, value: float) -> None:
        self.set_rate(value)

    def step(self) -> None:
        """One update from the gradients that stand in the parameters."""
        assert self.bound is not None
        if not isinstance(self.learning_rate, int | float):
            rate = self.current_rate()
            for group in self.bound.param_groups:
                group["lr"] = rate
        self.clip()
        self.bound.step()
        self.iterations += 1

    def clip(self) -> None:
        """Cuts gradients as asked for; nothing by default."""
        if self.clipvalue is not None:
            nn.utils.clip_grad_value_(self.parameters, self.clipvalue)
        if self.clipnorm is not None:
            for parameter in self.parameters:
                nn.utils.clip_grad_norm_(parameter, self.clipnorm)
        if self.global_clipnorm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.global_clipnorm)

    def get_config(self) -> dict[str, Any]:
        """The hyperparameters, JSON-only. Raises UsageError TP015 when the learning rate is a function."""
        config: dict[str, Any] = {}
        for item in fields(self):
            if item.init:
                config[item.name] = getattr(self, item.name)
        rate = self.learning_rate
        if isinstance(rate, Schedule):
            config["learning_rate"] = {"class": type(rate).__name__, "config": rate.get_config()}
        elif not isinstance(rate, int | float):
            raise UsageError("TP015", "a learning rate that is a function cannot be written into a file")
        return {key: value for key, value in config.items() if value is not None}


@dataclass
class SGD(Optimizer):
    """w ← w - rate·g, with momentum (v ← momentum·v + g) when asked for."""

    learning_rate: LearningRate = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    torch_class = torch.optim.SGD
    fused_on = ("cpu", "cuda")

    def torch_arguments(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "nesterov": self.nesterov}


@dataclass
class _Moments(Optimizer):
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def torch_arguments(self) -> dict[str, Any]:
        return {"betas": (self.beta_1, self.beta_2), "eps": self.epsilon}


@dataclass
class Adam(_Moments):
    """Adam (Kingma & Ba 2014); ``amsgrad`` keeps the largest second moment."""

    amsgrad: bool = False
    torch_class: ClassVar[type[torch.optim.Optimizer]] = torch.optim.Adam
    fused_on = ("cpu", "cuda")

    def torch_arguments(self) -> dict[str, Any]:
        return {**super().torch_arguments(), "amsgrad": self.amsgrad}


@dataclass
class AdamW(Adam):
    """Adam with the weight decay taken off the weights directly (Loshchilov & Hutter 2017)."""

    weight_decay: float | None = 0.004
    torch_class = torch.optim.AdamW


@dataclass
class Adamax(_Moments):
    """Adam with the largest gradient in place of the second moment."""

    torch_class = torch.optim.Adamax


@dataclass
class Nadam(_Moments):
    """Adam with Nesterov's look ahead (Dozat 2016)."""

    torch_class = torch.optim.NAdam


@dataclass
class RMSprop(Optimizer):
    """The gradient divided by the root of its running mean square."""

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False
    torch_class = torch.optim.RMSprop

    def torch_arguments(self) -> dict[str, Any]:
        return {"alpha": self.rho, "momentum": self.momentum, "eps": self.epsilon, "centered": self.centered}


@dataclass
class Adagrad(Optimizer):
    """The gradient divided by the root of the sum of its squares so far."""

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7
    torch_class = torch.optim.Adagrad

    def torch_arguments(self) -> dict[str, Any]:
        return {"initial_accumulator_value": self.initial_accumulator_value, "eps": self.epsilon}


class TorchOptimizer(Optimizer):
    """A ``torch.optim`` optimizer of the user's, or a function from parameters to one."""

    def __init__(self, made: torch.optim.Optimizer | Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> None:
        super().__init__()
        self.made = made

    def bind(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.bound = self.made if isinstance(self.made, torch.optim.Optimizer) else self.made(self.parameters)
        if not isinstance(self.bound, torch.optim.Optimizer):
            raise UsageError(
                "TP010", f"the optimizer function returned {type(self.bound).__name__}, not a torch optimizer"
            )
        known = {id(tensor) for group in self.bound.param_groups for tensor in group["params"]}
        if not known & {id(parameter) for parameter in self.parameters}:
            raise UsageError(
                "TP010",
                "the torch optimizer holds none of this model's parameters",
                help="build the model first, or pass a function: compile(optimizer=lambda weights: Adam(weights))",
            )
        self.learning_rate = float(self.bound.param_groups[0]["lr"])
        return self.bound

    def step(self) -> None:
        assert self.bound is not None
        self.bound.step()
        self.iterations += 1

    def get_config(self) -> dict[str, Any]:
        raise UsageError(
            "TP015", "an optimizer made outside this package cannot be written into a file", help="name it instead"
        )


KNOWN: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adamax": Adamax,
    "nadam": Nadam,
}
"""Every name that ``optimizer=`` accepts."""

CLASSES: dict[str, type[Optimizer]] = {kind.__name__: kind for kind in KNOWN.values()}


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name, an object, or torch's own. Raises UsageError TP016 for anything else."""
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        kind = KNOWN.get(identifier.lower())
        if kind is not None:
            return kind()
    elif isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    elif isinstance(identifier, torch.optim.Optimizer) or callable(identifier):
        return TorchOptimizer(identifier)
    raise UsageError(
        "TP016", f"optimizer {identifier!r} is not known", at=user_source(), help=f"use one of: {', '.join(KNOWN)}"
    )


__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Adamax", "Nadam", "Optimizer", "RMSprop", "get"]
