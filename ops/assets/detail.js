// The sheet with all that is known of one breaker.

import { el, human, clock, stateTag, stateWords, seconds, count } from "./words.js";
import { ask } from "./net.js";
import { plot } from "./draw.js";
import { laneOf } from "./list.js";

// Detail shows a breaker and follows it while it is open.
export class Detail {
  constructor(model, onOrder) {
    this.model = model;
    this.onOrder = onOrder;
    this.dialog = document.getElementById("detail");
    this.sheet = this.dialog.querySelector(".sheet");
    this.dialog.addEventListener("close", () => { this.id = null; });
  }

  async show(id) {
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
      const [status, past, plots] = await Promise.all([ask("v1/status", [["id", id], ["full", "1"]]), ask("v1/history", [["id", id]]), ask("v1/plots", [["name", name]])]);
      if (plots.plots.length) this.model.plots.set(name, plots.plots[0]);
      if (this.id === id) this.fill(status.breakers[0], past.histories[0].transitions);
    } catch (e) {
      if (this.id === id && !this.sheet.querySelector("h2")) this.sheet.replaceChildren(el("p", { class: "result bad" }, e.message), this.closer());
    }
  }

  closer() { return el("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => this.dialog.close() }, "×"); }

  fill(s, past) {
    const p = this.model.plot(s.name);
    const order = el("button", { class: "main", type: "button", onclick: () => this.onOrder({ kind: "breaker", id: s.id, s }) }, "Order…");
    this.sheet.replaceChildren(
      el("div", { class: "top" }, el("h2", { id: "detail-name" }, el("code", {}, s.id)), this.closer()),
      el("div", { class: "top" }, stateTag(s.state), s.override ? el("span", { class: "muted" }, "behind it: " + s.auto) : null),
      el("p", { class: "explain" }, s.explain),
      p && !s.key ? el("div", { class: "big plot" }, el("h3", {}, p.known ? "Failures on record" : "Outcomes of the last five minutes"), plot(p, 48)) : null,
      el("div", { class: "lane" }, el("h3", {}, "The last hour"), laneOf(this.model, s, 3600, 12)),
      this.facts(s),
      el("div", {}, el("h3", {}, past.length ? "What it went through, newest first" : "It has always been closed."), el("ol", { class: "past" }, ...past.reverse().map(entry))),
      el("div", {}, el("h3", {}, `Settings, version ${s.settings_version}`), el("dl", { class: "facts" }, ...pairs(s.settings))),
      this.model.process.read_only ? null : el("div", { class: "buttons" }, order));
    for (const node of [...this.sheet.childNodes]) if (node.nodeType === Node.TEXT_NODE) node.remove();
  }

  facts(s) {
    const f = { "failures in a row": count(s.fail_count), "trips, 24 h": count(s.trips_day || 0), "changes, 1 h": (s.flaps || 0) >= 32 ? "32 or more" : String(s.flaps || 0), "time open, in total": human(seconds(s.open_for)) };
    if (s.window?.calls) f["window"] = `${count(s.window.failures)} failed, ${count(s.window.slow)} slow of ${count(s.window.calls)}`;
    if (s.bypassed) f["bypassed"] = `${count(s.bypassed)}: ${s.bypass}`;
    f["version"] = String(s.version);
    return el("dl", { class: "facts" }, ...pairs(f));
  }
}

function pairs(o) {
  return Object.entries(o).map(([k, v]) => el("div", {}, el("dt", {}, k.replaceAll("_", " ")), el("dd", {}, String(v))));
}

function entry(t) {
  const errors = (t.errors || []).map((e) => el("div", { class: "err" }, (e.count > 1 ? `${e.count} × ` : "") + e.error + (e.latency ? `, after ${human(seconds(e.latency))}` : "")));
  const extra = [t.open_for && `for ${human(seconds(t.open_for))}`, t.attempt > 1 && `attempt ${t.attempt}`, t.for && `for ${human(seconds(t.for))}`, t.shadow && "behind the override", t.suspect_local && "many others opened with it: look here first"].filter(Boolean);
  return el("li", {}, el("time", { datetime: t.at }, clock(t.at)), el("div", {}, el("b", {}, stateWords[t.to]), `${extra.length ? " (" + extra.join(", ") + ")" : ""}: ${t.summary}`, ...errors));
}
