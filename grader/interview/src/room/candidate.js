// The candidate's page.

import { $, act, announce, attempt, copyable, el, fill, follow, line, parts, pausing, post, rich, say, sendLast, sentence, sure, time } from "/room/room.js";

let page = null;
let clock = null;
const part = () => page?.part;

// The answer in prose, saved while it is typed.

const answer = $("answer");
const mine = { part: null, based: 0, dirty: false, saving: false, timer: 0 };

answer.addEventListener("input", () => {
  mine.dirty = true;
  $("kept").textContent = "…";
  clearTimeout(mine.timer);
  mine.timer = setTimeout(save, 800);
});

async function save() {
  clearTimeout(mine.timer);
  if (!mine.dirty || mine.saving || !$("conflict").hidden) return;
  mine.saving = true;
  const text = answer.value;
  const done = await act({ do: "write", text }, { part: mine.part, text: mine.based });
  mine.saving = false;
  if (done.ok) {
    mine.based = done.text;
    mine.dirty = answer.value !== text;
    $("kept").textContent = mine.dirty ? "…" : `Kept at ${new Date().toLocaleTimeString()}.`;
    if (mine.dirty) mine.timer = setTimeout(save, 800);
  } else if (done.newest != null) {
    conflict(done);
  } else {
    $("kept").textContent = `Not kept. ${sentence(done.error)}`;
    // The room may come back, and the clock go on; a part that has ended stays so.
    if (done.lost || page.view.state === "paused") mine.timer = setTimeout(save, 3000);
  }
}

function conflict({ newest, text }) {
  const settle = () => { $("conflict").hidden = true; mine.based = text; };
  const take = () => { settle(); answer.value = newest; mine.dirty = false; $("kept").textContent = "Kept."; };
  const keep = () => { settle(); save(); };
  $("conflict").replaceChildren(
    el("p", {}, "The answer was changed in another window meanwhile. Which one counts?"),
    el("div", { class: "row" }, el("button", { type: "button", click: keep }, "This one"), el("button", { type: "button", class: "plain", click: take }, "The other one")),
  );
  $("conflict").hidden = false;
}

function showAnswer(text) {
  if (mine.part !== page.part) {
    Object.assign(mine, { part: page.part, dirty: false });
    $("conflict").hidden = true;
  } else if (mine.dirty || mine.saving) {
    return;
  }
  mine.based = page.text;
  if (answer.value === text) return;
  const { selectionStart, selectionEnd } = answer;
  answer.value = text;
  answer.setSelectionRange(selectionStart, selectionEnd);
  $("kept").textContent = "Kept.";
}

addEventListener("pagehide", () => {
  if (mine.dirty) sendLast({ do: "write", text: answer.value, on: { part: mine.part, text: mine.based } });
});

// Questions with one right answer.

function question({ shown, number }) {
  const on = { part: part(), question: number };
  const send = given => attempt({ do: "answer", answer: given }, on);
  const [body, read] = { one: choose, several: choose, number: count, order: sort }[shown.kind](shown);
  const submit = event => {
    event.preventDefault();
    const given = read();
    if (given) send(given);
  };
  return [
    shown.transcript.length > 0 && el("pre", {}, shown.transcript.join("\n")),
    el("form", { submit },
      el("fieldset", { class: "bare" }, el("legend", { class: "ask" }, line(shown.ask)), body),
      el("div", { class: "row" }, el("button", {}, "Answer"), el("button", { type: "button", class: "plain", click: () => send("skipped") }, "Skip"),
        el("span", { class: "faint" }, "A skipped question counts as wrong."))),
  ];
}

function choose(shown) {
  const one = shown.kind === "one";
  const inputs = shown.options.map((_, at) => el("input", { type: one ? "radio" : "checkbox", name: "option", value: at, required: one }));
  const body = [
    el("p", { class: "faint" }, one ? "One is right." : "One or more are right."),
    shown.options.map((text, at) => el("label", { class: "option" }, inputs[at], el("span", {}, line(text)))),
  ];
  const read = () => {
    const chosen = shown.options.filter((_, at) => inputs[at].checked);
    if (chosen.length === 0) return say("Choose at least one.", true);
    return { chosen };
  };
  return [body, read];
}

