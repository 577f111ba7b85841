"""Reads the settings that the hub gives to this location: its own value where there is one, else the chain's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.kinds.organisation import SettingDefined
from schema.settings import NAME_OF, PriceRules, SettingT, read_setting

if TYPE_CHECKING:
    from edge.node import Node


def setting(node: Node, kind: type[SettingT]) -> SettingT:
    """Return a setting as it holds at this node's location."""
    name = NAME_OF[kind]
    node.organisation.refresh(node.connection)
    for location in (node.config.location, ""):
        found = node.organisation.newest(node.connection, SettingDefined, f"{name}/{location}")
        if found is not None and found.value:  # An empty value follows the chain again.
            return read_setting(kind, found.value)
    return kind()


def selling_list(node: Node) -> str:
    """Return the price list that this location sells at."""
    return setting(node, PriceRules).price_list or node.config.price_list
