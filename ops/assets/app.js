// The page: it looks at the process, follows its events, and shows both.

import { el, svg, states, stateWords, count, clock, verbWords, many, plain, ident } from "./words.js";
import { ask, follow } from "./net.js";
import { Model } from "./model.js";
import { List } from "./list.js";
import { Detail } from "./detail.js";
import { Timeline } from "./timeline.js";
import { askOrder } from "./order.js";
import * as place from "./place.js";

const $ = (id) => document.getElementById(id);
const look = 5000; // ms between looks at everything
const stale = 12000; // ms without any message

const model = new Model();
let chosen = "", tab = "", alive = 0, gone = false, looking = false, wanted = false, cost = 0, began = "";
const dirty = new Set();
const orders = [];
const fresh = new Set(); // names whose plots are of this look

const detail = new Detail(model, {
  order: (row) => askOrder(row, ordered),
  timeline: (id) => turn({ tab: "timeline", breaker: "", q: id }),
  closed: () => place.go({ breaker: "" }),
});
const timeline = new Timeline(model, { detail: (id) => turn({ breaker: id }) });
const list = new List(model, {
  detail: (r) => turn({ breaker: r.id }),
  order: (r) => model.process?.read_only || askOrder(r, ordered),
  fold: (r) => {
    model.open.has(r.set.name) ? model.open.delete(r.set.name) : model.open.add(r.set.name);
    show();
  },
  sight: (rows) => { sight = rows; fetchSight(); },
});
let sight = [];

// overview asks for everything. The more there is, the less often it asks.
async function overview() {
  if (looking) { wanted = true; return; }
  looking = true;
  try {
    const o = await ask("v1/overview");
    const got = performance.now();
    gone = false;
    sign();
    dirty.clear();
    if (began && began !== o.process.started) model.past.clear();
    began = o.process.started;
    model.take(o);
    fresh.clear();
    show();
    fetchSight();
    detail.refresh();
    cost = performance.now() - got;
  } catch (e) {
    if (e.code === "gone" || !model.process) gone = e.message;
    banners();
  }
  looking = false;
  if (wanted) { wanted = false; later(); }
}

let timer = 0;
function later() {
  timer ||= setTimeout(() => { timer = 0; overview(); }, Math.max(1000, cost * 20));
}

// some asks for what has changed, if that is little.
let someTimer = 0;
function some() {
  someTimer ||= setTimeout(async () => {
    someTimer = 0;
    const ids = [...dirty];
    dirty.clear();
    if (ids.length > 50 || ids.some((id) => !model.breakers.has(id))) return later();
    if (!ids.length) return;
    try {
      model.takeSome((await ask("v1/status", [...ids.map((id) => ["id", id]), ["full", "1"]])).breakers);
      chips();
      show();
      if (ids.includes(detail.id)) detail.refresh();
    } catch { later(); }
  }, 150);
}

// fetchSight gets the plots and timelines of the visible rows.
let sightTimer = 0;
function fetchSight() {
  sightTimer ||= setTimeout(async () => {
    sightTimer = 0;
    const rows = sight.filter((r) => r.s), want = rows.filter((r) => r.s.since && model.past.get(r.id)?.version !== r.s.version).map((r) => ["id", r.id]);
    const names = [...new Set(sight.map((r) => r.set?.name || r.s.name))].filter((n) => !fresh.has(n)).map((n) => ["name", n]);
    try {
      if (want.length) {
        const version = new Map(rows.map((r) => [r.id, r.s.version]));
        for (const h of (await ask("v1/history", want.slice(0, 200))).histories) {
          const points = h.transitions.filter((t) => !t.shadow).map((t) => [Date.parse(t.at) / 1000, t.to, t.from]);
          model.past.set(h.id, { version: version.get(h.id), points });
        }
        list.soon();
      }
      if (names.length && model.process.counts_calls) {
        for (const p of (await ask("v1/plots", names.slice(0, 200))).plots) {
          model.plots.set(p.name, p);
          fresh.add(p.name);
        }
        list.soon();
      }
    } catch { /* the next look shows it */ }
  }, 120);
}

