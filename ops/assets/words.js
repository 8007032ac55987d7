// How things are said: durations, times, states.

export const states = ["open", "half-open", "forced-open", "forced-closed", "closed"];
export const stateWords = { "closed": "Closed", "open": "Open", "half-open": "Half-open", "forced-open": "Forced open", "forced-closed": "Forced closed" };
export const verbWords = { open: "Open", close: "Close", half_open: "Half-open", force_open: "Force open", force_closed: "Force closed", release: "Release", set: "Change settings" };

// human says a time in seconds: 350 ms, 18 s, 2 min 10 s, 3 h 5 min, 2 d 4 h.
export function human(s) {
  s = Math.max(0, s);
  if (s < 1) return Math.round(s * 1000) + "\u00a0ms";
  if (s < 60) return Math.floor(s) + "\u00a0s";
  if (s < 3600) return two(s / 60, "min", s % 60, "s");
  if (s < 86400) return two(s / 3600, "h", s % 3600 / 60, "min");
  return two(s / 86400, "d", s % 86400 / 3600, "h");
}

function two(a, unit, b, sub) {
  a = Math.floor(a);
  b = Math.floor(b);
  return `${a}\u00a0${unit}` + (b && a < 10 ? ` ${b}\u00a0${sub}` : "");
}

export const seconds = (ns) => ns / 1e9;
export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const count = (n) => n.toLocaleString("en");
export const many = (n, one, more) => `${count(n)} ${n === 1 ? one : more || one + "s"}`;

// why is the newest transition's reason in one clause, for the time line.
export function why(t) {
  const span = t.window ? `in the last ${human(seconds(t.window))}` : `of the last ${t.counts?.calls}`;
  const share = (x) => `${+(x * 100).toPrecision(4)}%`;
  switch (t.cause) {
    case "consecutive-failures": return `${many(t.fails, "failure")} in a row`;
    case "failure-rate": return `${t.counts.failures} of ${t.counts.calls} calls failed ${span}, the limit is ${share(t.threshold)}`;
    case "confidence": return `${t.counts.failures} of ${t.counts.calls} calls failed ${span}: surely more than ${share(t.threshold)} do`;
    case "slow-rate": return `${t.counts.slow} of ${t.counts.calls} calls were slow ${span}, the limit is ${share(t.threshold)}`;
    case "rule": return `the rule “${t.rule}” said so`;
    case "probe-failed": return t.slow ? "the probe was slow" : "the probe failed";
    case "probes-passed": return t.fails === 1 ? "the probe succeeded" : `${t.fails} probes succeeded`;
    case "bypass-probe": return "marked work was let through to probe";
    case "open-time-elapsed": return "the open time was over and a call asked";
    case "override-expired": return `the override of ${t.actor || "somebody"} expired`;
    case "order": return `${verbWords[t.order] || t.order} by ${t.actor || "somebody who gave no name"}` + (t.text ? `: “${t.text}”` : "");
  }
  return t.cause;
}

// el makes an element; children are elements or text.
export function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === false) continue;
    if (k === "class") e.className = v;
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v === true) e.setAttribute(k, "");
    else e.setAttribute(k, v);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null && c !== false));
  return e;
}

const svgNS = "http://www.w3.org/2000/svg";

export function svg(tag, attrs, ...children) {
  const e = document.createElementNS(svgNS, tag);
  for (const [k, v] of Object.entries(attrs || {})) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

export function stateTag(state) {
  return el("span", { class: "tag s-" + state }, svg("svg", { "aria-hidden": "true" }, svg("use", { href: "#" + state })), stateWords[state]);
}
