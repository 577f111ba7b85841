"""The hub's desk: server-rendered pages in a browser, in Chinese and English, and the small framework they stand on.

How to add a page
-----------------
1.  Write a module `hub/pages/<name>.py` with its own routes, and list it in `hub/pages/every.py`::

        from hub.accounts import Right
        from hub.pages.visits import Answer, Routes, Visit

        routes = Routes()

        @routes.get("/products", Right.READ)
        def products(visit: Visit) -> Answer:
            page = visit.paging()                      # ?page=2 → page.number, .size, .offset
            with visit.read() as replica:              # a read transaction
                rows = list_products(replica, visit.query.text("search"), page.offset, page.size + 1)
            return visit.render("products.html", rows=page.cut(rows), page=page)

        @routes.post("/products", Right.CATALOGUE)     # POST: CSRF is checked by the framework
        def add_product(visit: Visit) -> Answer:
            form = visit.form
            name = form.text("name", characters_max=200)
            price_minor = form.money("price")
            if form.is_valid:
                try:
                    with visit.change(ORG, "product.add", subject=code) as change:
                        change.append(SomePayload(...))     # or any function that takes (replica, own_log, …)
                    return visit.redirect(f"/products/{code}", done="done.product_added")
                except RefusalError as error:
                    form.refuse(error, field="name")        # the sentence stands beside the field
            return visit.render("product_new.html", form=form, status=422)   # what was typed is kept

    A handler is blocking code in a worker thread. It returns an `Answer`; a RefusalError that it does not catch
    becomes a page that says the sentence of its code (`refusal.<code>` in schema/locale/*.po) with the way back.

2.  Rights. Each route names the `Right` that it needs; roles and rights are in `hub/accounts.py`. A location in the
    path (`{location:str}`), in the query or in a form field named `location` is checked by the framework against the
    account's locations. Everything else a shop manager must not see is the handler's affair: `visit.locations` holds
    those that may be seen, `visit.sees(location)` asks for one, `visit.is_bound` tells that some may not.
    `tests/hub/test_isolation.py` walks every route as a shop manager of another location.

3.  Changes. `visit.change(scope, act, subject)` opens the write transaction under the scope's lock and appends an
    `act.recorded` entry with the author; all entries that are appended within it share its operation, so the log
    says who did it. `change.replica`, `change.own_log` are for use cases; `change.append(payload, scope=None)` for
    one entry. Nothing is kept where the block raises. Forms that edit something carry `{{ m.version(token) }}`, and
    the handler calls `form.check_version(token)` within the transaction: a stale form is refused (`form_stale`).

4.  Templates are Jinja2 files in `hub/pages/`, autoescaped; they extend `layout.html` and fill `title` and `main`.
    In every template: `t("text.id", fact=…)`, `visit`, filters `money` (minor units), `quantity` (thousandths),
    `when` (ms → local date and time), `day`, `ago` (ms → age), `share` (ppm), and `m`, the macros of `macros.html`:
    `m.field(form, "name", t("…"))`, `m.select(…)`, `m.check(…)`, `m.area(…)`, `m.file(…)`, `m.csrf()`,
    `m.version(token)`, `m.submit(t("…"))`, `m.filters(…)`, `m.pager(page)`, `m.badge(kind, text)`, `m.empty(text)`,
    `m.figure(label, value)`. No inline script or style: the policy of the pages forbids both; classes are in
    `hub/assets/desk.css`.

5.  Partial updates (`hub/assets/desk.js`, no library). `data-swap="#rows"` on a link or form: the answer's element of
    that id replaces the page's. `data-poll="10"` on an element with an id: it is fetched anew every so many seconds.
    `visit.is_partial` tells that only a part will be used. Everything works without the script, too.
    `data-key="a"` on a link or button: that key presses it. `data-confirm="…"`: asks first.

6.  Charts: `hub/pages/charts.py` returns inline SVG as safe markup: `bars(…)`, `lines(…)`, with a title and a
    table of figures for those who cannot see it.

7.  Texts: `hub/locale/{zh,en}.po`; ids are short names, both languages have each: `tests/hub/test_desk_texts.py`.
    Navigation: append to `hub/pages/navigation.py`.

8.  Tests: `tests/hub/desk.py` has `make_account(hub, login, role, locations)` and `at_the_desk(url, login)`, a client
    that signs in and carries CSRF tokens; `tests/hub/browsers.py` opens a real Chromium (`opened_page`), fails on any
    console message, and asks axe-core (`serious_findings`).
"""
