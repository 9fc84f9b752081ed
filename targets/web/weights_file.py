"""weights.bin: the weights as they stand in memory, or in fewer bits, from which runtime/weights.js expands them.

bytes    what they take in memory
file     bytes of weights.bin, where it holds anything in fewer bits; the two lists are left out otherwise
copied   [place in memory, place in the file, bytes]: what is the same in both
stored   [place in memory, bits, view, place of the codes, place of the steps]; of float16 there are no steps
made     kernel calls that write, once the file's are in place, what stands behind them in memory
"""

from __future__ import annotations

from typing import Any

from .plan import Plan, spell

ALIGNMENT = 4
"""Bytes: JavaScript's typed arrays start at a multiple of their element size."""


def pack_weights(plan: Plan) -> tuple[dict[str, Any], bytes | bytearray]:
    """What plan.json says of the weights, and weights.bin."""
    behind: dict[str, Any] = {}
    if plan.made:
        behind["made"] = [[call.kernel, *(spell(argument) for argument in call.arguments)] for call in plan.made]
    bytes = len(plan.weights) + plan.room
    if not plan.stored:
        return {"bytes": bytes} | ({"file": len(plan.weights)} | behind if behind else {}), plan.weights
    file = bytearray()
    copied: list[list[int]] = []
    stored: list[list[Any]] = []
    position = 0
    for start, part in sorted(plan.stored.items()):
        _copy(plan.weights, position, start, file, copied)
        entry = [start, part.bits, list(part.view), _append(file, part.packed().data)]
        stored.append(entry if part.steps is None else [*entry, _append(file, part.steps.data)])
        position = start + 4 * part.codes.size
    _copy(plan.weights, position, len(plan.weights), file, copied)
    return {"bytes": bytes, "file": len(file), "copied": copied, "stored": stored} | behind, file


def _copy(weights: bytearray, start: int, stop: int, file: bytearray, copied: list[list[int]]) -> None:
    if stop > start:
        copied.append([start, _append(file, memoryview(weights)[start:stop]), stop - start])


def _append(file: bytearray, data: memoryview) -> int:
    """The place of the data, which comes last in the file now."""
    file.extend(bytes(-len(file) % ALIGNMENT))
    place = len(file)
    file.extend(data.cast("B") if data.nbytes else b"")
    return place
