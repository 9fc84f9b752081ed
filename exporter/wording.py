"""Words that messages share."""

from __future__ import annotations


def with_article(noun: str) -> str:
    """``an OrderedDict``, ``a list``; for the names of types, which are read as they are spelled."""
    return f"an {noun}" if noun[:1].lower() in set("aeio") or noun == "ndarray" else f"a {noun}"
