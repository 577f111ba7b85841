"""Draws a text as a QR code in SVG, for a camera to read off the page."""

from __future__ import annotations

import qrcode
from markupsafe import Markup

from hub.pages.charts import svg

_QUIET = 4


def draw_qr(text: str, title: str) -> Markup:
    """Return a picture of the text, with the quiet zone that readers need; dark on light in either colour scheme."""
    code = qrcode.QRCode(border=0)
    code.add_data(text)
    code.make(fit=True)
    rows = code.get_matrix()
    size = len(rows) + 2 * _QUIET
    dark = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z" for y, row in enumerate(rows) for x, is_dark in enumerate(row) if is_dark
    )
    parts = [f'<rect class="qr-light" width="{size}" height="{size}"/>', f'<path class="qr-dark" d="{dark}"/>']
    return svg(title, size, size, parts)
