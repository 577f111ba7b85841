"""Gives the screen what tells a scanner's keys from typing, so that it needs no knowledge of devices."""

from __future__ import annotations

from drivers.scanner import DuplicateGuard, Scan, Wedge, WedgeDetector, WedgeVerdict, narrowed

__all__ = ["DuplicateGuard", "Scan", "Wedge", "WedgeDetector", "WedgeVerdict", "narrowed"]
