"""Who is at the other end of a line on the local network: TLS in which both sides show the organisation's certificate.

Certificates are checked offline: the organisation's key, pinned at enrolment, must have signed them, and a node's id is
derived from its public key, so that a certificate cannot name another node than the one whose key answers. What a peer
may exchange is judged by the grants in the organisation's scope as they stand here, never by the certificate's age.
"""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.config import CERTIFICATE_FILE
from schema.errors import RefusalError
from schema.identity import ORG, NodeId, node_id
from schema.kinds.organisation import AuthorityGranted, AuthorityRevoked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.node import Node


def server_context(node: Node) -> ssl.SSLContext:
    """Return the TLS side that listens; raises RefusalError `certificate_missing` on a node that has none."""
    return _armed(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), node)


def client_context(node: Node) -> ssl.SSLContext:
    """Return the TLS side that calls; raises RefusalError `certificate_missing` on a node that has none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A neighbour is no host name: whose certificate it shows is read from it (`peer_of`).
    context.check_hostname = False
    return _armed(context, node)


def _armed(context: ssl.SSLContext, node: Node) -> ssl.SSLContext:
    certificate = node.directory / CERTIFICATE_FILE
    if not certificate.exists() or not node.config.ca_pem:
        raise RefusalError(
            "certificate_missing", f"{node.directory} holds no certificate: it cannot meet its neighbours"
        )
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=node.config.ca_pem)
        with _key_file(node) as key_file:
            context.load_cert_chain(certificate, key_file)
    except (ssl.SSLError, OSError) as error:
        raise RefusalError("certificate_invalid", f"{certificate} does not fit this node's key: {error}") from None
    return context


@contextmanager
def _key_file(node: Node) -> Iterator[Path]:
    """Lend the private key as a file, which the TLS library wants, without letting it touch a disk."""
    content = node.signer.private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    number = os.memfd_create("node-key")
    try:
        os.write(number, content)
        yield Path(f"/proc/self/fd/{number}")
    finally:
        os.close(number)


def peer_of(certificate: bytes | None) -> NodeId:
    """Return the node whose certificate (DER, already verified by TLS) this is; raises RefusalError `peer_unknown`."""
    try:
        read = x509.load_der_x509_certificate(certificate or b"")
        key = read.public_key()
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        nodes = names.get_values_for_type(x509.DNSName)
    except (ValueError, x509.ExtensionNotFound):
        raise RefusalError("peer_unknown", "the neighbour shows no certificate of a node") from None
    if not isinstance(key, Ed25519PublicKey):
        raise RefusalError("peer_unknown", "the neighbour's key is no node's")
    found = node_id(key.public_bytes_raw())
    if found not in nodes:
        raise RefusalError("peer_unknown", "the neighbour's certificate names another node than its key")
    return found


def may_exchange(node: Node, peer: NodeId) -> list[str]:
    """Return the scopes that a peer may exchange here.

    Whoever holds the organisation's certificate may have `org`, so that two nodes come to know of each other's
    grants; the location's scope is for its own nodes. Raises RefusalError `node_revoked`.
    """
    organisation, connection = node.organisation, node.connection
    organisation.refresh(connection)
    if organisation.all(connection, AuthorityRevoked, peer):
        raise RefusalError("node_revoked", f"the node {peer} has left the organisation")
    grants = organisation.all(connection, AuthorityGranted, peer)
    is_neighbour = any(grant.location == node.config.location for grant in grants)
    return [ORG, node.config.scope] if is_neighbour else [ORG]
