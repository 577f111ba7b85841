"""Devices as bytes and ports; this package knows no retail."""
