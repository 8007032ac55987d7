// The words of the page: durations, times, states.

export const states = ["open", "half-open", "forced-open", "forced-closed", "closed"];
export const stateWords = { "closed": "Closed", "open": "Open", "half-open": "Half-open", "forced-open": "Forced open", "forced-closed": "Forced closed" };
export const verbWords = { "open": "Open", "close": "Close", "half-open": "Half-open", "force-open": "Force open", "force-closed": "Force closed", "release": "Release", "set": "Change settings", "shadow": "Shadow", "unshadow": "Drop shadow", "promote": "Promote" };

// human is a time in seconds as text: 350 ms, 18 s, 2 min 10 s, 3 h 5 min, 2 d 4 h.
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

// seconds reads a duration as Go writes it: 1m30s, 350ms, -2h0m0.5s.
export function seconds(text) {
  let sum = 0;
  for (const [, n, unit] of (text || "").matchAll(/([\d.]+)(h|ms|m|s|µs|ns)/g)) sum += n * { h: 3600, m: 60, s: 1, ms: 1e-3, "µs": 1e-6, ns: 1e-9 }[unit];
  return text?.startsWith("-") ? -sum : sum;
}

export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

// day is the date of a time, to show before its clock, unless it is today.
export function day(at) {
  const d = new Date(at);
  return d.toDateString() === new Date().toDateString() ? "" : d.toLocaleDateString([], { day: "numeric", month: "short" }) + " ";
}

// web makes a link of a URL of the web. Anything else stays text: a program's data
// may come from anywhere.
export function web(url, text) {
  let safe = false;
  try { safe = ["http:", "https:"].includes(new URL(url).protocol); } catch { /* not a URL */ }
  return safe ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text || url) : el("span", {}, text && text !== url ? `${text}: ${url}` : url);
}

export const count = (n) => n.toLocaleString("en");
export const many = (n, one, more) => `${count(n)} ${n === 1 ? one : more || one + "s"}`;

// plain makes everything in text visible: characters that are invisible or change
// the direction of writing are shown as numbers.
export function plain(text) {
  return String(text).replace(/[\p{C}\p{Zl}\p{Zp}]|[^\P{Zs} \u00a0]/gu, (c) => c === "\n" ? "\\n" : `\\u{${c.codePointAt(0).toString(16)}}`);
}

// ident is an id as nodes. Characters that may look like others are marked: letters
// that are not Latin, combining marks, and other forms of a letter.
export function ident(id) {
  const nodes = [];
  for (const [part, odd] of parts(id)) nodes.push(odd ? el("span", { class: "odd", title: [...part].map((c) => "U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")).join(" ") }, part) : plain(part));
  return nodes;
}

function parts(id) {
  const out = [];
  for (const c of id) {
    const odd = /\p{M}/u.test(c) || /[\p{L}\p{N}]/u.test(c) && (c.normalize("NFKC") !== c || /\p{L}/u.test(c) && !/\p{Script=Latin}/u.test(c));
    if (out.length && out.at(-1)[1] === odd) out.at(-1)[0] += c;
    else out.push([c, odd]);
  }
  return out;
}

let down = null; // what a pointer is down on
addEventListener("pointerdown", (e) => { down = e.target; });
for (const over of ["pointerup", "pointercancel"]) addEventListener(over, () => { down = null; });

// pressed reports whether a pointer is down in a box. A click is lost if its button
// is replaced while it is pressed, so such a box stays as it is.
export function pressed(box) { return box.contains(down); }

// el makes an element; children are elements or text, which is made plain.
export function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === false) continue;
    if (k === "class") e.className = v;
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v === true) e.setAttribute(k, "");
    else e.setAttribute(k, k === "title" || k === "aria-label" ? plain(v) : v);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null && c !== false).map((c) => c instanceof Node ? c : plain(c)));
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
