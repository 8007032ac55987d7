// The sheet with everything that is known about one breaker.

import { el, pressed, human, clock, stateTag, stateWords, seconds, count, web, ident } from "./words.js";
import { ask } from "./net.js";
import { plot } from "./draw.js";
import { shadowsOf, shadowLane, shadowText } from "./shadow.js";
import { laneOf } from "./list.js";

// Detail shows a breaker and follows it while it is open.
export class Detail {
  // on.order gets a row, on.timeline an id; on.closed is called when it was closed.
  constructor(model, on) {
    this.model = model;
    this.on = on;
    this.dialog = document.getElementById("detail");
    this.sheet = this.dialog.querySelector(".sheet");
    this.dialog.addEventListener("close", () => {
      this.id = null;
      this.on.closed();
    });
  }

  async show(id) {
    if (this.id === id) return;
    this.id = id;
    this.sheet.replaceChildren(el("p", { class: "muted" }, "…"));
    if (!this.dialog.open) this.dialog.showModal();
    await this.refresh();
  }

  async refresh() {
    const id = this.id;
    if (!id) return;
    try {
      const name = id.split("/")[0];
      const [status, past, plots, shadows, line] = await Promise.all([ask("v1/status", [["id", id], ["full", "1"]]), ask("v1/history", [["id", id]]), ask("v1/plots", [["name", name]]),
        ask("v1/shadows"), ask("v1/timeline", [["id", id], ["since", "3600s"]])]);
      if (plots.plots.length) this.model.plots.set(name, plots.plots[0]);
      if (this.id === id && !pressed(this.sheet)) this.fill(status.breakers[0], past.histories[0].transitions, shadowsOf(shadows.shadows, id), line.events.filter((e) => e.kind === "shadow"));
    } catch (e) {
      if (this.id === id && !this.sheet.querySelector("h2")) this.sheet.replaceChildren(el("p", { class: "result bad" }, e.message), this.closer());
    }
  }

  // trouble says that the data is old, and why; "": it is not.
  trouble(title, text) {
    this.bad = title ? [title, text] : null;
    const old = this.sheet.querySelector(".banner");
    if ((old?.textContent || "") === (this.bad || []).join("")) return;
    old?.remove();
    if (this.bad) this.sheet.prepend(this.banner());
  }

  banner() { return el("div", { class: "banner bad", role: "alert" }, el("b", {}, this.bad[0]), el("span", {}, this.bad[1])); }

