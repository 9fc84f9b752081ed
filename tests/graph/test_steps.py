"""Sizes that are counted in steps."""

from __future__ import annotations

import pytest

from triport.exporter.graph import parse_dim
from triport.exporter.graph.steps import Steps, in_steps, read_steps


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("height", Steps("height")),
        ("height_over_4*4", Steps("height_over_4", 4)),
        ("height_over_4*4+1", Steps("height_over_4", 4, 1)),
        ("height_over_4*4-3", Steps("height_over_4", 4, -3)),
        ("batch*time", None),
        ("(height)//(2)", None),
        ("28", None),
    ],
)
def test_what_a_dim_is_counted_in(text: str, steps: Steps | None) -> None:
    assert in_steps(parse_dim(text)) == steps
    assert str(parse_dim(text)) == text


def test_names_of_files_that_others_wrote_are_no_steps() -> None:
    assert read_steps("batch size") is read_steps("?") is read_steps("-1") is None


@pytest.mark.parametrize("steps", [Steps("n", 4), Steps("n", 4, 1), Steps("n", 4, -3)])
def test_counts_and_sizes_belong_together(steps: Steps) -> None:
    for count in (1, 2, 7):
        assert steps.count(steps.size(count)) == count
        assert steps.count(steps.size(count) + 1) is None
        assert steps.at_least(steps.size(count)) == steps.at_most(steps.size(count)) == count
        assert (steps.at_least(steps.size(count) + 1), steps.at_most(steps.size(count) - 1)) == (count + 1, count - 1)
    assert steps.count(steps.rest) == (None if steps.rest else 0)
