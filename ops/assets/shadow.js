// What the shadows of a breaker would have done.

import { human, seconds, count, many } from "./words.js";
import { lane } from "./draw.js";

// shadowsOf finds the shadows of a breaker; those of a key are those of its set.
export function shadowsOf(all, id) {
  const set = id.split("/")[0] + "/*";
  return all.find((x) => x.id === id || id.includes("/") && x.id === set)?.shadows || [];
}

// shadowLane draws the last hour of a shadow. Where the breaker itself was not
// closed, the shadow did not see all calls: that is hatched. past are the
// transitions of the breaker itself, oldest first.
export function shadowLane(model, past, x, moves) {
  const now = model.now() / 1000, span = 3600;
  const points = moves.filter((e) => e.shadow.name === x.name && Date.parse(e.at) >= Date.parse(x.since)).map((e) => [Date.parse(e.at) / 1000, e.shadow.transition.to]);
  const from = Date.parse(x.since) / 1000;
  points.unshift([from, "closed"]);
  const blind = [];
  let shut = 0;
  for (const t of past.filter((t) => !t.shadow)) {
    const at = Date.parse(t.at) / 1000, state = t.to;
    const off = state === "open" || state === "half-open" || state === "forced-open";
    if (off && !shut) shut = at;
    if (!off && shut) { blind.push([Math.max(shut, from), at]); shut = 0; }
  }
  if (shut) blind.push([Math.max(shut, from), now]);
  return lane(points, "before", now, span, 8, blind.filter(([a, b]) => b > a));
}

// shadowText says it in words. settings are those in effect.
export function shadowText(x, settings) {
  const tries = Object.entries(x.settings).filter(([k, v]) => settings[k] !== v).map(([k, v]) => `${k}=${v}`).join(" ");
  const unseen = x.refused + (x.missed || 0), all = x.saw + unseen;
  const rejected = x.rejected_good + x.rejected_bad + (x.rejected_other || 0);
  const parts = [
    `would have opened ${x.trips ? many(x.trips, "time") : "never"}` + (x.trips ? ` (${human(seconds(x.open_for))})` : ""),
    `rejecting ${many(rejected, "call")}, of which ${count(x.rejected_good)} succeeded`,
    all ? `saw ${+(100 * x.saw / all).toFixed(1)} % of the calls` : "has seen no call",
    x.earlier && `was ahead of ${x.earlier} of ${many(x.real_trips, "trip")}`,
    x.ends && `kept from before the last change`,
  ];
  return `${tries || "the settings in effect"}: ${parts.filter(Boolean).join("; ")}.`;
}
