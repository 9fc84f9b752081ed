"""Regions that torch.export keeps as programs of their own (autocast, no_grad), put back where they are called.

before:  region = wrap_with_autocast("cpu", bfloat16, …, submod_1, x, w);  y = region[0]
after:   y = linear(x, w)

Gradients have no meaning in a graph, and what autocast converts is converted to float32 again (`precision`).
"""

from __future__ import annotations

import operator

import torch
import torch.fx
from torch.export import ExportedProgram

_REGIONS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}
"""Higher-order op → how many of its arguments stand before the program that it runs."""


def without_regions(program: ExportedProgram) -> ExportedProgram:
    """The same program with every region inlined; nested ones too."""
    module = program.graph_module
    while calls := [node for node in module.graph.nodes if _settings(node) is not None]:
        for call in calls:
            _inline(module, call)
        module.recompile()
    return program


def _settings(node: torch.fx.Node) -> int | None:
    if node.op != "call_function" or not isinstance(node.target, torch._ops.HigherOrderOperator):
        return None
    return _REGIONS.get(str(node.target))


def _inline(module: torch.fx.GraphModule, call: torch.fx.Node) -> None:
    settings = _settings(call)
    assert settings is not None, "only calls of regions are inlined"
    body, *arguments = call.args[settings:]
    assert isinstance(body, torch.fx.Node) and isinstance(body.target, str), "a region is an attribute of the program"
    region = module.get_submodule(body.target)
    assert isinstance(region, torch.fx.GraphModule)
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    given = iter(arguments)
    returned: object = None
    with module.graph.inserting_before(call):
        for node in region.graph.nodes:
            if node.op == "placeholder":
                argument = next(given)
                assert isinstance(argument, torch.fx.Node), "a region takes tensors and sizes"
                copies[node] = argument
            elif node.op == "output":
                returned = torch.fx.node.map_arg(node.args[0], copies.__getitem__)
            else:
                if node.op == "get_attr":  # a region inside a region: its program moves along
                    name = f"{body.target}_{node.target}"
                    setattr(module, name, getattr(region, str(node.target)))
                    copies[node] = module.graph.get_attr(name)
                    continue
                copies[node] = module.graph.node_copy(node, copies.__getitem__)
    _replace(module, call, returned)


def _replace(module: torch.fx.GraphModule, call: torch.fx.Node, returned: object) -> None:
    """What the region returns, in the place of what its call returned."""
    if isinstance(returned, torch.fx.Node):
        call.replace_all_uses_with(returned)
    else:
        assert isinstance(returned, list | tuple)
        for user in list(call.users):
            assert user.target is operator.getitem, "only items of a region's results are used"
            item = returned[user.args[1]]  # type: ignore[index]
            assert isinstance(item, torch.fx.Node)
            user.replace_all_uses_with(item)
            module.graph.erase_node(user)
    body = next(argument for argument in call.args if isinstance(argument, torch.fx.Node))
    module.graph.erase_node(call)
    if not body.users:
        module.graph.erase_node(body)
