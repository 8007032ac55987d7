// The dialog that takes an order: what, why, for how long; what it would do;
// what it did.

import { el, verbWords, stateTag, many, count, stateWords, ident, plain } from "./words.js";
import { order } from "./net.js";

const verbs = [
  ["force-closed", "every call runs, regardless of failures"],
  ["force-open", "every call is rejected"],
  ["release", "lift the override"],
  ["open", "trip it; it probes later"],
  ["half-open", "let the next call probe"],
  ["close", "closed, counts reset"],
  ["set", "a patch of its settings"],
];
const ends = [["", "its reset timeout"], ["10m", "10 minutes"], ["30m", "30 minutes"], ["1h", "1 hour"], ["4h", "4 hours"], ["24h", "1 day"], ["other", "another time…"], ["never", "no end: until it is released"]];
const overrides = (verb) => verb === "force-open" || verb === "force-closed";

// askOrder opens the dialog for a row or, without a row, for an id that is typed.
// done is called with each receipt.
export function askOrder(row, done) {
  const dialog = document.getElementById("order"), form = dialog.querySelector("form");
  const s = row?.s, many = !row || row.kind === "set";
  const state = { checked: "", version: s?.version };
  const f = fields(row, many);
  form.replaceChildren(f.head, f.verbs, f.box, f.result, f.buttons);
  const refresh = () => {
    const verb = f.verb();
    f.forRow.hidden = !overrides(verb) && verb !== "open";
    if (verb !== state.verb) { // an override needs an explicit end, an open breaker does not
      state.verb = verb;
      f.end.options[0].hidden = overrides(verb);
      f.end.options[f.end.options.length - 1].hidden = !overrides(verb);
      if (f.end.selectedOptions[0]?.hidden || verb === "open") f.end.value = overrides(verb) ? "10m" : "";
    }
    f.otherRow.hidden = f.forRow.hidden || f.end.value !== "other";
    f.patchRow.hidden = verb !== "set";
    f.reason.required = overrides(verb);
    const fresh = JSON.stringify(read(f, row)) !== state.checked;
    f.go.className = "main" + (!(many && fresh) && (verb === "force-open" || verb === "open") ? " danger" : "");
    f.go.textContent = many && fresh ? "Show what it would do" : (verbWords[verb] || "Order") + (many ? " " + state.label : "");
    f.go.disabled = !verb;
    if (fresh && state.checked) { state.checked = ""; f.result.hidden = true; }
  };
  form.oninput = refresh;
  form.onsubmit = async (e) => {
    e.preventDefault();
    if (!form.reportValidity()) return;
    localStorage.setItem("actor", f.actor.value);
    f.go.disabled = true;
    try {
      const o = read(f, row);
      if (many && JSON.stringify(o) !== state.checked) {
        const r = await order({ ...o, dry_run: true });
        state.confirm = r.matched;
        state.label = `${count(r.matched)} breakers`;
        state.checked = JSON.stringify(o);
        show(f, "warn", preview(r));
      } else {
        const r = await order({ ...o, ...(many ? { confirm: state.confirm } : { if_version: state.version }) });
        show(f, r.failed || r.audit_error ? "warn" : "good", receipt(r));
        f.verbs.hidden = f.box.hidden = f.go.hidden = true;
        f.close.textContent = "Done";
        f.close.focus();
        done(r);
        return;
      }
    } catch (err) {
      show(f, "bad", err.message + (err.code === "version" ? " Close this and look again." : ""));
      if (err.code === "confirm") state.checked = "";
    }
    f.go.disabled = false;
    refresh();
  };
  refresh();
  dialog.showModal();
  (many && !row ? f.id : f.verbs.querySelector("input")).focus();
}