// turn changes the place, and shows it.
function turn(change) {
  place.go(change);
  arrive(place.read());
}

// arrive shows a place. Names in the URL that do not exist are ignored.
function arrive(to) {
  tab = to.tab === "timeline" ? to.tab : "";
  chosen = states.includes(to.state) ? to.state : "";
  const span = [...$("span").options].some((o) => o.value === to.span) ? to.span : "900";
  list.span = +span;
  $("span").value = span;
  chips.last = "";
  for (const name of ["breakers", "timeline"]) {
    const on = (tab || "breakers") === name;
    $("tab-" + name).setAttribute("aria-selected", String(on));
    $("tab-" + name).tabIndex = on ? 0 : -1;
  }
  $("main").hidden = tab !== "";
  if ($("search").value.trim() !== to.q) $("search").value = to.q;
  find();
  if (to.breaker) detail.show(to.breaker);
  else detail.dialog.close();
}

function show() {
  const query = $("search").value.trim();
  timeline.show(tab === "timeline", query.toLowerCase(), chosen, list.span);
  const rows = model.view(query, chosen);
  list.set(rows);
  const none = model.process && !rows.length;
  $("empty").hidden = !none;
  $("empty").textContent = model.process?.breakers ? "No breaker matches." : "This process has no breakers yet. They appear here when the program creates them.";
  $("plothead").textContent = model.process?.counts_calls ? "Outcomes, 5 min" : "Failures on record";
  $("lanehead").textContent = "Last " + $("span").selectedOptions[0].textContent;
  document.body.classList.toggle("read-only", !!model.process?.read_only);
  head();
}

function head() {
  const p = model.process;
  if (!p) return;
  $("service").textContent = plain(p.service);
  $("where").textContent = plain(`process ${p.pid} on ${p.host || "this host"}` + (p.read_only ? " · read-only" : ""));
  const beside = (p.attached || []).join();
  if (head.beside !== beside) {
    head.beside = beside;
    $("attached").replaceChildren(...(p.attached || []).map((name) => el("a", { href: name + "/" }, name)));
  }
  document.title = plain(`${badness(p)}${p.service} · breakers`);
  chips();
  banners();
}

function badness(p) {
  const bad = (p.states.open || 0) + (p.states["half-open"] || 0);
  return bad ? `(${bad}) ` : "";
}

function chips() {
  const all = model.process.states;
  const text = JSON.stringify([all, chosen]);
  if (chips.last === text) return;
  chips.last = text;
  const chip = (state, n, word) => el("button", {
    class: `chip s-${state || "all"}${n || !state ? "" : " none"}`, type: "button", "aria-pressed": String(chosen === state),
    onclick: () => turn({ state: chosen === state ? "" : state }),
  }, state ? svg("svg", { "aria-hidden": "true" }, svg("use", { href: "#" + state })) : "", el("b", {}, count(n)), word);
  $("chips").replaceChildren(chip("", model.process.breakers, "all"), ...states.map((s) => chip(s, all[s] || 0, stateWords[s].toLowerCase())));
}

function banners() {
  const p = model.process, out = [];
  const add = (kind, title, text) => out.push(el("div", { class: "banner " + kind, role: kind === "bad" ? "alert" : "status" }, el("b", {}, title), el("span", {}, text)));
  const quiet = Date.now() - alive;
  const lost = gone ? ["The process does not answer.", p ? `The data is from ${clock(model.at)}. Trying again…` : "Trying again…"] :
    alive && quiet > stale ? ["This page is out of date.", `Nothing has arrived for ${Math.round(quiet / 1000)} s. The data may be old.`] : null;
  if (lost) add("bad", ...lost);
  model.stopped = lost ? alive || model.at : 0;
  detail.trouble(...(lost || []));
  if (p?.audit_error) add("warn", "The audit log cannot be written.", p.audit_error);
  if (p?.suspicion) add("warn", "Check this process first.", `${p.suspicion.opened} of ${p.suspicion.of} independent breakers tripped within five seconds at ${clock(p.suspicion.at)}: the fault is probably in this process or its network.`);
  const text = out.map((b) => b.textContent).join("\n");
  if (banners.last !== text) {
    banners.last = text;
    $("banners").replaceChildren(...out);
  }
  const live = $("live");
  live.className = "live " + (gone || alive && quiet > stale ? "off" : alive ? "on" : "");
  live.querySelector("b").textContent = gone ? "gone" : alive && quiet > stale ? "stale" : alive ? "live" : "connecting";
}

