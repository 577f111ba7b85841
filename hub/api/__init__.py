"""The JSON API for other software, and the small framework it stands on; described to machines at `/v1/openapi.json`.

How to add a route
------------------
Declare a function in one of the modules that `hub/api/every.py` lists::

    @routes.get("/v1/stock", TokenScope.READ, query=StockQuery, answer=StockPage)
    def stock(call: Call) -> StockPage: ...

`query`, `path` and `body` are msgspec Structs: what does not fit them is refused before the function runs, and the
description is made from them, so it cannot differ from what is served. A parameter named `location` is checked against
the token's locations by the framework; what a token bound to some may see without naming one is `call.scope_nos`.
`tests/hub/test_api_isolation.py` walks every route as a token of another location.

Each answer carries an ETag, the digest of its content; `If-None-Match` answers 304. A write needs an Idempotency-Key
and runs in one transaction under the lock that its route names; its answer is stored in that transaction, by the key.
Refusals are `application/problem+json` and leave nothing behind, not even the key.
"""
