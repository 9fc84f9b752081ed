"""Cells by number."""

from __future__ import annotations
