// What both pages share: the session as it comes from the room, actions to it, and small pieces of page.

const token = new URLSearchParams(location.search).get("token");
const address = path => `${path}?token=${encodeURIComponent(token)}`;

export const $ = id => document.getElementById(id);

/** An element. A function is a listener, a boolean an attribute that is there or not; text never becomes HTML. */
export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (typeof value === "boolean") node.toggleAttribute(name, value);
    else if (value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter(child => child != null && child !== false));
  return node;
}

/** A line with `code` and **strong** words in it. */
export const line = text =>
  text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(piece => piece).map(piece => {
    if (/^`.+`$/s.test(piece)) return el("code", {}, piece.slice(1, -1));
    return /^\*\*.+\*\*$/s.test(piece) ? el("strong", {}, piece.slice(2, -2)) : piece;
  });

/** Paragraphs and simple lists. */
export const rich = text =>
  text.trim().split(/\n\s*\n/).map(block => {
    const items = block.split(/^\s*[-*] /m);
    if (items.length > 1 && !items[0].trim()) return el("ul", {}, items.slice(1).map(item => el("li", {}, line(item.trim()))));
    return el("p", {}, line(block));
  });

const filled = new WeakMap();

/** Fills a place anew if what it shows has changed. An empty place is hidden. */
export function fill(place, data, build) {
  const key = JSON.stringify(data);
  if (filled.get(place) === key) return false;
  filled.set(place, key);
  const children = [build(data)].flat(Infinity).filter(child => child != null && child !== false);
  place.replaceChildren(...children);
  place.hidden = children.length === 0;
  return true;
}

let silence;

/** Says something for a while. */
export function say(text, bad = false) {
  const said = $("said");
  said.textContent = text;
  said.classList.toggle("bad", bad);
  said.hidden = !text;
  clearTimeout(silence);
  silence = setTimeout(() => { said.hidden = true; }, 8000);
}

/** For those who hear the page. */
export function announce(text) {
  $("news").textContent = text;
}

/** Does something. `on` says what it is meant for: a page that is behind must not do it to something else. */
export async function act(action, on = {}) {
  return post("/act", { ...action, on });
}

export async function post(path, body) {
  let response;
  try {
    response = await fetch(address(path), { method: "POST", body: JSON.stringify(body ?? {}) });
  } catch {
    return { ok: false, lost: true, error: "The room does not answer." };
  }
  const answer = await response.json().catch(() => ({}));
  return { ok: response.ok, ...answer };
}

/** What is sent when the page goes away. */
export const sendLast = action => navigator.sendBeacon(address("/act"), JSON.stringify(action));

/** Does something, and says so if it was refused. */
export async function attempt(action, on) {
  const done = await act(action, on);
  if (!done.ok) say(sentence(done.error), true);
  return done;
}

export const sentence = text => text ? text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".") : "It was refused.";

/** Asks once. */
export function sure(question, yes) {
  const dialog = el("dialog", { "aria-labelledby": "question-asked" });
  dialog.append(
    el("p", { id: "question-asked" }, question),
    el("form", { method: "dialog", class: "row end" },
      el("button", { value: "no", class: "plain" }, "Go back"), el("button", { value: "yes" }, yes)),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise(answer => dialog.addEventListener("close", () => {
    dialog.remove();
    answer(dialog.returnValue === "yes");
  }));
}

export function time(ms) {
  const seconds = Math.ceil(Math.max(ms, 0) / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = number => String(number).padStart(2, "0");
  return (hours ? `${hours}:${two(minutes)}` : `${minutes}`) + `:${two(seconds % 60)}`;
}

const ANNOUNCED = [[300_000, "Five minutes are left in this part."], [60_000, "One minute is left in this part."]];
let before = null;
/** What the open part had in all, in milliseconds. */
let budget = 0;

/** Shows the clock. At five minutes and at one it is said, once. */
export function tick(clock) {
  const open = clock.state === "running" || clock.state === "paused";
  for (const [place, left] of [[$("part-left"), clock.part], [$("whole-left"), clock.whole]]) {
    place.textContent = open ? time(left) : "–";
  }
  const box = $("clock");
  box.classList.toggle("paused", clock.state === "paused");
  box.classList.toggle("late", open && clock.part <= Math.min(300_000, budget / 3) && clock.part > 60_000);
  box.classList.toggle("last", open && clock.part <= 60_000);
  for (const [limit, text] of ANNOUNCED) {
    if (open && before !== null && before > limit && clock.part <= limit) $("minutes").textContent = text;
  }
  before = open ? clock.part : null;
}

/** The list of parts; `choose` makes them buttons. */
export function parts(view, open, choose, chosen) {
  budget = 60_000 * (view.parts[open]?.minutes ?? 0);
  const kinds = { ended: "ended", now: "now", later: "later" };
  return view.parts.map((part, at) => {
    const state = part.ended ? "ended" : at === open ? "now" : "later";
    const text = [el("b", {}, `${at + 1} ${part.kind}`), el("small", {}, ` ${part.minutes} min`), el("span", { class: "hidden" }, `, ${kinds[state]}`)];
    const current = choose ? at === chosen : state === "now";
    const inside = choose ? el("button", { type: "button", "aria-pressed": String(current), click: () => choose(at) }, text) : text;
    return el("li", { class: state, "aria-current": current && !choose ? "step" : null }, inside);
  });
}

/** Follows the session. `show` gets the page whenever it changed. */
export function follow(show, clock) {
  const source = new EventSource(address("/events"));
  const offline = $("offline");
  source.addEventListener("page", event => {
    offline.hidden = true;
    const news = JSON.parse(event.data);
    show(news.page);
    clock(news.clock);
    tick(news.clock);
    if (news.clock.state === "finished") {
      source.close();
      location.replace(address("/report"));
    }
  });
  source.addEventListener("clock", event => {
    offline.hidden = true;
    const now = JSON.parse(event.data);
    clock(now);
    tick(now);
  });
  source.addEventListener("error", () => {
    offline.hidden = false;
    if (source.readyState !== EventSource.CLOSED) return;
    offline.textContent = "This page belongs to a room that was closed. If the session goes on, the terminal shows a new address.";
  });
}

/** Pause, and on again. */
export function pausing(button, state, first = async () => {}) {
  button.onclick = async () => {
    if (state() === "running") await first();
    await attempt({ do: state() === "paused" ? "resume" : "pause" });
  };
}

/** A line to be copied. */
export function copyable(text) {
  const button = el("button", { type: "button", class: "plain small" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
    } catch {
      say("The browser doesn't allow that here: select the line.", true);
    }
  });
  return el("div", { class: "copyable" }, el("code", {}, text), button);
}