function fields(row, many) {
  const s = row?.s, f = {};
  f.id = el("input", { name: "id", value: row?.id || "", required: true, placeholder: "NAME/* or *", spellcheck: "false", autocomplete: "off" });
  f.head = el("div", { class: "top" },
    el("h2", { id: "order-title" }, "Order for ", row ? el("code", {}, ...ident(row.id)) : "many"),
    s ? stateTag(s.state) : el("span", { class: "muted" }, row ? `${row.set.keys.toLocaleString("en")} keys` : ""));
  const choices = verbs.filter(([v]) => v !== "release" || many || s.override);
  f.verbs = el("fieldset", { class: "verbs" }, el("legend", { class: "sr" }, "What to do"),
    ...choices.map(([v, what]) => el("label", {}, el("input", { type: "radio", name: "verb", value: v, required: true }), verbWords[v], el("small", {}, what))));
  f.verb = () => f.verbs.querySelector(":checked")?.value;
  f.actor = el("input", { name: "actor", required: true, maxlength: "256", value: localStorage.getItem("actor") || "", autocomplete: "username" });
  f.reason = el("textarea", { name: "reason", maxlength: "2000", rows: "2", placeholder: "INC-42: the vendor is in maintenance" });
  f.end = el("select", { name: "for" }, ...ends.map(([v, what]) => el("option", { value: v }, what)));
  f.other = el("input", { name: "other", placeholder: "1h30m", pattern: "([0-9.]+(ms|s|m|h))+" });
  f.patch = el("textarea", { name: "settings", rows: "3", spellcheck: "false", placeholder: '{"fail_max": 3, "reset_timeout": "10s"}' });
  const label = (text, input, wide) => el("label", wide ? { class: "wide" } : {}, text, input);
  f.forRow = label("For how long", f.end);
  f.otherRow = label("Time, such as 90s or 1h30m", f.other);
  f.patchRow = label("Settings to change, as JSON", f.patch, true);
  f.box = el("div", { class: "fields" }, !row && label("For: * (all), NAME/* (the keys of a set) or an id", f.id, true), f.patchRow, label("Who you are", f.actor), f.forRow, f.otherRow, label("Reason, for others who find it", f.reason, true));
  f.result = el("div", { class: "result", hidden: true, role: "status" });
  f.go = el("button", { class: "main", type: "submit" });
  f.close = el("button", { class: "quiet", type: "button", onclick: () => document.getElementById("order").close() }, "Cancel");
  f.buttons = el("div", { class: "buttons" }, f.close, f.go);
  return f;
}

function read(f, row) {
  const verb = f.verb(), o = { id: row ? row.id : f.id.value.trim(), verb, actor: f.actor.value.trim(), reason: f.reason.value.trim() };
  if (overrides(verb) && f.end.value === "never") o.no_expiry = true;
  else if (overrides(verb) || verb === "open" && f.end.value) o.for = f.end.value === "other" ? f.other.value.trim() : f.end.value;
  if (verb === "set") {
    try {
      o.settings = JSON.parse(f.patch.value);
    } catch {
      o.settings = f.patch.value; // refused by the process, in words
    }
  }
  return o;
}

function show(f, kind, ...content) {
  f.result.className = "result " + kind;
  f.result.replaceChildren(...content.map((c) => c instanceof Node ? c : plain(c)));
  f.result.hidden = false;
}

function preview(r) {
  const moves = new Map();
  for (const x of r.results) {
    const k = x.settings_after ? "settings changed" : `${stateWords[x.before]} → ${stateWords[x.after]}`;
    moves.set(k, (moves.get(k) || 0) + 1);
  }
  const list = [...moves].map(([k, n]) => `${count(n)} × ${k}`).join(", ");
  return el("span", {}, el("b", {}, `It would change ${many(r.touched, "breaker")} of ${count(r.matched)}. `), list, r.omitted ? ` (of the first ${count(r.results.length)})` : "", ". Nothing is changed yet." + noted(r));
}

const noted = (r) => r.note ? ` ${r.note[0].toUpperCase()}${r.note.slice(1)}.` : "";

function receipt(r) {
  const one = r.results[0];
  const said = r.matched === 1 && one
    ? `${one.id}: ${stateWords[one.before]} → ${stateWords[one.after]}, version ${one.from_version} → ${one.version}.`
    : `${many(r.touched, "breaker")} of ${count(r.matched)} changed${r.failed ? `, ${count(r.failed)} failed: ${one.error}` : ""}.`;
  return el("span", {}, el("b", {}, r.touched ? "Done. " : "Nothing had to change. "), said + noted(r), r.audit_error ? ` Not in the audit log: ${r.audit_error}` : "");
}
