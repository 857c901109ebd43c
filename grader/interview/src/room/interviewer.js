// The interviewer's page.

import { $, announce, attempt, el, fill, follow, line, parts, pausing, rich, sentence, sure, time } from "/room/room.js";

let page = null;
let clock = null;
/** The part that is looked at; the open one if none was chosen. */
let chosen = null;
let asked = null;

const KINDS = { warmup: "Warm-up", code: "Code", incident: "Incident", design: "Design question" };
const points = share => share === 1 ? ["good", "✓"] : share === 0 ? ["bad", "✗"] : ["warn", "½"];

function show(next) {
  if (page !== null && page.part !== next.part) chosen = next.part ?? looked();
  page = next;
  const { view, advice, score } = page.sheet;
  const state = view.state;
  $("head").textContent = view.head;
  fill($("parts"), [view.parts, page.part, looked()], () => parts(view, page.part, choose, looked()));
  $("pause").textContent = state === "paused" ? "Go on" : "Pause";
  $("pause").hidden = $("next").hidden = page.part == null;
  $("next").disabled = state !== "running";
  $("finish").hidden = state !== "judging";
  fill($("trouble"), page.trouble, trouble => trouble && sentence(trouble));
  const judging = state === "judging" ? ["All parts have ended. Give the marks that are missing, then finish."] : advice;
  fill($("advice"), judging, all => all.map(one => el("li", {}, one)));
  fill($("score"), [score, view.parts], () => scored(score, view.parts));
  look();
}

/** Where one was last, after the last part: a design question if there is one. */
function looked() {
  const last = page?.sheet.parts.findLastIndex(part => part.kind === "design");
  return chosen ?? page?.part ?? (last >= 0 ? last : 0);
}

function choose(at) {
  chosen = at === page.part ? null : at;
  show(page);
}

function look() {
  const at = looked();
  const part = page.sheet.parts[at];
  const head = page.sheet.view.parts[at];
  const open = at === page.part ? page.sheet.view.open : null;
  $("kind").textContent = `Part ${at + 1} · ${KINDS[part.kind]} · ${head.ended ? "ended" : open ? "now" : "not begun"}`;
  $("title").textContent = part.title ?? part.exercise ?? head.title;
  $("prompting").hidden = !part.prompt && !part.rule;
  fill($("prompt"), part.prompt ?? part.rule ?? "", text => text ? rich(text) : []);
  $("prompt").hidden = false;
  fill($("live"), [at, part.kind, part.questions, part.question, part.runs, part.checks, part.taken, open?.number, page.working && open !== null], () => live(part, open));
  $("text").hidden = part.kind !== "design";
  if ($("answer").textContent !== (part.text ?? "")) $("answer").textContent = part.text ?? "";
  $("answer").classList.toggle("empty", !part.text);
  for (const id of ["telling", "probing", "flagging", "judging"]) $(id).hidden = part.kind !== "design";
  if (part.kind === "design") design(at, part, open);
  fill($("right"), [at, part.kind, part.hints, part.taken, part.routes], () => right(part));
  const good = $(`good-${at}`);
  $("looks").hidden = !good;
  fill($("good"), at, () => good ? [...good.content.cloneNode(true).childNodes] : []);
  $("good").hidden = false;
}

function live(part, open) {
  const hints = part.taken > 0 && el("p", { class: "warn" }, `${part.taken} of ${part.hints.length} hints taken.`);
  const working = page.working && open && el("p", { class: "working" }, part.kind === "code" ? "The grader is at work…" : "The cluster is looked at…");
  if (part.kind === "warmup") return el("ol", { class: "rows" }, part.questions.map((one, at) => el("li", { class: open?.number === at + 1 ? "now" : "" }, answered(one))));
  if (part.kind === "code") {
    const last = part.runs.at(-1);
    return [hints, working, last ? [el("p", { class: last.passed ? "good" : "bad" }, `Run ${part.runs.length}: ${last.passed ? "✓ all as expected" : "✗ not yet"}`), el("pre", { tabindex: "0" }, last.said)] : el("p", { class: "faint" }, "Nothing was graded yet.")];
  }
  if (part.kind === "incident") {
    const last = part.checks.at(-1);
    return [
      hints, working,
      last ? [el("p", {}, `Check ${part.checks.length}:`), el("ul", {}, last.map(said => el("li", {}, said)))] : el("p", { class: "faint" }, "The cluster was not looked at yet."),
      answered(part.question),
    ];
  }
  return [];
}

