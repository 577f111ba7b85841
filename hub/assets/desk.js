// Partial updates, keys and questions for pages that work without them, too. See hub/pages/__init__.py.
"use strict";

document.documentElement.classList.add("has-script");

const parse = (text) => new DOMParser().parseFromString(text, "text/html");

async function fetchPage(url, options = {}, headers = {}) {
  const response = await fetch(url, { credentials: "same-origin", ...options, headers: { "X-Partial": "1", ...headers } });
  if (response.headers.get("X-Sign-In")) { location.reload(); return null; }
  return { response, page: parse(await response.text()) };
}

function swap(target, page) {
  const now = document.querySelector(target);
  const next = page.querySelector(target);
  if (!now || !next) return false;
  const focused = document.activeElement;
  const name = now.contains(focused) ? focused.getAttribute("name") || focused.id : "";
  now.replaceWith(next);
  if (name) {
    const again = next.querySelector(`[name="${CSS.escape(name)}"], #${CSS.escape(name)}`);
    if (again) again.focus();
  }
  begin(next);
  return true;
}

async function follow(url, target, options) {
  const element = document.querySelector(target);
  if (element) element.classList.add("is-loading");
  try {
    const found = await fetchPage(url, options);
    if (!found) return;
    const isSwapped = swap(target, found.page);
    const isPost = options && options.method === "POST";
    if (!isSwapped) { location.assign(found.response.url); return; }
    if (!isPost || found.response.redirected) history.replaceState(null, "", found.response.url);
    const notice = found.page.querySelector("main > .notice");
    document.querySelectorAll("main > .notice").forEach((old) => old.remove());
    if (notice) document.querySelector("main").prepend(notice);
  } catch {
    if (element) element.classList.remove("is-loading");
    if (!options || options.method !== "POST") location.assign(url);
  }
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const asked = event.target.closest("[data-confirm]");
  if (asked && !confirm(asked.dataset.confirm)) { event.preventDefault(); return; }
  const link = event.target.closest("a[href]");
  if (!link) return;
  const holder = link.closest("[data-swap], [data-swap-links]");
  const target = holder && (link.dataset.swap || holder.dataset.swapLinks);
  if (target && link.origin === location.origin) { event.preventDefault(); follow(link.href, target); }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (form.dataset.busy) { event.preventDefault(); return; }
  const target = form.dataset.swap;
  if (!target) {
    form.dataset.busy = "1";
    setTimeout(() => { delete form.dataset.busy; }, 8000);
    return;
  }
  event.preventDefault();
  const fields = new FormData(form, event.submitter);
  if (form.method === "get") {
    const query = new URLSearchParams([...fields].filter(([, value]) => value !== ""));
    follow(`${new URL(form.action).pathname}?${query}`, target);
  } else {
    const isFile = form.enctype === "multipart/form-data";
    follow(form.action, target, { method: "POST", body: isFile ? fields : new URLSearchParams(fields) });
  }
});

// Filters apply as they are changed.
let typing;
const changed = (event) => {
  const form = event.target.form;
  if (!form || !("live" in form.dataset)) return;
  clearTimeout(typing);
  typing = setTimeout(() => form.requestSubmit(), event.type === "input" ? 300 : 0);
};
document.addEventListener("input", (event) => { if (event.target.matches("input[type=search]")) changed(event); });
document.addEventListener("change", (event) => { if (event.target.matches("select, input[type=checkbox], input[type=date]")) changed(event); });

// One key presses what names it, unless someone is typing.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.matches("input:not([type=checkbox], [type=radio]), select, textarea")) return;
  const found = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key && one.offsetParent);
  if (!found) return;
  event.preventDefault();
  if (found.matches("input, select, textarea")) found.focus(); else found.click();
});

// Ticking the box of a list's head ticks all.
document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-all]");
  if (all) document.querySelectorAll(`input[name="${CSS.escape(all.dataset.all)}"]`).forEach((box) => { box.checked = all.checked; });
});

function begin(root) {
  const polled = [...(root.matches && root.matches("[data-poll]") ? [root] : []), ...root.querySelectorAll("[data-poll]")];
  polled.forEach((element) => {
    const again = () => setTimeout(async () => {
      if (!element.isConnected) return;
      if (document.hidden || element.contains(document.activeElement)) { again(); return; }
      try {
        const found = await fetchPage(element.dataset.src || location.href, {}, { "X-Poll": "1" });
        if (found && found.response.ok && swap(`#${CSS.escape(element.id)}`, found.page)) return;
      } catch { /* The line is down: the page says its age, and tries again. */ }
      again();
    }, Number(element.dataset.poll) * 1000);
    again();
  });
}
begin(document);
