// What is known about the breakers, and the order in which it is shown.

import { seconds } from "./words.js";

const kept = 60; // samples of what is known where calls are not counted

export class Model {
  constructor() {
    this.process = null;
    this.breakers = new Map(); // id -> status
    this.sets = new Map(); // name -> set
    this.keys = []; // statuses of keys that a search found
    this.open = new Set(); // names of the sets that are unfolded
    this.plots = new Map(); // name -> plot
    this.past = new Map(); // id -> {version, points}
    this.samples = new Map(); // name -> failures on record, one per look
    this.skew = 0; // the process's clock minus ours, in ms
    this.stopped = 0; // time of its last answer, while it does not answer
  }

  // knownUntil is the time up to which the data is known: ages stop there.
  knownUntil() { return this.stopped || Date.now(); }

  // now is the same time by the clock of the process.
  now() { return this.knownUntil() + this.skew; }

  take(overview) {
    this.process = overview.process;
    this.skew = Date.parse(overview.process.now) - Date.now();
    this.at = Date.now();
    this.breakers = new Map(overview.breakers.map((s) => [s.id, s]));
    this.sets = new Map(overview.sets.map((s) => [s.name, s]));
    for (const s of overview.breakers) this.sample(s.name, s);
  }

  sample(name, s) {
    const n = s.window?.calls ? s.window.failures : s.fail_count;
    let got = this.samples.get(name);
    if (!got) {
      if (!n) return;
      this.samples.set(name, got = []);
    }
    got.push(n);
    if (got.length > kept) got.shift();
  }

  takeSome(statuses) {
    for (const s of statuses) {
      s.seen = Date.now();
      if (s.id === s.name) this.breakers.set(s.id, s);
      this.keys = this.keys.map((k) => k.id === s.id ? s : k);
    }
  }

  plot(name) {
    const p = this.plots.get(name);
    if (p) return p;
    const got = this.samples.get(name);
    if (!got || this.process.counts_calls) return null;
    const failure = Array(kept - got.length).fill(0).concat(got), zero = Array(kept).fill(0);
    return { name, known: true, success: zero, failure, rejected: zero };
  }

  // view is the rows to show, worst first.
  view(query, chosen) {
    query = query.toLowerCase();
    const wanted = (s) => (!chosen || s.state === chosen) && (!query || matches(s, query));
    const top = [];
    for (const s of this.breakers.values()) if (wanted(s)) top.push({ kind: "breaker", id: s.id, s, rank: rank(s) });
    for (const set of this.sets.values()) {
      const found = this.keys.filter((k) => k.name === set.name);
      const keys = (query ? found : set.worst).filter(wanted);
      const named = !query || set.name.toLowerCase().includes(query);
      if (!keys.length && (!named || chosen && !set.states[chosen])) continue;
      const worst = set.worst[0];
      top.push({ kind: "set", id: set.name + "/*", set, keys, rank: worst ? rank(worst) : [0, 0, -(set.calls || 0), 0, set.name] });
    }
    top.sort((a, b) => compare(a.rank, b.rank));
    const rows = [];
    for (const r of top) {
      rows.push(r);
      if (r.kind === "set" && (this.open.has(r.set.name) || query)) {
        for (const s of r.keys) rows.push({ kind: "key", id: s.id, s });
      }
    }
    return rows;
  }
}

function matches(s, query) {
  return s.id.toLowerCase().includes(query) ||
    s.override && `${s.override.actor} ${s.override.reason}`.toLowerCase().includes(query) ||
    (s.why || "").toLowerCase().includes(query);
}

// rank and compare are ops.CompareStatus.
function rank(s) {
  return [-severity(s), -(s.fail_count + (s.window?.failures || 0)), -(s.calls || 0), -(s.window?.calls || 0), s.id];
}

function compare(a, b) {
  for (let i = 0; i < 4; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a[4] < b[4] ? -1 : a[4] > b[4] ? 1 : 0;
}

function severity(s) {
  switch (s.state) {
    case "open": return 6;
    case "forced-closed": return s.auto !== "closed" ? 5 : 2;
    case "forced-open": return 4;
    case "half-open": return 3;
  }
  return s.fail_count > 0 || s.window?.failures > 0 || s.admitted < 1 || s.flaps > 5 ? 1 : 0;
}

// untilProbe is the time until an open breaker may probe, in seconds.
export function untilProbe(model, s) {
  return seconds(s.until_half_open) - (model.knownUntil() - (s.seen || model.at)) / 1000;
}
