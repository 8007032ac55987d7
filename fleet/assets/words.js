// Words and elements.

// states are those of a breaker, what is not closed first.
export const states = ["forced-open", "open", "half-open", "forced-closed", "closed"];

// plain is text in which nothing is invisible: what cannot be seen, or turns the
// direction of writing, is shown by its number.
export function plain(text) {
  return String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

export const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

// human is a time in seconds as people say it.
export function human(s) {
  if (s < 60) return Math.floor(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  return Math.floor(s / 3600) + " h";
}

// seconds reads a duration as Go writes it: 1m30s, 350ms, -2h0m0.5s.
export function seconds(text) {
  let sum = 0;
  for (const [, n, unit] of (text || "").matchAll(/([\d.]+)(h|ms|m|s|µs|ns)/g)) sum += n * { h: 3600, m: 60, s: 1, ms: 1e-3, "µs": 1e-6, ns: 1e-9 }[unit];
  return text?.startsWith("-") ? -sum : sum;
}

// many is a number with the word for one or for several.
export const many = (n, one, more) => n === 1 ? `1 ${one}` : `${n} ${more}`;

export const ago = (at) => human((Date.now() - at) / 1000);

// el makes an element; children are elements or text, which is made plain.
export function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (k === "class") e.className = v;
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else e.setAttribute(k, v);
  }
  e.append(...children.filter((c) => c !== false).map((c) => c instanceof Node ? c : plain(c)));
  return e;
}

export function svg(tag, attrs, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, v);
  e.append(...children);
  return e;
}
