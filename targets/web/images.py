"""What plan.json says of inputs that are images, for runtime/image.js."""

from __future__ import annotations

from typing import Any

from ...exporter.graph import Graph
from ...exporter.preprocessing import Preprocessing, image_form, preprocessing_of

DEFAULTS = Preprocessing(channels="rgb").to_json()


def images_of(graph: Graph) -> dict[str, dict[str, Any]]:
    """{input: {"layout", "count" of channels, and what is declared}}, for those inputs that are images.

    image.js knows the defaults, so they are left out, but never the range: without one nothing is declared.
    """
    declared = preprocessing_of(graph)
    found: dict[str, dict[str, Any]] = {}
    for value in graph.inputs:
        rules = declared.get(value.name)
        form = image_form(graph, value, rules)
        if form is not None:
            found[value.name] = {"layout": form.layout, "count": form.channels} | (_told(rules) if rules else {})
    return found


def _told(rules: Preprocessing) -> dict[str, Any]:
    return {key: fact for key, fact in rules.to_json().items() if key == "range" or fact != DEFAULTS[key]}
