// The list of breakers. There may be thousands: only the visible rows exist.

import { el, svg, human, stateWords, states, count, many, plain, ident } from "./words.js";
import { plot, lane } from "./draw.js";
import { untilProbe } from "./model.js";

const keptTransitions = 32; // of a breaker, by the process
const spare = 4; // rows beyond the edges

export class List {
  // on.detail, on.order and on.fold get a row; on.sight gets the visible rows.
  constructor(model, on) {
    this.model = model;
    this.on = on;
    this.box = document.getElementById("list");
    this.spacer = document.getElementById("spacer");
    this.head = document.querySelector(".head");
    this.template = document.getElementById("row").content.firstElementChild;
    this.rows = [];
    this.pool = []; // row elements, by place modulo their number
    this.focus = 0;
    this.span = 900;
    this.box.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(this.box);
    this.box.addEventListener("keydown", (e) => this.key(e));
    this.box.addEventListener("click", (e) => this.click(e));
  }

  height() { return parseInt(getComputedStyle(document.documentElement).getPropertyValue("--row"), 10); }

  // held reports whether the rows keep their places, because the user may be about
  // to click on one.
  held() { return this.box.matches(":hover") && matchMedia("(hover: hover)").matches; }

  set(rows) {
    if (this.held()) {
      const place = new Map(this.rows.map((r, i) => [r.id, i]));
      const fresh = rows.length;
      rows = rows.map((r, i) => [place.get(r.id) ?? fresh + i, r]).sort((a, b) => a[0] - b[0]).map((x) => x[1]);
    }
    // The keyboard stays with its breaker, wherever that is listed now.
    const at = this.rows[this.focus]?.id, now = rows.findIndex((r) => r.id === at);
    if (now >= 0) this.focus = now;
    this.rows = rows;
    document.getElementById("held").hidden = !this.held() || rows.length < 2;
    this.soon();
  }

  soon() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  draw() {
    const h = this.height(), n = this.rows.length;
    this.spacer.style.height = n * h + "px";
    this.head.style.paddingRight = 16 + this.box.offsetWidth - this.box.clientWidth + "px";
    const from = Math.max(0, Math.floor(this.box.scrollTop / h) - spare);
    const to = Math.min(n, Math.ceil((this.box.scrollTop + this.box.clientHeight) / h) + spare);
    const size = Math.ceil(this.box.clientHeight / h) + 2 * spare + 1;
    while (this.pool.length < size) this.pool.push(this.make());
    const used = new Set();
    for (let i = from; i < to; i++) {
      const e = this.pool[i % this.pool.length];
      used.add(e);
      e.root.hidden = false;
      e.root.style.transform = `translateY(${i * h}px)`;
      e.index = i;
      this.fill(e, this.rows[i], i);
    }
    for (const e of this.pool) if (!used.has(e)) e.root.hidden = true;
    const has = this.box.contains(document.activeElement) && document.activeElement.closest(".row")?.row;
    if (has && has.index !== this.focus) this.element()?.[document.activeElement === has.order ? "order" : "name"].focus({ preventScroll: true });
    this.on.sight(this.rows.slice(from, to));
  }

  make() {
    const root = this.template.cloneNode(true);
    const e = { root, set: {} };
    for (const c of ["state", "what", "layers", "next", "plot", "lane", "num"]) e[c] = root.querySelector("." + c);
    e.use = root.querySelector("use");
    e.name = root.querySelector(".name");
    e.why = root.querySelector(".why");
    e.auto = root.querySelector(".auto");
    e.over = root.querySelector(".over");
    e.order = root.querySelector(".order");
    root.row = e;
    this.box.append(root);
    return e;
  }

  // fill writes only what has changed, which is little in most rows.
  fill(e, r, i) {
    const put = (key, value, write) => {
      if (e.set[key] === value) return;
      e.set[key] = value;
      write(value);
    };
    const text = (key, node, value) => put(key, value, (v) => { node.textContent = plain(v); });
    const d = r.kind === "set" ? this.setWords(r) : this.words(r.s);
    put("class", `row${r.kind === "key" ? " child" : ""}`, (v) => { e.root.className = v; });
    put("id", r.id, (v) => { e.root.dataset.id = v; e.order.setAttribute("aria-label", plain(`Order for ${v}`)); });
    put("size", this.rows.length + "/" + i, () => {
      e.root.setAttribute("aria-setsize", this.rows.length);
      e.root.setAttribute("aria-posinset", i + 1);
    });
    put("tab", i === this.focus, (v) => { e.name.tabIndex = v ? 0 : -1; e.order.tabIndex = v ? 0 : -1; });
    put("state", d.state + (d.since ? "" : " lone"), (v) => {
      e.state.className = `state s-${v}`;
      e.use.setAttribute("href", "#" + d.state);
    });
    text("word", e.state.querySelector("b"), d.word);
    text("since", e.state.querySelector("small"), d.since);
    put("name", d.name + "\0" + d.fold, () => {
      const slash = r.kind === "set" ? -1 : d.name.indexOf("/");
      e.name.replaceChildren(...[
        r.kind === "set" && svg("svg", { class: "fold", "aria-hidden": "true" }, svg("use", { href: "#folder" })),
        ...ident(slash < 0 ? d.name : d.name.slice(0, slash + 1)),
        slash >= 0 && el("span", { class: "key" }, ...ident(d.name.slice(slash + 1))),
      ].filter(Boolean));
      e.name.title = plain(d.name);
      if (r.kind === "set") e.name.setAttribute("aria-expanded", d.fold);
      else e.name.removeAttribute("aria-expanded");
    });
    put("why", d.why, (v) => { e.why.textContent = e.why.title = plain(v); });
    text("auto", e.auto, d.auto);
    put("dim", d.dim, (v) => { e.auto.classList.toggle("dim", v); });
    put("over", d.over, (v) => { e.over.textContent = e.over.title = plain(v); });
    text("next", e.next, d.next);
    put("num", `${d.trips}\0${d.flaps}`, () => {
      e.num.replaceChildren(String(d.trips), d.flaps > 5 ? el("small", {}, `${d.flaps === 32 ? "32+" : d.flaps} flaps/h`) : "");
    });
    this.pictures(e, r, put);
  }

