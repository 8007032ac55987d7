// The screen of a fleet: it looks at v1/fleet each second, and shows that. What is
// shown is in the URL, so that it can be sent around.

import { el, svg, states, plain, ago, human, many, seconds, clock } from "./words.js";
import { orderForm } from "./order.js";

const $ = (id) => document.getElementById(id);
const look = 1000; // ms between looks
const span = 15 * 60; // s of a time line
const fields = { tab: "", breaker: "", q: "" };

let answer = null, trouble = "", heard = 0, place = read();

function read() {
  const q = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(fields).map(([k, none]) => [k, q.get(k) ?? none]));
}

// go notes a change of place, and shows it. Back leads to where it was before.
function go(change, step) {
  place = { ...place, ...change };
  const url = new URL(location.href);
  for (const [k, none] of Object.entries(fields)) place[k] === none ? url.searchParams.delete(k) : url.searchParams.set(k, place[k]);
  if (url.href !== location.href) history[step ? "replaceState" : "pushState"](null, "", url);
  show();
}

async function ask() {
  try {
    const r = await fetch(new URL("v1/fleet", document.baseURI), { signal: AbortSignal.timeout(8000) });
    const body = await r.json();
    if (!r.ok) throw new Error(body.error?.message || r.statusText);
    if (!body.view && answer?.view) body.view = answer.view, body.explains = answer.explains, body.old = true;
    answer = body;
    trouble = "";
    heard = Date.now();
  } catch (e) {
    trouble = e.name === "TimeoutError" || e instanceof TypeError ? "It does not answer." : e.message;
  }
  show();
}

function show() {
  head();
  for (const b of document.querySelectorAll("nav [data-tab]")) b.setAttribute("aria-selected", String(b.dataset.tab === place.tab));
  if (document.activeElement !== $("search")) $("search").value = place.q;
  const v = answer?.view;
  const shown = !v ? [] : { "": breakers, members, orders, history: past }[place.tab]?.(v) ?? breakers(v);
  if (!v) {
    if (answer) redraw($("main"), el("p", {}, "Nothing has been heard from the fleet yet."));
  } else redraw($("main"), ...(shown.length ? shown : [el("p", {}, { members: "No processes.", orders: "No orders in the last ten minutes, and no standing orders.", history: "Nothing has changed." }[place.tab] || "No breaker matches.")]));
  detail();
}

let pressed = null; // what a pointer is down on
addEventListener("pointerdown", (e) => { pressed = e.target; });
for (const over of ["pointerup", "pointercancel"]) addEventListener(over, () => { pressed = null; });

// redraw replaces what a box shows. What is shown already is not taken out for a
// moment. A click is lost if its button is replaced while it is pressed, so the box
// stays as it is then. The keyboard stays where it was.
function redraw(box, ...children) {
  if (box.contains(pressed)) return;
  const at = box.contains(document.activeElement) ? document.activeElement : null, row = at?.closest(".row");
  for (const c of [...box.childNodes]) if (!children.includes(c)) c.remove();
  children.forEach((c, i) => { if (box.childNodes[i] !== c) box.insertBefore(c, box.childNodes[i] ?? null); });
  if (!at) return;
  const now = at.isConnected ? at : row ? box.querySelector(`[data-id="${CSS.escape(row.dataset.id)}"] .name`) : at.className && box.querySelector("." + at.className);
  now?.focus({ preventScroll: true });
}

