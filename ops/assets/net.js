// What goes over the network: requests, and the stream of events.

const patience = 15000;

// ask fetches JSON. An error has the API's code and message.
export async function ask(path, query, options) {
  const url = new URL(path, document.baseURI);
  for (const [k, v] of query || []) url.searchParams.append(k, v);
  let r;
  try {
    r = await fetch(url, { ...options, signal: AbortSignal.timeout(patience) });
  } catch (e) {
    throw Object.assign(new Error("The process does not answer."), { code: "gone", cause: e });
  }
  const body = await r.json().catch(() => ({}));
  if (!r.ok) throw Object.assign(new Error(body.error?.message || r.statusText), { code: "http", ...body.error });
  return body;
}

export const order = (o) => ask("v1/orders", [], { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(o) });

// follow listens to events until the page is closed. on.event gets each; on.alive is called
// for every message. The browser reconnects and resumes with Last-Event-ID; if it
// gives up, follow starts again.
export function follow(after, on) {
  let last = after, source;
  const begin = () => {
    source = new EventSource(new URL("v1/events?after=" + encodeURIComponent(last), document.baseURI));
    source.onopen = () => on.alive();
    source.onerror = () => {
      on.lost();
      if (source.readyState === EventSource.CLOSED) setTimeout(begin, 3000);
    };
    for (const kind of ["transition", "held-back", "reminder", "order", "audit", "notice", "gap", "alive"]) {
      source.addEventListener(kind, (e) => {
        if (e.lastEventId) last = e.lastEventId;
        on.alive();
        if (kind !== "alive") on.event(JSON.parse(e.data));
      });
    }
  };
  begin();
}