function count(shown) {
  const input = el("input", { type: "number", step: "any", required: true, inputmode: "decimal", "aria-label": shown.unit ? `Number, in ${shown.unit}` : "Number" });
  return [el("p", { class: "row" }, input, shown.unit), () => ({ number: input.valueAsNumber })];
}

function sort(shown) {
  const list = el("ol", { class: "sort" });
  const move = (item, by) => {
    const items = [...list.children];
    const to = items.indexOf(item) + by;
    if (to < 0 || to >= items.length) return;
    by < 0 ? items[to].before(item) : items[to].after(item);
    announce(`${item.dataset.text}: now ${to + 1} of ${items.length}`);
  };
  let dragged = null;
  for (const text of shown.options) {
    const turn = (sign, by, name) => el("button", { type: "button", class: "plain small", "aria-label": `${name}: ${text}`, click: event => { move(item, by); event.target.focus(); } }, sign);
    const item = el("li", {
      draggable: "true", "data-text": text,
      dragstart: event => { dragged = item; event.dataTransfer.effectAllowed = "move"; },
      dragover: event => {
        event.preventDefault();
        if (!dragged || dragged === item) return;
        const below = event.clientY > item.getBoundingClientRect().top + item.offsetHeight / 2;
        below ? item.after(dragged) : item.before(dragged);
      },
      dragend: () => { dragged = null; },
      keydown: event => {
        const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (!by) return;
        event.preventDefault();
        move(item, by);
        event.target.focus();
      },
    }, el("span", { class: "grip", "aria-hidden": "true" }, "⠿"), el("span", { class: "grow" }, line(text)), turn("↑", -1, "Up"), turn("↓", 1, "Down"));
    list.append(item);
  }
  const body = [el("p", { class: "faint" }, "First things first. Drag, or use the arrows."), list];
  return [body, () => ({ order: [...list.children].map(item => item.dataset.text) })];
}

// What the page shows.

const KINDS = { warmup: "Warm-up", code: "Code", incident: "Incident", design: "Design question" };
const TITLES = {
  warmup: open => `Question ${open.number} of ${open.of}`,
  code: open => open.exercise,
  incident: open => open.title,
  design: open => open.title,
};
let turn = null;
let probes = null;

function show(next) {
  const moved = page !== null && next.part !== page.part;
  page = next;
  const { view } = page;
  const open = view.open;
  const running = view.state === "running";
  $("head").textContent = view.head;
  fill($("parts"), [view.parts, page.part], () => parts(view, page.part));
  $("pause").textContent = view.state === "paused" ? "Go on" : "Pause";
  $("pause").hidden = $("next").hidden = !open;
  $("next").disabled = !running;
  $("paused").hidden = view.state !== "paused";
  $("doing").hidden = !open;
  $("doing").disabled = !running;
  fill($("trouble"), page.trouble, trouble => trouble && sentence(trouble));
  fill($("over"), [view.state, page.interviewed], over);
  if (!open) return;

  $("kind").textContent = `Part ${page.part + 1} of ${view.parts.length} · ${KINDS[open.kind]}`;
  $("title").textContent = TITLES[open.kind](open);
  fill($("prompt"), [open.kind, open.prompt, open.rule], prompt);
  fill($("place"), [page.file, page.kubeconfig], place);
  const asked = open.kind === "warmup" || open.kind === "incident" ? open.question : null;
  const number = open.number ?? 1;
  fill($("question"), [page.part, number, asked], () => asked ? question({ shown: asked, number }) : []);
  work(open);
  hints(open);
  $("design").hidden = open.kind !== "design";
  if (open.kind === "design") design(open);
  // What was pressed is gone: whoever uses no mouse goes on at the new question.
  const now = `${page.part} ${number}`;
  if (turn !== null && turn !== now) $("title").focus();
  turn = now;
  if (moved) announce(`Part ${page.part + 1} begins: ${KINDS[open.kind]}`);
}

function over([state, interviewed]) {
  if (state === "finished") return [el("h2", {}, "That was it"), el("p", {}, "The report opens here.")];
  if (state !== "judging") return [];
  const who = interviewed ? "The interviewer gives the marks now. When they finish, the report opens here." : "What is left is to mark the design question: the terminal asks for it.";
  return [el("h2", {}, "All parts have ended"), el("p", {}, who)];
}

