"""The registry of entry kinds: every module of this folder that lists `KINDS` adds its kinds."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping

from schema.kinds.base import Kind, Payload


def collect(modules: Iterable[str] | None = None) -> Mapping[tuple[str, int], Kind]:
    """Return the kinds by (name, version); a module of this folder names its own in `KINDS`."""
    names = modules or (f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__))
    kinds: dict[tuple[str, int], Kind] = {}
    for name in names:
        for kind in getattr(importlib.import_module(name), "KINDS", ()):
            assert (kind.name, kind.version) not in kinds, f"kind {kind.name} {kind.version} is listed twice"
            kinds[kind.name, kind.version] = kind
    return kinds


KINDS = collect()
KIND_OF: Mapping[type[Payload], Kind] = {kind.payload: kind for kind in KINDS.values()}
