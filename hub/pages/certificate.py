"""The page that says how a browser comes to know this hub, and the certificate for it; anybody may read both."""

from __future__ import annotations

from hub.pages.visits import Answer, Routes, Visit
from schema.errors import RefusalError

routes = Routes()
FILE_NAME = "edgetill-root.crt"


@routes.get("/certificate", None)
def certificate(visit: Visit) -> Answer:
    """Say how to install it, with the fingerprint that `edgetill hub certificate` shows as well."""
    _content(visit)
    return visit.render("certificate.html", fingerprint=visit.hub.identity.browser_fingerprint)


@routes.get("/certificate/root.crt", None)
def certificate_file(visit: Visit) -> Answer:
    """Return the certificate that a browser is to trust."""
    return visit.download(FILE_NAME, _content(visit), "application/x-x509-ca-cert")


def _content(visit: Visit) -> bytes:
    try:
        return visit.hub.identity.browser_pem.encode()
    except FileNotFoundError:
        raise RefusalError(
            "certificate_missing", "this hub has not served over TLS yet: start it without --plain"
        ) from None