function sign() { alive = Date.now(); }

function event(e) {
  timeline.add(e);
  if (e.kind === "gap") return later();
  if (e.kind === "order") {
    remember(e);
    if (e.id.endsWith("*")) return later();
  }
  if (!e.id) return e.kind === "audit" && later();
  dirty.add(e.id);
  some();
}

function remember(e) {
  if (orders.some((x) => x.seq === e.seq)) return;
  orders.unshift(e);
  orders.length = Math.min(orders.length, 100);
  const o = (x) => el("li", {}, el("time", {}, clock(x.at)), el("b", {}, x.order.actor), ` ${(verbWords[x.order.verb] || x.order.verb).toLowerCase()} `, el("code", {}, ...ident(x.id)),
    (x.order.for ? ` for ${x.order.for}` : "") + (x.order.touched === 1 ? "" : ` (${many(x.order.touched, "breaker")})`) + (x.order.reason ? `: “${x.order.reason}”` : ""));
  $("orders").querySelector("ol").replaceChildren(...orders.map(o));
}

function ordered(r) {
  for (const x of r.results) dirty.add(x.id);
  some();
}

let searchTimer = 0;
function find() {
  clearTimeout(searchTimer);
  const query = $("search").value.trim();
  show();
  if (!query || !model.sets.size) { model.keys = []; return; }
  searchTimer = setTimeout(async () => {
    try {
      const q = [["match", query], ["full", "1"], ["limit", "300"]];
      if (chosen) q.push(["state", chosen]);
      const found = await ask("v1/status", q);
      if ($("search").value.trim() !== query) return;
      model.keys = found.breakers.filter((s) => s.key);
      show();
    } catch { /* the next look shows it */ }
  }, 200);
}

$("search").addEventListener("input", () => {
  place.go({ q: $("search").value.trim() }, true);
  find();
});
$("span").addEventListener("change", () => turn({ span: $("span").value }));
for (const name of ["breakers", "timeline"]) {
  $("tab-" + name).addEventListener("click", () => turn({ tab: name === "breakers" ? "" : name }));
  $("tab-" + name).addEventListener("keydown", (e) => {
    if (!["ArrowLeft", "ArrowRight"].includes(e.key)) return;
    const other = $(name === "breakers" ? "tab-timeline" : "tab-breakers");
    other.click();
    other.focus();
  });
}
place.follow(arrive);
$("bulk").addEventListener("click", () => askOrder(null, ordered));
$("log").addEventListener("click", () => {
  const shown = $("orders").hidden;
  $("orders").hidden = !shown;
  $("log").setAttribute("aria-expanded", String(shown));
  if (shown && !orders.length) $("orders").querySelector("ol").replaceChildren(el("li", { class: "muted" }, "No orders since this process started."));
});
$("list").addEventListener("mouseleave", () => show());
document.addEventListener("keyup", (e) => { // not keydown: the field must not get the slash
  if (e.key === "/" && !e.target.closest?.("input, textarea, dialog")) $("search").focus();
});
document.addEventListener("keydown", (e) => {
  if (e.key === "ArrowDown" && e.target === $("search") && !tab) { list.focus = 0; list.reveal(); }
});

setInterval(() => { if (!document.hidden) overview(); }, look);
setInterval(() => { banners(); list.soon(); }, 1000);
await overview();
if (!model.process) { // come back when it does
  const wait = setInterval(() => { if (model.process) { clearInterval(wait); start(); } }, 500);
} else start();

function start() {
  ask("v1/orders").then((r) => r.orders.forEach(remember)).catch(() => {});
  follow(model.process.event, { event, alive: sign, lost: () => banners() });
  arrive(place.read());
}
