"""What a module holds, and where: a call that has left all of it as it was, and calls that have not."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import triport as tp
from triport.exporter.capture.state import state_of
from triport.exporter.errors import ModelError

LARGE = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
"""So large that the example is made up too."""

ANSWERED: list[int] = []
SETTINGS: Any = types.ModuleType("settings")
LAST = 0


class Slotted:
    __slots__ = ("answered", "never")

    def __init__(self) -> None:
        self.answered = 0


class First(nn.Module):
    """Its first answer is another than all that follow."""

    held: Any = None

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).amax((2, 3))
        return y * 2 if self.is_first() else y

    def is_first(self) -> bool:
        raise NotImplementedError


class ByNamespace(First):
    def __init__(self) -> None:
        super().__init__()
        self.held = types.SimpleNamespace(answered=0)

    def is_first(self) -> bool:
        self.held.answered += 1
        return bool(self.held.answered == 1)


class BySlot(ByNamespace):
    def __init__(self) -> None:
        super().__init__()
        self.held = Slotted()


class BySet(First):
    def __init__(self) -> None:
        super().__init__()
        self.held = {"deep": ({1},)}

    def is_first(self) -> bool:
        (numbers,) = self.held["deep"]
        first = 2 not in numbers
        numbers.add(2)
        return first


class ByNumpy(First):
    def __init__(self) -> None:
        super().__init__()
        self.held = np.zeros(3, np.int64)

    def is_first(self) -> bool:
        self.held[2] += 1
        return bool(self.held[2] == 1)


class ByIterator(First):
    def __init__(self) -> None:
        super().__init__()
        self.held = itertools.count()

    def is_first(self) -> bool:
        return bool(next(self.held) == 0)


class ByList(First):
    def is_first(self) -> bool:
        ANSWERED.append(1)
        return len(ANSWERED) == 1


class ByNumberOfTheFile(First):
    def is_first(self) -> bool:
        global LAST
        LAST += 1
        return LAST == 1


class ByOtherFile(First):
    def is_first(self) -> bool:
        SETTINGS.answered = getattr(SETTINGS, "answered", 0) + 1
        return bool(SETTINGS.answered == 1)


class ByItsClass(First):
    shared: ClassVar[dict[str, int]] = {"answered": 0}

    def is_first(self) -> bool:
        self.shared["answered"] += 1
        return self.shared["answered"] == 1


def counting() -> Callable[[], bool]:
    answered = 0

    def is_first() -> bool:
        nonlocal answered
        answered += 1
        return answered == 1

    return is_first


class ByClosure(First):
    def __init__(self) -> None:
        super().__init__()
        self.held = torch.no_grad()(counting())

    def is_first(self) -> bool:
        return bool(self.held())


class ByHook(First):
    def __init__(self) -> None:
        super().__init__()
        is_first = counting()
        self.conv.register_forward_hook(lambda _, __, y: y * 2 if is_first() else y)

    def is_first(self) -> bool:
        return False


FIRSTS = [ByNamespace, BySlot, BySet, ByNumpy, ByIterator, ByClosure, ByHook]
OUTSIDE = [ByList, ByNumberOfTheFile, ByOtherFile, ByItsClass]


@pytest.fixture(autouse=True)
def _nothing_answered() -> Iterator[None]:
    global LAST
    ANSWERED.clear()
    vars(SETTINGS).pop("answered", None)
    ByItsClass.shared["answered"] = LAST = 0
    yield


@pytest.mark.parametrize("module", [*FIRSTS, *OUTSIDE])
def test_a_module_whose_first_answer_is_another_is_found_out(module: type[First]) -> None:
    with pytest.raises(ModelError) as caught:
        tp.capture(module().eval(), LARGE)
    assert caught.value.code == "TP212"


class Plain(First):
    """Holds much, and writes to nothing."""

    def __init__(self) -> None:
        super().__init__()
        me: dict[str, Any] = {}
        me["me"] = [me, float("nan"), np.float32(3), types.SimpleNamespace(module=self), torch.zeros(2), nn.functional]
        self.held = [me, {1, "text"}, range(3), torch.float32, np.zeros(3), Slotted(), counting, ByItsClass]

    def is_first(self) -> bool:
        return len(ANSWERED) + LAST < 0


def test_a_module_that_writes_to_nothing_is_like_later() -> None:
    plain = Plain()
    module = nn.Sequential(plain, nn.LSTM(8, 4)).eval()
    before = state_of(module)
    module(LARGE)
    assert before.is_like(state_of(module))
    plain.held[1].add(2)
    assert not before.is_like(state_of(module))


def test_a_module_that_holds_what_holds_itself_is_refused_as_torch_refuses_it() -> None:
    with pytest.raises(ModelError) as caught:
        tp.capture(Plain().eval(), LARGE)
    assert caught.value.code == "TP207"


def test_a_state_keeps_what_the_module_drops() -> None:
    """So that a new thing in the place of the old is not taken for it."""
    module = First()
    before = state_of(module)
    for _ in range(50):
        module.held = object()
        assert not before.is_like(state_of(module))