function answered(one) {
  const text = given => {
    if (given === "skipped") return "skipped";
    const [value] = Object.values(given);
    return Array.isArray(value) ? value.join(given.order ? " → " : " · ") || "none of them" : `${value} ${one.shown.unit}`;
  };
  const [kind, sign] = points(one.points ?? 0);
  return [
    el("p", {}, el("b", {}, line(one.shown.ask))),
    one.answer != null ? el("p", { class: kind }, `${sign} `, line(text(one.answer))) : el("p", { class: "faint" }, "No answer yet."),
    el("details", {}, el("summary", {}, "Right is"), el("p", {}, line(one.right)), el("ul", { class: "faint" }, one.why.map(why => el("li", {}, line(why))))),
  ];
}

function right(part) {
  if (part.kind === "code" && part.hints.length > 0) return [el("h3", {}, "Hints"), el("ol", {}, part.hints.map((hint, at) => el("li", {}, at < part.taken && el("b", { class: "warn" }, "taken: "), line(hint))))];
  if (part.kind !== "incident") return [];
  return [
    el("h3", {}, "Ways to heal it"),
    part.routes.map(([name, commands]) => [el("p", {}, line(name)), el("pre", {}, commands.join("\n"))]),
    el("h3", {}, "Hints"),
    el("ol", {}, part.hints.map((hint, at) => el("li", {}, at < part.taken && el("b", { class: "warn" }, "taken: "), line(hint)))),
  ];
}

// A design question.

function design(at, part, open) {
  const now = open !== null && page.sheet.view.state === "running";
  const questions = open?.asked ?? [];
  fill($("wanted"), questions, () => questions.map(({ text, answers }) => el("p", { class: answers.length ? "faint" : "note" }, answers.length ? "Asked: " : "The candidate asks: ", el("b", {}, text))).reverse());
  if (asked !== null && questions.length > asked) announce(`The candidate asks: ${questions.at(-1).text}`);
  asked = questions.length;
  const suggested = page.suggested ?? [];
  fill($("facts"), [at, part.facts, now, suggested], () => part.facts.map((fact, number) => el("li", { class: fact.released ? "done" : suggested.includes(number) ? "now" : "" },
    el("div", { class: "grow" }, el("b", {}, line(fact.question)), el("br"), line(fact.answer)),
    fact.released ? el("span", { class: "good" }, "✓ told") : now && el("button", { type: "button", class: "plain small", "aria-label": `Tell: ${fact.answer}`, click: () => attempt({ do: "release", fact: number }, { part: at }) }, "Tell"))));
  search();
  const minutes = page.sheet.view.parts[at].minutes;
  fill($("probes"), [at, part.probes, now], () => part.probes.map((probe, number) => el("li", { class: probe.asked ? "done" : probe.unlocked ? "now" : "" },
    el("div", { class: "grow" },
      el("p", { class: "faint small" }, `from minute ${Math.floor(probe.at * minutes / 100)} · ${probe.lines.join(", ")}`),
      el("b", {}, line(probe.ask)), el("br"), el("span", { class: "faint" }, "Good: ", line(probe.good))),
    probe.asked ? el("span", { class: "good" }, "✓ asked") 
      : now && el("button", { type: "button", class: probe.unlocked ? "small" : "plain small", "aria-label": `Ask: ${probe.ask}`, click: () => attempt({ do: "probe", probe: number }, { part: at }) }, "Ask"))));
  fill($("flags"), part.red_flags, flags => flags.map(flag => el("li", {}, el("div", {}, el("b", {}, `“${flag.says}”`), el("br"), el("span", { class: "faint" }, line(flag.why))))));
  rubric(at, part.rubric);
}

function search() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(word => word);
  for (const item of $("facts").children) item.hidden = !words.every(word => item.textContent.toLowerCase().includes(word));
}

$("search").addEventListener("input", search);

// Marks. A line is built once, so that nothing is taken from under the interviewer's hands.

let selected = "";
document.addEventListener("selectionchange", () => {
  const selection = document.getSelection();
  if (!selection.rangeCount || !$("answer").contains(selection.anchorNode) || !$("answer").contains(selection.focusNode)) return;
  selected = selection.toString().trim();
  for (const button of document.querySelectorAll(".take")) button.disabled = !selected;
});

const lines = new Map();

function rubric(at, all) {
  const built = all.map(one => {
    const key = `${at}-${one.id}`;
    if (!lines.has(key)) lines.set(key, mark(at, one));
    return lines.get(key);
  });
  if (built.some((one, number) => $("rubric").children[number] !== one.node)) $("rubric").replaceChildren(...built.map(one => one.node));
  all.forEach((one, number) => built[number].update(one.mark));
}