function head() {
  const v = answer?.view, self = answer?.self, out = [];
  const banner = (kind, title, text) => out.push(el("div", { class: "banner " + kind, role: kind === "bad" ? "alert" : "status" }, el("b", {}, title), el("span", {}, text)));
  if (trouble) banner("bad", "This page is stale.", trouble + (heard ? ` What you see is ${ago(heard)} old.` : ""));
  if (answer?.error) banner("bad", "The store does not answer.", answer.error + "." + (answer.old ? " This page shows its last answer." : ""));
  if (self?.alone) banner("warn", `This process has been alone since ${clock(self.alone_since)}.`, "Its breakers act by themselves. " + plain(self.last_error || (self.last_dropped ? `It has dropped messages: ${self.last_dropped}.` : "")));
  if (v) {
    $("group").textContent = plain("Fleet " + v.group);
    const silent = v.members.filter((m) => m.silent), advise = v.members.filter((m) => m.advise);
    const quiet = Math.max(v.silent, silent.length), short = v.members.filter((m) => m.omitted && !m.silent);
    $("who").textContent = plain(many(v.members.length - quiet, "process", "processes") + (v.coordinator ? `, coordinator ${v.coordinator}` : "") + (answer.read_only ? " · read-only" : ""));
    if (!v.coordinator && v.members.length) banner("bad", "There is no coordinator.", "Each process acts by itself, and what is shown may be old.");
    if (quiet) banner("warn", `${quiet} silent:`, silent.slice(0, 8).map((m) => `${m.name} for ${human(seconds(m.silent_for))}`).join(", ") + (quiet > 8 ? " and others" : ""));
    if (v.beyond) banner("warn", `${many(v.beyond, "process is", "processes are")} not counted:`, "there are more than the coordinator takes in. They follow verdicts and carry out orders.");
    if (short.length) banner("warn", "More breakers in trouble than a report holds:", short.slice(0, 8).map((m) => `${m.omitted} more at ${m.name}`).join(", ") + (short.length > 8 ? " and others" : ""));
    if (v.omitted) banner("warn", `${many(v.omitted, "breaker is", "breakers are")} not shown:`, "there are more than fit.");
    if (advise.length) banner("warn", `${many(advise.length, "process only advises", "processes only advise")}:`, advise.slice(0, 8).map((m) => m.name).join(", ") + (advise.length > 8 ? " and others" : "") + ". " + (advise.length === 1 ? "It takes part in verdicts, but follows" : "They take part in verdicts, but follow") + " neither them nor orders for all.");
    if (v.dropped) banner("warn", `${many(v.dropped, "message", "messages")} dropped:`, "not understood, or not signed with this key.");
    const bad = v.breakers.filter((b) => b.verdicts?.length).length;
    document.title = plain(`${bad ? `(${bad}) ` : ""}Fleet ${v.group}`);
  }
  $("process").hidden = !self;
  const text = out.map((b) => b.textContent).join("\n");
  if (head.last !== text) { head.last = text; $("banners").replaceChildren(...out); }
  const old = trouble || answer?.error;
  $("live").className = "live " + (old ? "off" : answer ? "on" : "");
  $("live").textContent = old ? "stale" : answer ? "live" : "connecting";
}

const total = (by) => Object.values(by).reduce((a, b) => a + b, 0);

// bar is processes by state, what is not closed first.
function bar(by) {
  return el("div", { class: "bar", role: "img", "aria-label": counts(by) }, ...states.filter((s) => by[s]).map((s) => {
    const i = el("i", { class: s });
    i.style.flexGrow = by[s];
    return i;
  }));
}

const counts = (by) => states.filter((s) => by[s]).map((s) => `${by[s]} ${s}`).join(", ");

function breakers(v) {
  return v.breakers.map((b, i) => [b, i]).filter(([b]) => b.id.toLowerCase().includes(place.q.toLowerCase())).map(([b, i]) => el("div", { class: "row", "data-id": b.id },
    el("button", { class: "name", type: "button", onclick: () => go({ breaker: b.id }) }, b.id),
    el("div", {}, bar(b.states), el("span", { class: "counts" }, counts(b.states))),
    el("div", { class: "zones" }, ...Object.keys(b.zones).filter(Boolean).sort().map((z) => el("span", {}, bar(b.zones[z]), `${z}: ${counts(b.zones[z])}`))),
    lane(b),
    el("span", { class: "why" }, b.verdicts?.length ? `${answer.explains[i] || ""}` : b.drift ? "Settings differ from process to process." : "")));
}

// lane is the share of the processes that let no call through, over time.
function lane(b) {
  const now = Date.parse(answer.at) / 1000, all = total(b.states) || 1, open = new Set(), steps = [];
  const items = answer.history.filter((p) => p.id === b.id).map((p) => ({ ...p, t: Date.parse(p.at) / 1000 })).sort((x, y) => x.t - y.t);
  for (const p of items) {
    p.to === "open" || p.to === "forced-open" ? open.add(p.member) : open.delete(p.member);
    steps.push([Math.max(0, p.t - now + span), open.size]);
  }
  const out = svg("svg", { class: "lane", viewBox: `0 0 ${span} 26`, preserveAspectRatio: "none", role: "img" }, svg("rect", { class: "base", x: 0, y: 25, width: span, height: 1 }));
  out.setAttribute("aria-label", `the last 15 minutes: ${many(items.length, "change", "changes")}`);
  steps.forEach(([x, n], i) => {
    const end = steps[i + 1]?.[0] ?? span, h = Math.min(1, n / all) * 24;
    if (n && end > x) out.append(svg("rect", { x, y: 25 - h, width: Math.max(2, end - x), height: h }));
  });
  return out;
}

