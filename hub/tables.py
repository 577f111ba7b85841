"""The tables as SQLAlchemy Core reads them for reports; migrations make them, never this module."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

_metadata = MetaData()

scope = Table("scope", _metadata, Column("scope_no", Integer, primary_key=True), Column("scope", Text))
stream = Table(
    "stream",
    _metadata,
    Column("scope_no", Integer, primary_key=True),
    Column("stream_no", Integer, primary_key=True),
    Column("node", Text),
    Column("incarnation", Integer),
    Column("head_seq", Integer),
)
sale = Table(
    "sale",
    _metadata,
    Column("scope_no", Integer, primary_key=True),
    Column("stream_no", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text),
    Column("receipt_number", Text),
    Column("business_date", Text),
    Column("operator", Text),
    Column("line_count", Integer),
    Column("total_minor", Integer),
)
node_contact = Table(
    "node_contact",
    _metadata,
    Column("node", Text, primary_key=True),
    Column("last_ms", Integer),
    Column("offset_ms", Integer),
    Column("offset_unc_ms", Integer),
    Column("release", Text),
    Column("entries", Integer),
    Column("bytes_in", Integer),
    Column("bytes_out", Integer),
    Column("status", Text),
)
api_token = Table(
    "api_token",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("token_hash", LargeBinary),
    Column("created_ms", Integer),
)
quarantine = Table(
    "quarantine",
    _metadata,
    Column("quarantine_no", Integer, primary_key=True),
    Column("stream", Text),
    Column("first_seq", Integer),
    Column("code", Text),
    Column("message", Text),
    Column("noted_ms", Integer),
)
