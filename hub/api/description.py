"""Describes the API as OpenAPI 3.1, from the very types by which requests are read and answers are written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.api.answers import KEY_CHARACTERS_MAX
from hub.api.calls import TAGS_PATTERN, Route
from hub.api.problems import PROBLEM_TYPE, ApiProblem

_REFERENCE: Final = "#/components/schemas/{name}"
_ABOUT: Final = """Stock, sales, products, prices and conflicts of the chain, for other software.

Money is in minor units (分), quantities in thousandths, moments in milliseconds since 1970-01-01 UTC. A listing gives
`next`, an opaque cursor, until its last page. Every answer has an ETag: send it as If-None-Match to be told that
nothing changed, as If-Match to change only what you saw. Every write needs an Idempotency-Key of its own: the same
request with the same key is done once and answered alike, for a week. Failures are problems (RFC 9457) with a `code`
that stays. Tokens are made at the desk, for what they may do and for the locations that they may see."""
_PROBLEMS: Final = {
    "400": "The request cannot be read: a parameter, the cursor, the body or the Idempotency-Key.",
    "401": "The token is missing, not known or expired.",
    "403": "The token is not for this, or not for this location.",
    "404": "There is no such thing.",
    "429": "The hub is busy: try again after Retry-After.",
    "503": "The hub's database is away or full: try again after Retry-After.",
}
_WRITE_PROBLEMS: Final = {
    "409": "Something else holds this code or barcode, or it was settled or has begun already.",
    "412": "It was changed since the state that If-Match names: read it again.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
    "422": "It was understood, and cannot be done: `code` and `detail` say why.",
    "428": "It needs If-Match: the ETag of what the change was made from.",
}


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI document."""
    bodies = [one.body for one in routes if one.body is not None]
    answers = [one.answer for one in routes]
    kinds: list[type[msgspec.Struct]] = [*bodies, *answers, ApiProblem]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    references = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in routes:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "edgetill hub", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Route, references: Mapping[type[msgspec.Struct], Any]) -> dict[str, Any]:
    about = " ".join((one.work.__doc__ or "").split())
    found: dict[str, Any] = {
        "operationId": one.work.__name__,
        "summary": about,
        "description": f"Needs the token's scope `{one.scope.value}`.",
        "parameters": [*_parameters(one.params, "path"), *_parameters(one.query, "query"), *_headers(one)],
        "responses": _responses(one, references),
    }
    if one.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": references[one.body]}}}
    return found


def _parameters(kind: type[msgspec.Struct], place: str) -> list[dict[str, Any]]:
    found = []
    for field in msgspec.structs.fields(kind):
        schema = msgspec.json.schema(field.type)
        about = schema.pop("description", "")
        if not field.required:
            schema["default"] = field.default
        found.append(
            {
                "name": field.name, "in": place, "required": field.required, "schema": schema,
                **({"description": about} if about else {}),
            }
        )  # fmt: skip
    return found


def _headers(one: Route) -> list[dict[str, Any]]:
    if one.write is None:
        return [_header("If-None-Match", "an ETag: 304 while the answer is still the same", {"type": "string"})]
    key = {"type": "string", "pattern": r"^[!-~]+$", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX}
    match = _header(
        "If-Match",
        "the ETag of what the change is made from; `*` for whatever it is",
        {"type": "string", "pattern": TAGS_PATTERN},
        is_required=one.write.needs_match,
    )
    about = "a text of your own that names this very write: send it again with the same key after a lost answer"
    # A product that is made has no state before it.
    return [
        _header("Idempotency-Key", about, key, is_required=True),
        *([match] if one.params.__struct_fields__ else []),
    ]


def _header(name: str, about: str, schema: Mapping[str, Any], *, is_required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": is_required, "description": about, "schema": dict(schema)}


def _responses(one: Route, references: Mapping[type[msgspec.Struct], Any]) -> dict[str, Any]:
    tag = {"ETag": {"description": "the digest of this answer", "schema": {"type": "string"}}}
    headers = dict(tag)
    if one.write is not None:
        about = "`true` where this request was done before"
        headers["Idempotent-Replayed"] = {"description": about, "schema": {"type": "string"}}
    if one.status == 201:
        headers["Location"] = {"description": "the address of what was made", "schema": {"type": "string"}}
    found: dict[str, Any] = {
        str(one.status): {
            "description": " ".join((one.answer.__doc__ or "").split()),
            "headers": headers,
            "content": {"application/json": {"schema": references[one.answer]}},
        }
    }
    if one.write is None:
        found["304"] = {"description": "It is what If-None-Match names.", "headers": tag}
    problems = _PROBLEMS if one.write is None else {**_PROBLEMS, **_WRITE_PROBLEMS}
    for status, about in sorted(problems.items()):
        found[status] = {"description": about, "content": {PROBLEM_TYPE: {"schema": references[ApiProblem]}}}
    return found