  closer() { return el("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => this.dialog.close() }, "×"); }

  fill(s, past, shadows, moves) {
    const p = this.model.plot(s.name);
    const order = el("button", { class: "main", type: "button", onclick: () => this.on.order({ kind: "breaker", id: s.id, s }) }, "Order…");
    this.sheet.replaceChildren(...[
      this.bad && this.banner(),
      el("div", { class: "top" }, el("h2", { id: "detail-name" }, el("code", {}, ...ident(s.id))), this.closer()),
      el("div", { class: "top" }, stateTag(s.state), s.override ? el("span", { class: "muted" }, "behind it: " + s.auto) : null),
      el("p", { class: "explain" }, s.explain),
      ...said(s),
      links(s.links),
      p && !s.key ? el("div", { class: "big plot" }, el("h3", {}, p.known ? "Failures on record" : "Outcomes of the last five minutes"), plot(p, 48), latency(p.latency)) : null,
      el("div", { class: "lane" }, el("h3", {}, "The last hour"), laneOf(this.model, s, 3600, 12)),
      shadows.length ? el("div", { class: "shadows" }, el("h3", {}, "What other settings would have done"), ...shadows.map((x) => this.shadow(s, x, past, moves))) : null,
      this.facts(s),
      el("div", {}, el("h3", {}, past.length ? "History, newest first" : "It has always been closed."), el("ol", { class: "past" }, ...past.reverse().map((t) => entry(t, s.links)))),
      el("div", {}, el("h3", {}, `Settings, version ${s.settings_version}`), el("dl", { class: "facts" }, ...pairs(s.settings))),
      el("div", { class: "buttons" }, el("button", { class: "quiet", type: "button", onclick: () => this.on.timeline(s.id) }, "Timeline"), !this.model.process.read_only && order),
    ].filter(Boolean));
  }

  shadow(s, x, past, moves) {
    const button = (verb, text) => el("button", { class: "quiet", type: "button", onclick: () => this.on.order({ kind: "breaker", id: s.id, s, shadow: x.name, verb }) }, text);
    return el("div", { class: "lane shadow" }, el("h3", {}, el("code", {}, x.name)), shadowLane(this.model, past, x, moves), el("p", {}, shadowText(x, s.settings)),
      !s.key && !this.model.process.read_only && el("div", { class: "buttons" }, button("promote", "Promote…"), button("unshadow", "Drop…")));
  }

  facts(s) {
    const f = { "failures in a row": count(s.fail_count), "trips, 24 h": count(s.trips_day || 0), "changes, 1 h": (s.flaps || 0) >= 32 ? "32 or more" : String(s.flaps || 0), "time open, in total": human(seconds(s.open_for)) };
    if (s.window?.calls) f["window"] = `${count(s.window.failures)} failed, ${count(s.window.slow)} slow of ${count(s.window.calls)}`;
    if (s.bypassed) f["bypassed"] = `${count(s.bypassed)}: ${s.bypass}`;
    f["version"] = String(s.version);
    return el("dl", { class: "facts" }, ...pairs(f));
  }
}

// latency says how long the calls of the last five minutes took; 0: longer than
// the largest figure there is.
function latency(l) {
  if (!l) return null;
  const took = (d) => seconds(d) ? "up to " + human(seconds(d)) : "more than 50\u00a0s";
  return el("p", { class: "muted" }, `Half of the calls took ${took(l.p50)}, 90\u00a0% ${took(l.p90)}, 99\u00a0% ${took(l.p99)}.`);
}

function pairs(o) {
  return Object.entries(o).map(([k, v]) => el("div", {}, el("dt", {}, k.replaceAll("_", " ")), el("dd", {}, String(v))));
}

// said is what people wrote about the breaker: who looks after it, and notes.
function said(s) {
  const line = (what, n) => el("p", {}, `${what} by ${n.actor} at ${clock(n.at)}` + (n.reason ? `: ${n.reason}` : ""));
  return [...(s.ack ? [line("acknowledged", s.ack)] : []), ...(s.notes || []).map((n) => line("note", n))];
}

// links are the links that the program provides.
function links(l) {
  if (!l) return null;
  const all = [l.owner && el("span", {}, "owner: ", web(l.owner)), l.runbook && web(l.runbook, "runbook"), l.dashboard && web(l.dashboard, "dashboard"),
    l.traces && !l.traces.includes("{trace_id}") && web(l.traces, "traces")].filter(Boolean);
  return all.length ? el("p", { class: "links" }, ...all) : null;
}

// trace is the id of an error's trace, as a link if the program provides one.
export function trace(id, l) {
  return l?.traces?.includes("{trace_id}") ? web(l.traces.replaceAll("{trace_id}", encodeURIComponent(id)), "trace " + id) : el("span", {}, "trace " + id);
}

function entry(t, l) {
  const errors = (t.errors || []).map((e) => el("div", { class: "err" }, (e.count > 1 ? `${e.count} × ` : "") + e.error + (e.latency ? `, after ${human(seconds(e.latency))}` : ""), e.trace_id && " ", e.trace_id && trace(e.trace_id, l)));
  const extra = [t.open_for && `for ${human(seconds(t.open_for))}`, t.attempt > 1 && `attempt ${t.attempt}`, t.for && `for ${human(seconds(t.for))}`, t.shadow && "behind the override", t.suspect_local && "many others opened at the same time: check this process first"].filter(Boolean);
  return el("li", {}, el("time", { datetime: t.at }, clock(t.at)), el("div", {}, el("b", {}, stateWords[t.to]), `${extra.length ? " (" + extra.join(", ") + ")" : ""}: ${t.summary}`, ...errors));
}
