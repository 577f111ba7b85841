"""Gives the screen what tells a scanner's keys from typing, so that it needs no knowledge of devices."""

from __future__ import annotations

from drivers.scanner import Scan, Wedge, WedgeDetector, WedgeVerdict, narrowed

__all__ = ["Scan", "Wedge", "WedgeDetector", "WedgeVerdict", "narrowed"]