function prompt([kind, text, rule]) {
  if (kind === "code") {
    return rule ? [el("p", { class: "label" }, "A rule is different here"), rich(rule)] : el("p", {}, "Write the module in its file. Grade it as often as you like: the last run counts.");
  }
  return text ? rich(text) : [];
}

function place([file, kubeconfig]) {
  if (file) return [el("p", { class: "label" }, "The file"), copyable(file)];
  if (kubeconfig) return [el("p", { class: "label" }, "In your terminal"), copyable(`export KUBECONFIG=${/^[\w/.-]+$/.test(kubeconfig) ? kubeconfig : `'${kubeconfig}'`}`)];
  return [];
}

function work(open) {
  const code = open.kind === "code";
  $("work").hidden = !code && open.kind !== "incident";
  $("run").textContent = code ? "Run the grader" : "Check the cluster";
  $("run").disabled = page.working;
  $("working").textContent = page.working ? (code ? "The grader is at work…" : "The cluster is looked at…") : "";
  fill($("results"), [open.kind, open.runs, open.checks], () => {
    if (code && open.runs.length > 0) {
      const { passed, said } = open.runs.at(-1);
      return [
        el("p", { class: passed ? "good" : "bad" }, `Run ${open.runs.length}: ${passed ? "✓ all as expected" : "✗ not yet"}`),
        el("pre", { tabindex: "0", "aria-label": "What the grader said" }, said),
      ];
    }
    if (!code && open.checks?.length > 0) {
      const healed = open.checks.at(-1);
      return el("p", { class: healed ? "good" : "bad" }, `Check ${open.checks.length}: ${healed ? "✓ healed. Now the root cause." : "✗ not healed"}`);
    }
    return [];
  });
}

function hints(open) {
  const { left, cost } = page.hints;
  $("hinting").hidden = open.hints === undefined || (left === 0 && open.hints.length === 0);
  fill($("hints"), open.hints ?? [], hints => hints.map(hint => el("li", {}, rich(hint))));
  $("hint").disabled = left === 0;
  $("price").textContent = left === 0 ? "There is no further one." : `Each takes ${cost} % of this part’s points; ${left} ${left === 1 ? "is" : "are"} left.`;
}

function design(open) {
  showAnswer(open.text);
  $("probing").hidden = open.probes.length === 0;
  fill($("probes"), open.probes, probes => probes.map(probe => el("li", {}, line(probe))));
  if (probes !== null && open.probes.length > probes) announce(`You are asked: ${open.probes.at(-1)}`);
  probes = open.probes.length;
  const unknown = page.interviewed ? "The interviewer has not answered yet." : "Nobody knows. Assume something, and say so.";
  fill($("asked"), [open.asked, unknown], () => [...open.asked].reverse().map(({ text, answers }) => [
    el("dt", {}, text),
    answers.length > 0 ? answers.map(answer => el("dd", {}, line(answer))) : el("dd", { class: "faint" }, unknown),
  ]));
  fill($("told"), open.told, told => told.map(fact => el("li", {}, line(fact))));
}

// What the candidate does.

pausing($("pause"), () => page.view.state, save);
pausing($("resume"), () => page.view.state);

$("next").addEventListener("click", async () => {
  const meant = part();
  const last = meant + 1 === page.view.parts.length;
  const left = time(clock.part);
  const lost = last ? `${left} are left.` : `The ${left} that are left are not added to the next one.`;
  if (!await sure(`End this part? ${lost}`, "End the part")) return;
  await save();
  attempt({ do: "next" }, { part: meant });
});

$("run").addEventListener("click", async () => {
  $("run").disabled = true;
  const done = await post("/task");
  if (!done.ok) say(sentence(done.error), true);
});

$("hint").addEventListener("click", () => attempt({ do: "hint" }, { part: part() }));

$("asking").addEventListener("submit", async event => {
  event.preventDefault();
  const text = $("ask").value.trim();
  if (!text) return;
  const done = await attempt({ do: "ask", text }, { part: part() });
  if (done.ok) $("ask").value = "";
});

follow(show, now => {
  clock = now;
  // What is typed in the last second would come too late.
  if (mine.dirty && now.part < 2500) save();
});