function mark(part, one) {
  const key = `${part}-${one.id}`;
  const status = el("span", { class: "faint small", role: "status" });
  const radios = one.marks.map((_, mark) => el("input", { type: "radio", name: key, value: mark }));
  const evidence = el("textarea", { rows: 2, id: `${key}-evidence`, placeholder: "The words that the mark rests on" });
  const take = el("button", { type: "button", class: "plain small take", disabled: !selected }, "Take the selected text");
  let dirty = false;
  let timer = 0;

  const send = async () => {
    clearTimeout(timer);
    const mark = radios.findIndex(radio => radio.checked);
    if (mark < 0) return status.textContent = "Choose a mark.";
    const text = evidence.value.trim();
    if (mark > 0 && text.length < 8) return status.textContent = "Not kept yet: quote what it rests on.";
    const done = await attempt({ do: "mark", part, line: one.id, mark, evidence: text });
    if (done.ok && evidence.value.trim() === text) dirty = false;
    status.textContent = done.ok ? "Kept." : "Not kept.";
  };
  const change = wait => () => {
    dirty = true;
    status.textContent = "…";
    clearTimeout(timer);
    timer = setTimeout(send, wait);
  };
  radios.forEach(radio => radio.addEventListener("change", change(0)));
  evidence.addEventListener("input", change(800));
  // A press must not take the selection away before it is read.
  take.addEventListener("mousedown", event => event.preventDefault());
  take.addEventListener("click", () => {
    evidence.value = [evidence.value.trim(), selected].filter(text => text).join(" … ");
    change(0)();
  });

  const node = el("fieldset", { class: "line" },
    el("legend", {}, el("b", {}, line(one.name)), el("span", { class: "faint" }, ` ${one.dimension} · ${one.weight}`)),
    one.marks.map((text, mark) => el("label", { class: "anchor" }, radios[mark], el("b", {}, String(mark)), el("span", {}, line(text)))),
    el("label", { class: "small faint", for: evidence.id }, "Evidence"), evidence,
    el("div", { class: "row" }, take, status));
  const update = mark => {
    if (dirty || !mark) return;
    radios[mark.mark].checked = true;
    if (document.activeElement !== evidence) evidence.value = mark.evidence;
  };
  return { node, update };
}

// The score.

function scored({ graded, judged, reached }, titles) {
  const row = (name, value, most, limit, text) => el("tr", {}, el("td", {}, name), el("td", {}, el("meter", { min: 0, max: most, low: limit, optimum: most, value, "aria-label": name })), el("td", { class: "number" }, text));
  const rows = [];
  if (graded.parts.length > 0) {
    rows.push(row("Graded", graded.percent, 100, 70, `${graded.percent.toFixed(0)} %`));
    for (const one of graded.parts) {
      const hints = one.hints ? `, ${one.hints} ${one.hints === 1 ? "hint" : "hints"}` : "";
      rows.push(el("tr", { class: "faint" }, el("td", {}, `${one.part + 1} ${titles[one.part].kind}`), el("td", {}, one.said + hints), el("td", { class: "number" }, `${(100 * one.points).toFixed(0)} %`)));
    }
  }
  if (judged) {
    rows.push(row("Judged", judged.percent, 100, 70, `${judged.percent.toFixed(0)} %`));
    for (const [dimension, mark] of Object.entries(judged.dimensions)) rows.push(row(dimension[0].toUpperCase() + dimension.slice(1), mark, 4, 2, mark.toFixed(1)));
  }
  const said = reached === true ? ["good", "The bar is reached."] : reached === false ? ["bad", "The bar is not reached."] : ["faint", `${judged.missing} ${judged.missing === 1 ? "mark is" : "marks are"} missing.`];
  return [el("table", { class: "scored" }, el("tbody", {}, rows)), el("p", { class: said[0] }, said[1])];
}

// What the interviewer does.

pausing($("pause"), () => page.sheet.view.state);

$("next").addEventListener("click", async () => {
  const meant = page.part;
  if (await sure(`End part ${meant + 1} for the candidate? ${time(clock.part)} are left.`, "End the part")) attempt({ do: "next" }, { part: meant });
});

$("finish").addEventListener("click", async () => {
  const missing = page.sheet.score.judged?.missing ?? 0;
  const text = missing === 0 ? "Finish the session? No mark can be changed after it." : `${missing} ${missing === 1 ? "line has" : "lines have"} no mark, so nobody will know whether the bar was reached. Finish all the same?`;
  if (await sure(text, "Finish")) attempt({ do: "finish" });
});

follow(show, now => { clock = now; });