  pictures(e, r, put) {
    const p = r.kind === "key" ? null : this.model.plot(r.kind === "set" ? r.set.name : r.s.name);
    put("plot", p, (v) => { e.plot.replaceChildren(...(v ? [plot(v)] : [])); });
    const past = this.model.past.get(r.id);
    const tick = Math.floor(Date.now() / (this.span * 4)); // less than a quarter of a pixel is not visible
    put("lane", r.kind === "set" ? "" : `${r.id}\0${past?.version}\0${tick}\0${this.span}`, () => {
      if (r.kind === "set") return e.lane.replaceChildren();
      e.lane.replaceChildren(laneOf(this.model, r.s, this.span));
    });
  }

  words(s) {
    const o = s.override, now = this.model.now();
    const since = s.since ? human((now - Date.parse(s.since)) / 1000) : "";
    let next = "";
    if (o) {
      next = o.expires ? `ends in ${human((Date.parse(o.expires) - now) / 1000)}` : "until released";
    } else if (s.state === "open") {
      const left = untilProbe(this.model, s);
      next = left > 0 ? `probe in ${human(Math.ceil(left))}` : "next call is a probe";
    } else if (s.state === "half-open") {
      next = `${s.probes_out || 0} probing, ${s.probe_successes || 0} passed`;
    } else if (s.admitted < 1) {
      next = `admits ${Math.round(s.admitted * 100)} %, growing`;
    } else if (s.fail_count > 0 && s.failures_until_open > 0) {
      next = `opens on ${s.failures_until_open} more`;
    }
    return {
      state: s.state, word: stateWords[s.state], since, name: s.id, why: this.why(s),
      auto: o ? `${s.auto} behind it` : `${s.auto} · no override`, dim: !o,
      over: o ? `${stateWords[o.state].toLowerCase()} by ${o.actor || "an unknown actor"}` : "",
      next, trips: s.trips_day || 0, flaps: s.flaps || 0,
    };
  }

  // why is the reason alone: name, state and time are shown beside it.
  why(s) {
    if (s.override) return s.override.reason ? `“${s.override.reason}”` : "No reason was given.";
    let why = s.why || "";
    if (s.state === "closed" && s.fail_count > 0) why = `${many(s.fail_count, "failure")} in a row. ` + why;
    else if (s.state === "closed" && why) why = "Closed again: " + why;
    return why.slice(0, 1).toUpperCase() + why.slice(1);
  }

  setWords(r) {
    const { set } = r, worst = set.worst[0];
    const parts = states.filter((x) => set.states[x]).map((x) => `${count(set.states[x])} ${stateWords[x].toLowerCase()}`);
    const bad = worst ? worst.state : "closed";
    const shown = this.model.open.has(set.name);
    return {
      state: bad, word: bad === "closed" ? stateWords.closed : `${count(set.states[bad] || 0)} ${stateWords[bad].toLowerCase()}`, since: many(set.keys, "key"),
      name: set.name + "/*", fold: String(shown), why: parts.join(", ") + (worst ? `. Worst: ${set.worst.map((s) => s.key).join(", ")}` : ""),
      auto: set.overlaid ? "" : "no override", dim: true, over: set.overlaid ? many(set.overlaid, "override") : "", next: worst && !shown ? "unfold for the worst" : "", trips: set.trips, flaps: 0,
    };
  }

  click(e) {
    const row = e.target.closest(".row")?.row;
    if (!row) return;
    const r = this.rows[row.index];
    this.focus = row.index;
    if (e.target.closest(".order")) this.on.order(r);
    else if (e.target.closest(".name")) r.kind === "set" ? this.on.fold(r) : this.on.detail(r);
    this.soon();
  }

  key(e) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height()) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[e.key];
    const r = this.rows[this.focus];
    if (step) {
      this.focus = Math.max(0, Math.min(this.rows.length - 1, this.focus + step));
      this.reveal();
    } else if (e.key === "o" && r) this.on.order(r);
    else return;
    e.preventDefault();
  }

  // reveal scrolls to the row with the focus and puts the keyboard there.
  reveal() {
    const h = this.height(), top = this.focus * h;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + h > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + h - this.box.clientHeight;
    this.draw();
    this.element()?.name.focus({ preventScroll: true });
  }

  // element is the row with the focus, if it is visible.
  element() { return this.pool.find((e) => e.index === this.focus && !e.root.hidden); }
}

// laneOf is the timeline of a breaker. Unknown parts are left grey.
export function laneOf(model, s, span, height) {
  const past = model.past.get(s.id)?.points || [];
  const began = Date.parse(model.process.started) / 1000;
  const whole = past.length < keptTransitions; // else older ones have been dropped
  const points = [...past];
  if (whole && (past.length || !s.since)) points.unshift([began, past.length ? past[0][2] : s.state]);
  return lane(points, "before", model.now() / 1000, span, height);
}