function members(v) {
  return v.members.filter((m) => (m.name + m.zone).toLowerCase().includes(place.q.toLowerCase())).map((m) => el("div", { class: "line" },
    el("b", { class: m.silent ? "s-open" : "s-closed" }, m.silent ? `silent ${human(seconds(m.silent_for))}` : m.name === v.coordinator ? "coordinator" : "reports"),
    el("span", { class: "id" }, m.name), el("span", {}, [m.zone && "zone " + m.zone, m.build].filter(Boolean).join(" · ")),
    el("span", { class: "muted" }, [many(m.breakers, "breaker", "breakers"), m.omitted && `${m.omitted} more in trouble than its report holds`, m.advise && "only advises", !m.orders && "takes no orders"].filter(Boolean).join(" · "))));
}

function orders() {
  return answer.orders.filter((r) => r.order.id.toLowerCase().includes(place.q.toLowerCase())).map((r) => {
    const all = Math.max(1, r.members), more = r.silent - (r.names || []).length;
    const text = `${r.done} of ${r.members} done` + (r.refused ? `, ${r.refused} refused: ${r.why[0].member}: ${r.why[0].error}` : "") + (r.silent ? `, ${seconds(r.age) < 5 ? "waiting for" : "silent:"} ${r.names.join(", ")}${more > 0 ? ` and ${more} more` : ""}` : "");
    return el("div", { class: "line order", "data-order": r.id }, el("span", { class: "muted" }, human(seconds(r.age)) + " ago"), el("span", {}, `${r.order.verb} `, el("code", {}, r.order.id)), el("span", {}, r.order.actor + (r.order.reason ? ` (“${r.order.reason}”)` : "")),
      el("span", {}, el("progress", { max: String(all), value: String(r.done), "aria-label": text }), text));
  });
}

const pastLine = (p, of) => el("div", { class: "line" }, el("time", { class: "muted" }, clock(p.at)), el("span", {}, p.id !== of && el("code", {}, p.id, " "), el("b", { class: "s-" + p.to }, p.to)), el("span", {}, p.member + (p.zone ? ` (${p.zone})` : "")), el("span", { class: "muted" }, p.why));

const past = () => answer.history.filter((p) => (p.id + p.member).toLowerCase().includes(place.q.toLowerCase())).slice(0, 300).map((p) => pastLine(p));

// detail is the sheet of one breaker. It stays as it is while someone writes an order.
function detail() {
  const d = $("detail"), i = answer?.view?.breakers.findIndex((b) => b.id === place.breaker) ?? -1;
  if (!place.breaker) { d.open && d.close(); return; }
  if (!answer?.view || d.contains(document.activeElement) && document.activeElement.matches("input, select")) return;
  const b = answer.view.breakers[i];
  const list = (title, lines) => lines.length ? [el("h3", {}, title), el("div", {}, ...lines)] : [];
  const old = d.querySelector("form");
  const form = old?.dataset.id === place.breaker ? old : b && !answer.read_only ? orderForm(b, ask) : null;
  redraw(d.querySelector(".sheet"),
    el("div", { class: "top" }, el("h2", { id: "detail-name", class: "id" }, place.breaker), el("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => go({ breaker: "" }) }, "×")),
    el("p", { class: "explain" }, plain(b ? answer.explains[i] || "" : "No process reports this breaker.")),
    ...(form ? [form] : []),
    ...list("Processes that are not simply closed", (b?.processes || []).map((p) => el("div", { class: "line" }, el("b", { class: "s-" + p.state }, p.state), el("span", {}, p.member), el("span", {}, p.zone ? "zone " + p.zone : ""),
      el("span", { class: "muted" }, [p.calls && `${p.failures} of ${p.calls} calls failed in 4 s`, p.overruled && "stays closed against the verdict: its own calls succeed", p.advised && "only advises, and would be open", p.tripped && "opened by its own rule", p.probing && "probing"].filter(Boolean).join(" · "))))),
    ...list("Settings that differ", Object.entries(b?.drift || {}).map(([k, values]) => el("div", { class: "line" }, el("b", {}, k), ...values.slice(0, 3).map((x) => el("span", {}, `${x.value} in ${x.count}: ${x.members.join(", ")}`))))),
    ...list("History", answer.history.filter((p) => p.id === place.breaker).slice(0, 100).map((p) => pastLine(p, place.breaker))));
  if (!d.open) d.showModal();
}

for (const b of document.querySelectorAll("nav [data-tab]")) b.addEventListener("click", () => go({ tab: b.dataset.tab }));
$("search").addEventListener("input", () => go({ q: $("search").value.trim() }, true));
$("detail").addEventListener("close", () => place.breaker && go({ breaker: "" }));
addEventListener("popstate", () => { place = read(); show(); });
setInterval(() => { if (!document.hidden) ask(); }, look);
await ask();
