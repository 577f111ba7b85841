"""Failures as the API tells them: `application/problem+json` (RFC 9457) with a stable code."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Annotated, Final

import msgspec

from schema.errors import EdgetillError, RefusalError, TransientError

PROBLEM_TYPE: Final = "application/problem+json"
_STATUS: Final = {
    "token_missing": HTTPStatus.UNAUTHORIZED,
    "token_unknown": HTTPStatus.UNAUTHORIZED,
    "token_expired": HTTPStatus.UNAUTHORIZED,
    "token_orphaned": HTTPStatus.UNAUTHORIZED,
    "token_forbidden": HTTPStatus.FORBIDDEN,
    "location_forbidden": HTTPStatus.FORBIDDEN,
    "product_unknown": HTTPStatus.NOT_FOUND,
    "conflict_unknown": HTTPStatus.NOT_FOUND,
    "sale_unknown": HTTPStatus.NOT_FOUND,
    "stock_unknown": HTTPStatus.NOT_FOUND,
    "path_unknown": HTTPStatus.NOT_FOUND,
    "method_unknown": HTTPStatus.METHOD_NOT_ALLOWED,
    "product_exists": HTTPStatus.CONFLICT,
    "barcode_taken": HTTPStatus.CONFLICT,
    "conflict_settled": HTTPStatus.CONFLICT,
    "price_begun": HTTPStatus.CONFLICT,
    "record_changed": HTTPStatus.PRECONDITION_FAILED,
    "etag_stale": HTTPStatus.PRECONDITION_FAILED,
    "etag_missing": HTTPStatus.PRECONDITION_REQUIRED,
    "idempotency_key_missing": HTTPStatus.BAD_REQUEST,
    "parameter_invalid": HTTPStatus.BAD_REQUEST,
    "parameter_unknown": HTTPStatus.BAD_REQUEST,
    "parameter_twice": HTTPStatus.BAD_REQUEST,
    "cursor_invalid": HTTPStatus.BAD_REQUEST,
    "body_invalid": HTTPStatus.BAD_REQUEST,
    "request_malformed": HTTPStatus.BAD_REQUEST,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "body_slow": HTTPStatus.REQUEST_TIMEOUT,
    "media_type_unknown": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "busy": HTTPStatus.TOO_MANY_REQUESTS,
    "store_busy": HTTPStatus.TOO_MANY_REQUESTS,
}
"""By code; every other refusal is 422: the request was understood, and cannot be done as asked."""
_log = logging.getLogger("edgetill.hub")


class ApiProblem(msgspec.Struct, frozen=True):
    """Why a request was not done; `code` is stable, `detail` an English sentence for people."""

    type: Annotated[str, msgspec.Meta(description="`urn:edgetill:problem:` and the code")]
    title: str
    status: int
    detail: str
    code: str


def problem_status(error: EdgetillError | None) -> HTTPStatus:
    """Return the status that a failure is answered with: 503 while the database is away or full, 500 for our faults."""
    if isinstance(error, RefusalError):
        return _STATUS.get(error.code, HTTPStatus.UNPROCESSABLE_ENTITY)
    if isinstance(error, TransientError):
        return _STATUS.get(error.code, HTTPStatus.SERVICE_UNAVAILABLE)
    if error is not None:
        _log.critical("the hub must stop: %s [%s]", error.message, error.code)
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem_of(error: EdgetillError | None, status: HTTPStatus) -> ApiProblem:
    """Return what is told of a failure; what concerns the hub's administrator alone is not told in detail."""
    if error is None or status is HTTPStatus.INTERNAL_SERVER_ERROR:
        code, detail = "internal", "the hub failed; its log says how"
    else:
        code, detail = error.code, error.message
    return ApiProblem(f"urn:edgetill:problem:{code}", status.phrase, int(status), detail[:1000], code[:96])
