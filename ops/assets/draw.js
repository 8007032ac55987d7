// The small pictures: outcomes as bars, states as lanes.

import { svg, stateWords, count, human } from "./words.js";

// plot draws bars of successes, failures and rejections. It has a text for
// screen readers.
export function plot(p, height = 30) {
  const n = p.success.length, width = n * 3;
  let top = 1;
  for (let i = 0; i < n; i++) top = Math.max(top, p.success[i] + p.failure[i] + p.rejected[i]);
  const paths = { ok: "", bad: "", rej: "" };
  const sums = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    let y = height - 1;
    const bar = (kind, v) => {
      if (!v) return;
      const h = Math.max(1, v / top * (height - 2));
      y -= h;
      paths[kind] += `M${i * 3} ${y.toFixed(1)}h2v${h.toFixed(1)}h-2z`;
    };
    bar("bad", p.failure[i]);
    bar("rej", p.rejected[i]);
    bar("ok", p.success[i]);
    sums[0] += p.success[i];
    sums[1] += p.failure[i];
    sums[2] += p.rejected[i];
  }
  const said = p.known ? `failures on record, at most ${count(Math.max(...p.failure))}` : `${count(sums[0])} succeeded, ${count(sums[1])} failed, ${count(sums[2])} rejected in five minutes`;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": said },
    svg("title", {}, said), svg("path", { class: "base", d: `M0 ${height - 1}h${width}v1h-${width}z` }));
  for (const [kind, d] of Object.entries(paths)) if (d) root.append(svg("path", { class: kind, d }));
  return root;
}

// lane draws the states of the last span seconds up to now, both in seconds.
// points are [from, state], oldest first, after the state first.
export function lane(points, first, now, span, height = 10) {
  const width = 300, x = (t) => Math.max(0, Math.min(width, (t - now + span) / span * width));
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" });
  const shut = {};
  const piece = (from, to, state) => {
    const a = x(from), b = x(to);
    if (b <= a) return;
    shut[state] = (shut[state] || 0) + (Math.min(to, now) - Math.max(from, now - span));
    root.append(svg("rect", { class: state, x: a.toFixed(1), y: 0, width: Math.max(1.5, b - a).toFixed(1), height }));
  };
  let from = now - span, state = first;
  for (const [at, to] of points) {
    piece(from, at, state);
    from = Math.max(from, at);
    state = to;
  }
  piece(from, now, state);
  const said = Object.entries(shut).filter(([s]) => s !== "before").map(([s, t]) => `${stateWords[s]} for ${human(t)}`).join(", ") || "no change";
  root.setAttribute("aria-label", said);
  root.append(svg("title", {}, said));
  return root;
}
