// The timeline: what happened to all breakers, the newest first.

import { el, pressed, clock, day, stateTag, stateWords, verbWords, human, seconds, many, ident, plain } from "./words.js";
import { ask } from "./net.js";
import { trace } from "./detail.js";

const most = 1000; // lines on the page
const effect = 10000; // ms from an order to its transition, at most
const again = 30000; // minimum ms between looks caused by events, which keeps the backlog small

export class Timeline {
  // on.detail gets an id.
  constructor(model, on) {
    this.model = model;
    this.on = on;
    this.box = document.getElementById("timeline");
    this.list = this.box.querySelector("ol");
    this.note = document.getElementById("timeline-note");
    this.events = [];
    this.query = this.state = "";
    this.span = 900;
    this.list.addEventListener("click", (e) => {
      const id = e.target.closest(".name")?.dataset.id;
      if (id) this.on.detail(id);
    });
  }

  get shown() { return !this.box.hidden; }

  // show shows the tab or hides it, filtered by text and state.
  show(on, query, state, span) {
    const fresh = on && (!this.shown || span !== this.span);
    const same = query === this.query && state === this.state;
    this.box.hidden = !on;
    [this.query, this.state, this.span] = [query, state, span];
    if (fresh) this.load();
    else if (on && !same) this.draw();
  }

  async load() {
    const span = this.span;
    try {
      const t = await ask("v1/timeline", [["since", span + "s"]]);
      if (span !== this.span) return;
      this.events = t.events;
      this.complete = t.complete_since;
      this.loaded = Date.now();
      this.problem = "";
    } catch (e) {
      this.problem = e.message;
    }
    this.draw();
  }

  // add adds an event of the stream.
  add(e) {
    if (!this.shown) return;
    if (e.kind === "gap" || Date.now() - this.loaded > again) return this.load();
    if (!this.events.some((x) => x.seq === e.seq)) this.events.push(e);
    this.soon();
  }

  soon() {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.draw();
    }, 200);
  }

  draw() {
    if (!this.shown) return;
    if (pressed(this.list)) return this.soon();
    const from = this.model.now() - this.span * 1000;
    const all = merge(this.events).filter((e) => Date.parse(e.at) >= from && this.wants(e)).reverse();
    const rows = [];
    for (const e of all.slice(0, most)) rows.push(this.line(e));
    this.list.replaceChildren(...rows);
    const notes = [this.problem, !all.length && !this.problem && "Nothing happened in this time" + (this.query || this.state ? " that matches." : "."),
      all.length > most && `The newest ${most} of ${many(all.length, "event")}.`,
      this.complete && Date.parse(this.complete) > from && `Events before ${clock(this.complete)} may be missing.`];
    this.note.textContent = plain(notes.filter(Boolean).join(" "));
  }

  wants(e) {
    if (this.state && (e.kind !== "transition" || e.transition.to !== this.state)) return false;
    const text = [e.id, e.notice, e.order?.actor, e.order?.reason, e.override?.actor, e.override?.reason, e.transition?.actor, e.transition?.reason, e.transition?.summary, e.shadow?.name, e.shadow?.transition.summary].join("\n").toLowerCase();
    return !this.query || text.includes(this.query);
  }

  line(e) {
    const known = e.id && !e.id.endsWith("*");
    return el("li", {},
      el("time", { datetime: e.at }, day(e.at) + clock(e.at)),
      known ? el("button", { class: "name", type: "button", "data-id": e.id, title: e.id }, ...ident(e.id)) : el("code", {}, ...(e.id ? ident(e.id) : ["the process"])),
      el("span", { class: "what" }, what(e)),
      el("span", { class: "who" }, who(e)),
      el("span", { class: "why" }, why(e), ...this.traces(e)));
  }

  traces(e) {
    const l = this.model.breakers.get(e.id)?.links;
    return (e.transition?.errors || []).filter((x) => x.trace_id).flatMap((x) => [" ", trace(x.trace_id, l)]);
  }
}

// merge sorts events, and leaves out an order if its transition says everything.
export function merge(events) {
  const all = events.map((e) => [Date.parse(e.at), e]).sort((a, b) => a[0] - b[0] || fraction(a[1].at) - fraction(b[1].at) || a[1].seq - b[1].seq);
  const done = ([at, o], i) => {
    for (let j = i + 1; j < all.length && all[j][0] - at <= effect; j++) {
      const e = all[j][1], t = e.transition;
      if (e.id === o.id && t?.cause === "order" && t.order === o.order.verb && t.actor === o.order.actor) return true;
    }
    return false;
  };
  return all.filter((x, i) => !(x[1].kind === "order" && done(x, i))).map((x) => x[1]);
}

// fraction is the part of a second in a time, in nanoseconds: a Date has milliseconds.
const fraction = (at) => +(/\.(\d+)/.exec(at)?.[1] || "").padEnd(9, "0");

function what(e) {
  switch (e.kind) {
    case "transition": return stateTag(e.transition.to);
    case "held-back": return "Held back";
    case "shadow": return `Shadow ${e.shadow.name}`;
    case "order": return verbWords[e.order.verb] || e.order.verb;
    case "reminder": return "Override half over";
    case "audit": return "Audit log";
    case "notice": return "Notice";
  }
  return e.kind;
}

const who = (e) => e.transition?.actor || e.order?.actor || e.override?.actor || "";

function why(e) {
  const t = e.transition, o = e.order;
  if (t) {
    const extra = [`from ${stateWords[t.from].toLowerCase()}`, t.open_for && `for ${human(seconds(t.open_for))}`, t.attempt > 1 && `attempt ${t.attempt}`, t.for && `for ${human(seconds(t.for))}`, t.shadow && "behind the override", e.kind === "held-back" && "the cap on open breakers kept it closed"];
    return `${t.summary} (${extra.filter(Boolean).join(", ")})`;
  }
  if (e.shadow) return `would be ${stateWords[e.shadow.transition.to].toLowerCase()}: ${e.shadow.transition.summary}`;
  if (o) {
    const parts = [o.shadow && `the shadow ${o.shadow}`, ...(o.changes || []).map((c) => `${c.key} from ${c.from} to ${c.to}`), o.for && `for ${human(seconds(o.for))}`, `${o.touched} changed`, o.failed && `${o.failed} could not be`, o.reason && `“${o.reason}”`];
    return parts.filter(Boolean).join(", ");
  }
  if (e.override) return e.override.expires ? `it ends at ${clock(e.override.expires)}, “${e.override.reason || ""}”` : "";
  return e.notice || "";
}
