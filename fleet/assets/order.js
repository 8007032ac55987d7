// An order for all processes: it is tried first, and given on condition that no
// process has changed the breaker meanwhile.

import { el, many } from "./words.js";

const verbs = { "force-open": "Force open", "force-closed": "Force closed", release: "Release", open: "Open", "half-open": "Probe now", close: "Close" };

async function post(order) {
  const r = await fetch(new URL("v1/fleet/orders", document.baseURI), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order) });
  const body = await r.json();
  if (!r.ok) throw new Error(body.error?.message || r.statusText);
  return body;
}

// orderForm is the form of a breaker's sheet; given is called when an order is on
// its way, and Orders shows the receipts come in.
export function orderForm(b, given) {
  const verb = el("select", { name: "verb" }, ...Object.entries(verbs).map(([v, word]) => el("option", { value: v }, word)));
  const lasts = el("select", { name: "for" }, ...["10m", "30m", "1h", "4h", "24h"].map((v) => el("option", { value: v }, v)), el("option", { value: "" }, "until released"));
  const actor = el("input", { name: "actor", required: "", autocomplete: "username" }), reason = el("input", { name: "reason" });
  const result = el("div", { class: "result", role: "status", hidden: "" });
  const button = el("button", { type: "submit" }, "Try it in all processes");
  const label = (text, input) => el("label", {}, text, input);
  const time = label("for", lasts), form = el("form", { "data-id": b.id }, label("order for all processes", verb), time, label("your name", actor), label("why", reason), button, result);
  actor.value = sessionStorage.getItem("actor") || "";
  let tried = null;

  const say = (text, bad) => { result.hidden = false; result.className = "result" + (bad ? " bad" : ""); result.textContent = text; };
  const reset = () => { tried = null; button.textContent = "Try it in all processes"; time.hidden = !verb.value.startsWith("force-"); };
  const names = (list) => list.slice(0, 5).join(", ") + (list.length > 5 ? " and others" : "");
  const sum = (r) => `${(r.done || []).length} of ${r.members} done` + (r.refused?.length ? `, ${r.refused.length} refused: ${r.refused[0].error}` : "") + (r.silent?.length ? `, ${r.silent.length} silent: ${names(r.silent)}` : "");

  form.addEventListener("input", reset);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    sessionStorage.setItem("actor", actor.value);
    const order = { id: b.id, verb: verb.value, actor: actor.value, reason: reason.value };
    if (!time.hidden) lasts.value ? order.for = lasts.value : order.no_expiry = true;
    button.disabled = true;
    try {
      if (!tried) {
        tried = await post({ ...order, dry_run: true });
        const done = tried.done || [], after = {};
        for (const m of done) for (const x of m.receipt?.results || []) after[`${x.before} → ${x.after}`] = (after[`${x.before} → ${x.after}`] || 0) + 1;
        say(`Dry run: ${sum(tried)}. ${Object.entries(after).map(([k, n]) => `${n} × ${k}`).join(", ")}`, !done.length);
        if (done.length) button.textContent = `Do it in ${many(done.length, "process", "processes")}`;
        else tried = null;
      } else {
        const versions = {};
        for (const m of tried.done) if (m.receipt?.results?.length === 1) versions[m.boot] = m.receipt.results[0].from_version;
        const r = await post({ ...order, versions });
        say(`Sent: order ${r.number}. Receipts appear under Orders.`);
        reset();
        given();
      }
    } catch (err) {
      say(err.message, true);
      tried = null;
      button.textContent = "Try it in all processes";
    }
    button.disabled = false;
  });
  reset();
  return form;
}
