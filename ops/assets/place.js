// What is shown, as stored in the URL, so that it can be sent to others, and Back
// and reload keep it.

const names = { tab: "", breaker: "", state: "", q: "", span: "900" }; // and their defaults

// read is the place that the URL names.
export function read() {
  const q = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(names).map(([k, none]) => [k, q.get(k) ?? none]));
}

// go stores a change of place. Back returns to the place before, unless the change
// is part of a longer one, such as typing.
export function go(change, step) {
  const place = { ...read(), ...change };
  const url = new URL(location.href);
  for (const [k, none] of Object.entries(names)) {
    if (place[k] === none) url.searchParams.delete(k);
    else url.searchParams.set(k, place[k]);
  }
  if (url.href === location.href) return;
  if (step) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
}

// follow calls f when Back or Forward changes the place.
export function follow(f) { addEventListener("popstate", () => f(read())); }
