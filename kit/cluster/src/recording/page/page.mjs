// The page: joins the recording, the clock and what is seen, and answers to keys, links and clicks.

import { Clock, speeds } from "./clock.mjs";
import { History, lookOf, looks } from "./history.mjs";
import { Live } from "./live.mjs";
import { Log } from "./log.mjs";
import { palette } from "./marks.mjs";
import { Details, Differences, Everything, nodeWords, Workloads } from "./panels.mjs";
import { legend, Picture } from "./picture.mjs";
import { Timeline } from "./timeline.mjs";
import { bytes, count, cpu, el, natural, parseSpan, say, span, wall } from "./words.mjs";
import { Comparison, World } from "./world.mjs";

const byId = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Where so many change at once, nobody could follow single marks. */
const manyAtOnce = 250;

class Page {
    constructor(data) {
        const pair = Array.isArray(data.recordings);
        const recordings = pair ? data.recordings : [data];
        this.parts = pair ? data.parts : undefined;
        this.histories = recordings.map((recording, side) => new History(recording, pair ? (data.names?.[side] ?? `${side + 1}`) : ""));
        this.worlds = this.histories.map((history) => new World(history));
        this.clock = new Clock(this.histories);
        this.comparison = pair && recordings.length === 2 ? new Comparison(...this.worlds) : undefined;
        this.version = 0;
        this.filter = { text: "", kind: "", namespace: "", look: "" };
        this.filterKey = "";
        this.matching = this.histories.map(() => []);
        this.trees = undefined;
        this.work = [];
        this.shell(recordings);
    }

    // ---- what is on the page ----

    shell(recordings) {
        const [first] = this.histories;
        const link = this.readLink();
        this.compact = "embed" in link || (window.top !== window && window.innerHeight < 520);
        document.documentElement.classList.toggle("embed", this.compact);
        document.documentElement.classList.toggle("two", this.histories.length > 1);
        document.title = `${first.title || "cluster"} · recording`;
        say(byId("title"), first.title || "A cluster");
        say(byId("why"), first.why);

        this.pictures = this.worlds.map((world, side) => new Picture(side, world, this));
        byId("clusters").replaceChildren(...this.pictures.map((picture) => picture.element));
        this.timeline = new Timeline(this.clock, this, this.comparison?.overTime());
        byId("timeline").replaceWith(this.timeline.element);
        this.workloads = new Workloads(this);
        this.details = new Details(this);
        this.everything = new Everything(this);
        this.differences = this.comparison && new Differences(this);
        this.log = new Log(this);
        byId("log").append(this.log.element);
        this.legend = legend((look) => this.setFilter({ look: this.filter.look === look ? "" : look }));
        byId("legend").append(...this.legend.items.map((item) => item.button));
        this.tabs = [
            ["workloads", "Workloads", this.workloads],
            ...(this.differences ? [["differences", "Differences", this.differences]] : []),
            ["details", "Details", this.details],
            ["table", "Table", this.everything],
        ];
        this.buildTabs();
        this.buildControls();
        this.buildParts();
        this.fillChoices();
        this.buildHelp();
        if (first.live) this.live = new Live(this, recordings[0].next);
        this.listen();
        this.setTheme(link.theme ?? this.stored("theme") ?? "");
        this.resize();
        this.goTo(link.t ?? this.parts?.t ?? this.clock.begin, true);
        if (first.live && link.t === undefined) this.clock.following = true;
        if (link.sel) this.choose(link.sel);
        else this.showTab(this.differences ? "differences" : "workloads");
    }

    buildTabs() {
        const list = byId("tabs");
        const panels = byId("panels");
        this.tabButtons = new Map();
        for (const [name, words, panel] of this.tabs) {
            const button = el("button", { role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, onclick: () => this.showTab(name) }, words);
            const holder = el("div", { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, tabindex: "0", hidden: true }, panel.element);
            this.tabButtons.set(name, { button, holder, panel });
            list.append(button);
            panels.append(holder);
        }
        list.addEventListener("keydown", (event) => {
            const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
            if (!by) return;
            const names = this.tabs.map(([name]) => name);
            const next = names[(names.indexOf(this.tab) + by + names.length) % names.length];
            this.showTab(next);
            this.tabButtons.get(next).button.focus();
            event.preventDefault();
            event.stopPropagation();
        });
    }

    showTab(name) {
        if (!this.tabButtons.has(name)) return;
        this.tab = name;
        for (const [other, { button, holder }] of this.tabButtons) {
            button.setAttribute("aria-selected", `${other === name}`);
            button.tabIndex = other === name ? 0 : -1;
            holder.hidden = other !== name;
        }
        this.refreshTab();
    }

    refreshTab() {
        this.tabButtons.get(this.tab)?.panel.refresh();
    }

    buildControls() {
        const on = (id, act) => byId(id).addEventListener("click", act);
        on("play", () => this.play());
        on("back", () => this.step(-1));
        on("forward", () => this.step(1));
        on("mark-back", () => this.stepMark(-1));
        on("mark-forward", () => this.stepMark(1));
        on("zoom-in", () => this.timeline.zoomBy(0.5));
        on("zoom-out", () => this.timeline.zoomBy(2));
        on("zoom-all", () => this.timeline.zoomOut());
        on("theme", () => this.switchTheme());
        on("help-open", () => byId("help").showModal());
        on("help-close", () => byId("help").close());
        const speed = byId("speed");
        speed.append(...speeds.map((value) => el("option", { value }, `${value}×`)));
        speed.value = this.clock.speed;
        speed.addEventListener("change", () => (this.clock.speed = Number(speed.value)));
        byId("skip").addEventListener("change", (event) => (this.clock.skipping = event.target.checked));
        byId("jump").addEventListener("change", (event) => {
            if (event.target.value !== "") this.goTo(Number(event.target.value));
            event.target.value = "";
        });
        byId("text").addEventListener("input", (event) => this.setFilter({ text: event.target.value }));
        byId("kind").addEventListener("change", (event) => this.setFilter({ kind: event.target.value }));
        byId("namespace").addEventListener("change", (event) => this.setFilter({ namespace: event.target.value }));
        byId("full").hidden = !this.compact;
    }

    /** The lists of marks, kinds and namespaces to choose from, with what there is. */
    fillChoices() {
        const marks = this.histories.flatMap((history) => history.marks);
        const unique = new Map(marks.map((mark) => [`${mark.t} ${mark.text}`, mark]));
        const jumps = [...unique.values()].sort((a, b) => a.t - b.t).map((mark) => el("option", { value: mark.t }, `t=${span(mark.t)}  ${mark.text}`));
        if (this.parts) jumps.unshift(el("option", { value: this.parts.t }, `t=${span(this.parts.t)}  where they part`));
        if (byId("jump").options.length !== jumps.length + 1) byId("jump").replaceChildren(el("option", { value: "" }, "jump to…"), ...jumps);
        byId("jump").hidden = jumps.length === 0;
        const all = (pick) => [...new Set(this.histories.flatMap((history) => history.objects.map(pick)).filter(Boolean))].sort(natural);
        const fill = (id, words, values) => {
            // A list that is open closes if it is filled anew.
            if (byId(id).dataset.values === values.join()) return;
            byId(id).dataset.values = values.join();
            const chosen = byId(id).value;
            byId(id).replaceChildren(el("option", { value: "" }, words), ...values.map((value) => el("option", { value }, value)));
            byId(id).value = values.includes(chosen) ? chosen : "";
        };
        fill("kind", "all kinds", all((object) => object.kind));
        const namespaces = all((object) => object.namespace);
        fill("namespace", "all namespaces", namespaces);
        byId("namespace").hidden = namespaces.length < 2;
    }

    buildParts() {
        const box = byId("parts");
        box.hidden = !this.comparison;
        if (!this.comparison) return;
        if (!this.parts) {
            const words = this.timeline.steps.length ? "What was looked at is the same in both; the time line shows where other things differ." : "Both recordings are the same.";
            box.replaceChildren(el("p", {}, words));
            box.classList.add("same");
            return;
        }
        const names = this.histories.map((history) => history.name);
        const lines = (kind, sign, from) => (from ?? []).map((line) => el("div", { class: kind }, el("span", { class: "sign" }, sign), line));
        const { t, ...rest } = this.parts;
        box.replaceChildren(
            el("p", {}, el("b", {}, "They part at "), el("button", { class: "link", onclick: () => this.goTo(t) }, `t=${span(t)}`), el("span", { class: "soft" }, `  − ${names[0]}   + ${names[1]}`)),
            el("div", { class: "parted", tabindex: "0", role: "group", "aria-label": "The first lines that differ" }, lines("minus", "− ", rest[names[0]] ?? rest.expected), lines("plus", "+ ", rest[names[1]] ?? rest.yours)),
        );
    }

    // ---- one object, one filter ----

    /** The object of this name on each side, with its state now. */
    find(label) {
        return this.histories.map((history, side) => {
            const id = history.byLabel.get(label);
            if (id === undefined) return undefined;
            const world = this.worlds[side];
            return { history, side, object: history.objects[id], state: world.stateOf(id), index: world.latest[id] ?? -1 };
        });
    }

    setFilter(part) {
        Object.assign(this.filter, part);
        const { text, kind, namespace, look } = this.filter;
        this.filterKey = text || kind || namespace || look ? JSON.stringify(this.filter) : "";
        this.matching = this.histories.map(() => []);
        this.pictures.forEach((picture) => picture.redrawCells());
        this.workloads.touchAll();
        this.log.filter();
        this.refreshTab();
        this.redraw();
    }

    /** Whether the words, the kind and the namespace of the filter hold for the object or an owner of it. */
    matchesObject(object, withOwners = false) {
        if (!this.filterKey) return true;
        const { text, kind, namespace } = this.filter;
        const history = this.histories.find((history) => history.objects[object.id] === object) ?? this.histories[0];
        const family = [object, ...history.owners(object.id).map((id) => history.objects[id])];
        if (kind && !(withOwners ? family : [object]).some((one) => one.kind === kind)) return false;
        if (namespace && object.namespace && object.namespace !== namespace) return false;
        return !text || family.some((one) => one.label.includes(text.trim().toLowerCase()));
    }

    matches(object, found) {
        if (!this.matchesObject(object)) return false;
        const { look } = this.filter;
        return !look || object.kind !== "Pod" || found.some((one) => one?.state && lookOf(one.state) === look);
    }

    /** Whether the picture draws it faintly, since the filter or the chosen tree leaves it out. */
    dimmed(side, id, pods) {
        const object = this.histories[side].objects[id];
        if (object.kind === "Pod") {
            if (this.trees && !this.trees[side].has(id)) return true;
            if (!this.filterKey) return false;
            const matching = (this.matching[side][id] ??= this.matchesObject(object, true));
            const state = this.worlds[side].stateOf(id);
            return !matching || (this.filter.look !== "" && state && lookOf(state) !== this.filter.look);
        }
        if (!this.filterKey) return false;
        const { text, kind, look } = this.filter;
        const named = (text || kind === "Node") && !look && this.matchesObject(object);
        return !named && ![...pods].some((pod) => !this.dimmed(side, pod));
    }

    differs(side, id) {
        return this.comparison?.differing.has(this.histories[side].objects[id].label) ?? false;
    }

    selectedIn(side) {
        return this.selectedLabel === undefined ? undefined : this.histories[side].byLabel.get(this.selectedLabel);
    }

    select(side, id) {
        this.choose(id === undefined ? undefined : this.histories[side].objects[id].label);
    }

    choose(label) {
        const before = this.selectedLabel;
        this.selectedLabel = label;
        const ids = this.histories.map((history) => (label === undefined ? undefined : history.byLabel.get(label)));
        const owns = ids.some((id, side) => id !== undefined && this.histories[side].children[id].length > 0);
        this.live?.choose();
        this.trees = owns ? ids.map((id, side) => (id === undefined ? new Set() : this.histories[side].tree(id))) : undefined;
        document.documentElement.classList.toggle("chosen", label !== undefined);
        this.pictures.forEach((picture) => picture.redrawCells());
        for (const one of [before, label]) if (one) this.workloads.touch(ids.map((_, side) => [this.histories[side].byLabel.get(one)].filter((id) => id !== undefined)));
        if (label !== undefined) {
            this.showTab("details");
            this.announce(this.find(label).map((one) => one && this.sentence(one.side, one.object.id)).filter(Boolean).join(". "));
        } else this.refreshTab();
        this.writeLink();
        this.redraw();
    }

    lookWords(state) {
        const { words } = looks.find((look) => look.name === lookOf(state));
        return state.status && !["Running", "Pending", "Terminating", "Completed", "Failed"].includes(state.status) ? `${words} (${state.status})` : words;
    }

    /** An object in a sentence, for the pointer and for those who listen. */
    sentence(side, id) {
        const history = this.histories[side];
        const object = history.objects[id];
        const world = this.worlds[side];
        const state = world.stateOf(id);
        const differs = this.differs(side, id) ? "; differs" : "";
        if (!state) return `${object.label}: not there${differs}`;
        if (object.kind === "Pod") {
            const where = state.node === undefined ? (state.reason ? `, waits: ${state.reason}` : "") : `, on ${history.objects[state.node].name}`;
            return `${object.label}: ${this.lookWords(state)}${where}${state.restarts ? `, ${count(state.restarts, "restart")}` : ""}${differs}`;
        }
        if (object.kind === "Node") {
            const used = world.requested(id);
            const cpus = state.cpu ? `, cpu ${cpu(used.cpu)} of ${cpu(state.cpu)}` : "";
            const memory = state.memory ? `, memory ${bytes(used.memory)} of ${bytes(state.memory)}` : "";
            const taints = state.taints?.length ? ` (${state.taints.join(", ")})` : "";
            return `${object.label}: ${nodeWords(state)}${taints}, ${count(world.podsOn(id).size, "pod")}${cpus}${memory}${differs}`;
        }
        const fields = Object.entries(state).slice(0, 6).map(([key, value]) => `${key} ${history.value(key, value)}`);
        return `${object.label}: ${fields.join(", ") || "exists"}${differs}`;
    }

    hover(side, id, event) {
        const picture = this.pictures[side];
        if (picture.hovered !== id) {
            picture.hovered = id;
            this.redraw();
        }
        picture.field.style.cursor = id === undefined ? "" : "pointer";
        this.tip(id === undefined ? undefined : this.sentence(side, id), event);
    }

    tip(text, event) {
        const tip = byId("tip");
        tip.hidden = !text || event.pointerType === "touch";
        if (tip.hidden) return;
        say(tip, text);
        const right = event.clientX + 14 + tip.offsetWidth > window.innerWidth;
        const below = event.clientY + 18 + tip.offsetHeight > window.innerHeight;
        tip.style.left = `${Math.max(4, right ? event.clientX - tip.offsetWidth - 8 : event.clientX + 14)}px`;
        tip.style.top = `${below ? event.clientY - tip.offsetHeight - 8 : event.clientY + 18}px`;
    }

    announce(text) {
        say(byId("spoken"), text);
    }

    // ---- time ----

    goTo(t, silent = false) {
        this.clock.goTo(t);
        this.log.following = true;
        if (!silent) this.writeLink();
        this.redraw();
    }

    play(on = !this.clock.playing) {
        if (on && this.clock.t >= this.clock.end) this.clock.goTo(this.clock.begin);
        this.clock.playing = on;
        this.clock.following = false;
        this.log.following = true;
        this.last = undefined;
        this.showPlaying();
        if (!on) {
            this.writeLink();
            this.announce(this.summary());
        }
        this.redraw();
    }

    showPlaying() {
        byId("play").setAttribute("aria-label", this.clock.playing ? "Pause" : "Play");
        document.documentElement.dataset.playing = this.clock.playing;
    }

    /** To the next moment at which anything changes, or the one before. */
    step(by, lists) {
        this.clock.playing = false;
        this.showPlaying();
        const from = this.clock.t;
        const to = by > 0 ? this.clock.next(from, lists) : this.clock.previous(from, lists);
        this.animated = true;
        this.goTo(to ?? (by > 0 ? this.clock.end : this.clock.begin));
        this.sayAfter = from;
    }

    stepMark(by) {
        const marks = this.histories.map((history) => history.marks.map((mark) => mark.t));
        this.step(by, this.parts ? [...marks, [this.parts.t]] : marks);
    }

    stepSelected(by) {
        const lists = this.histories.map((history, side) => {
            const id = this.selectedIn(side);
            return id === undefined ? [] : history.ofObject[id].map((index) => history.time[index]);
        });
        this.step(by, lists);
    }

    /** Marks and numbers of the present, in a sentence or two. */
    summary(touched = []) {
        const { t } = this.clock;
        const said = new Set(this.histories.flatMap((history) => history.marks.filter((mark) => mark.t === t).map((mark) => mark.text)));
        const number = touched.reduce((sum, set) => sum + set.size, 0);
        const few = number > 0 && number <= 4 ? `: ${touched.flatMap((set, side) => [...set].map((id) => this.sentence(side, id))).join("; ")}` : "";
        const pods = this.histories.map((history) => {
            const counts = history.countsAt(t);
            return `${history.name ? `${history.name}: ` : ""}${counts[0]} of ${count(counts.reduce((a, b) => a + b, 0), "pod")} ready`;
        });
        return [`t=${span(Math.round(t))}`, ...said, number ? `${count(number, "change")}${few}` : "", ...pods].filter(Boolean).join(". ");
    }

    // ---- links and looks ----

    readLink() {
        const link = {};
        for (const pair of location.hash.slice(1).split("&").filter(Boolean)) {
            const [key, value = ""] = pair.split(/=(.*)/);
            let text = value;
            try {
                text = decodeURIComponent(value);
            } catch {
                // A broken escape is read as it stands.
            }
            link[key] = text;
        }
        if (link.t !== undefined) link.t = parseSpan(link.t);
        return link;
    }

    writeLink() {
        if (this.clock.playing || this.clock.following) return;
        clearTimeout(this.linkTimer);
        this.linkTimer = setTimeout(() => {
            const link = [`t=${span(Math.round(this.clock.t))}`];
            if (this.selectedLabel) link.push(`sel=${encodeURIComponent(this.selectedLabel).replaceAll("%2F", "/")}`);
            const full = `#${link.join("&")}`;
            byId("full").href = full;
            const { embed, theme } = this.readLink();
            if (embed !== undefined) link.push("embed");
            if (theme) link.push(`theme=${theme}`);
            try {
                history.replaceState(null, "", `#${link.join("&")}`);
            } catch {
                // Some frames have no address of their own.
            }
        }, 150);
    }

    followLink() {
        const link = this.readLink();
        if (link.t !== undefined) this.goTo(link.t, true);
        this.choose(link.sel);
    }

    stored(key) {
        try {
            return localStorage.getItem(`recording-${key}`);
        } catch {
            return undefined;
        }
    }

    setTheme(theme) {
        if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
        else delete document.documentElement.dataset.theme;
        this.repaint();
    }

    isDark() {
        const { theme } = document.documentElement.dataset;
        return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    }

    switchTheme() {
        const theme = this.isDark() ? "light" : "dark";
        try {
            localStorage.setItem("recording-theme", theme);
        } catch {
            // Then it is not remembered.
        }
        this.setTheme(theme);
    }

    repaint() {
        this.colours = palette();
        this.legend.paint(this.colours);
        this.pictures.forEach((picture) => picture.redrawCells());
        this.timeline.stale = true;
        this.redraw();
    }

    sizes() {
        return [this.timeline.element, ...this.pictures.map((picture) => picture.field)].map((one) => `${one.clientWidth} ${one.clientHeight}`).join();
    }

    resize() {
        this.timeline.arrange();
        this.pictures.forEach((picture) => picture.arrange());
        this.sized = this.sizes();
        this.log.stale = true;
        this.redraw();
    }

    // ---- keys ----

    keys() {
        return [
            ["Space or k", "play or pause", [" ", "k"], () => this.play()],
            ["→ or .", "the next change", ["ArrowRight", "."], () => this.step(1)],
            ["← or ,", "the change before", ["ArrowLeft", ","], () => this.step(-1)],
            ["Shift with → ←", "the next or last change of what is chosen", ["Shift+ArrowRight"], () => this.stepSelected(1)],
            ["", "", ["Shift+ArrowLeft"], () => this.stepSelected(-1)],
            ["] and [", "the next mark, the mark before", ["]"], () => this.stepMark(1)],
            ["", "", ["["], () => this.stepMark(-1)],
            ["Home, End", "the beginning, the end", ["Home"], () => this.goTo(this.clock.begin)],
            ["", "", ["End"], () => this.goTo(this.clock.end)],
            ["> and <", "faster, slower", [">"], () => this.setSpeed(1)],
            ["", "", ["<"], () => this.setSpeed(-1)],
            ["s", "leave silences out, or not", ["s"], () => byId("skip").click()],
            ["+ − 0", "zoom the time line in, out, to the whole", ["+", "="], () => this.timeline.zoomBy(0.5)],
            ["", "", ["-"], () => this.timeline.zoomBy(2)],
            ["", "", ["0"], () => this.timeline.zoomOut()],
            ["p", "where two recordings part", ["p"], () => this.parts && this.goTo(this.parts.t)],
            ["d", "the next object that differs", ["d"], () => this.nextDifference()],
            ["c", "the picture; then arrows move in it and Enter chooses", ["c"], () => this.pictures[0].field.focus()],
            ["o", "the owner of what is chosen, with all that it owns", ["o"], () => this.chooseOwner()],
            ["l", "the log; then arrows move in it and Enter goes there", ["l"], () => this.log.list.focus()],
            ["1 2 3 4", "the tabs", [], undefined],
            ["/", "the filter", ["/"], () => byId("text").focus()],
            ["t", "light or dark", ["t"], () => this.switchTheme()],
            ["n", "now, in a live cluster", ["n"], () => this.live?.now()],
            ["Esc", "choose nothing", ["Escape"], () => this.choose(undefined)],
            ["?", "this help", ["?"], () => byId("help").showModal()],
        ];
    }

    buildHelp() {
        const rows = this.keys().filter(([keys]) => keys).map(([keys, words]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, keys)), el("td", {}, words)));
        byId("keys").append(...rows);
    }

    key(event) {
        if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
        const { target } = event;
        const typing = target.matches?.("input[type=search], select, textarea");
        if (typing) {
            if (event.key === "Escape") target.blur();
            return;
        }
        if (byId("help").open) return;
        if (event.key === " " && target.matches?.("button, summary, a, input")) return;
        const name = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
        const found = this.keys().find(([, , keys]) => keys.includes(name));
        if (found) found[3]();
        else if (/^[1-9]$/.test(event.key) && this.tabs[event.key - 1]) this.showTab(this.tabs[event.key - 1][0]);
        else return;
        event.preventDefault();
    }

    setSpeed(by) {
        this.clock.faster(by);
        byId("speed").value = this.clock.speed;
    }

    nextDifference() {
        if (!this.comparison) return;
        const labels = [...this.comparison.differing].sort(natural);
        this.choose(labels[(labels.indexOf(this.selectedLabel) + 1) % Math.max(1, labels.length)]);
    }

    chooseOwner() {
        const one = this.selectedLabel && this.find(this.selectedLabel).find(Boolean);
        const owner = one && one.history.owners(one.object.id)[0];
        if (owner !== undefined) this.choose(one.history.objects[owner].label);
    }

    listen() {
        document.addEventListener("keydown", (event) => this.key(event));
        window.addEventListener("hashchange", () => this.followLink());
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
        // A picture's room may change without the window: a tab, a panel, a chip row that wraps.
        const watch = new ResizeObserver(() => {
            clearTimeout(this.resizing);
            this.resizing = setTimeout(() => this.sizes() !== this.sized && this.resize(), 60);
        });
        watch.observe(byId("clusters"));
        watch.observe(this.timeline.element);
        let theme;
        window.addEventListener("beforeprint", () => {
            theme = document.documentElement.dataset.theme ?? "";
            this.setTheme("light");
            this.draw(performance.now());
        });
        window.addEventListener("afterprint", () => this.setTheme(theme));
    }

    // ---- frames ----

    redraw() {
        if (this.asked) return;
        this.asked = true;
        requestAnimationFrame((now) => {
            this.asked = false;
            this.draw(now);
        });
    }

    draw(now) {
        const started = performance.now();
        const { clock } = this;
        this.live?.pass(now);
        const running = clock.playing || clock.following;
        if (running) clock.pass(Math.min(0.1, (now - (this.last ?? now)) / 1000));
        this.last = running ? now : undefined;
        const touched = this.worlds.map((world) => world.seek(clock.t));
        const number = touched.reduce((sum, set) => sum + set.size, 0);
        const animate = (running || this.animated) && !calm.matches && number < manyAtOnce;
        this.animated = false;
        const flipped = this.comparison?.update(touched) ?? new Set();
        this.pictures.forEach((picture, side) => {
            picture.touch(touched[side], animate, now);
            for (const label of flipped) {
                const id = this.histories[side].byLabel.get(label);
                if (id !== undefined && !touched[side].has(id)) picture.touch([id], false, now);
            }
        });
        if (number > 0 || flipped.size > 0) this.workloads.touch(touched);
        let moving = false;
        for (const picture of this.pictures) moving = picture.frame(now, this.colours) || moving;
        this.timeline.frame(this.colours);
        this.texts(now, touched);
        this.work.push(performance.now() - started);
        if (this.work.length > 2000) this.work.splice(0, 1000);
        if (clock.playing || clock.following || moving) this.redraw();
        else if (document.documentElement.dataset.playing === "true") this.play(false);
        if (document.documentElement.dataset.drawn === undefined) {
            document.documentElement.dataset.drawn = "true";
            performance.mark("first picture");
        }
    }

    texts(now, touched) {
        const { clock } = this;
        say(byId("now"), `t=${span(clock.playing && clock.speed > 20 ? Math.round(clock.t / 1000) * 1000 : Math.round(clock.t))}`);
        say(byId("wall"), wall(this.histories[0].epoch, clock.t));
        const note = byId("skipped");
        if (clock.skipped > 0) {
            say(note, `${span(Math.round(clock.skipped / 1000) * 1000)} of silence left out`);
            this.noteUntil = now + 1500;
        }
        note.classList.toggle("shown", now < (this.noteUntil ?? 0));
        if (this.everVersion !== this.version) {
            this.everVersion = this.version;
            this.ever = looks.map((_, index) => this.histories.some((history) => history.census.counts.some((list) => list[index] > 0)));
        }
        this.legend.update(this.histories.map((history) => history.countsAt(clock.t)), this.filter.look, this.ever);
        if (this.sayAfter !== undefined) {
            this.announce(this.summary(touched));
            this.sayAfter = undefined;
        }
        // Panels of text need not keep the pace of the picture.
        if (!clock.playing || now - (this.textAt ?? 0) > 120) {
            this.textAt = now;
            this.refreshTab();
            this.log.frame();
        }
    }

    /** A live cluster's recording begun anew, as after too long a silence. */
    replace(recording) {
        const [history] = (this.histories = [new History(recording)]);
        const [world] = (this.worlds = [new World(history)]);
        this.clock.histories = this.histories;
        this.matching = [[]];
        this.pictures[0].world = world;
        this.pictures[0].motions.clear();
        this.pictures[0].plane.replaceChildren();
        this.pictures[0].chips = undefined;
        this.live.next = recording.next ?? 0;
        this.version += 1;
        this.log.build();
        this.fillChoices();
        world.seek(this.clock.t);
        this.workloads.touchAll();
        this.resize();
    }

    /** More of a live cluster. */
    grow(piece) {
        this.histories[0].grow(piece);
        this.version += 1;
        this.timeline.stale = true;
        if (piece.objects?.length || piece.marks?.length) this.fillChoices();
        this.redraw();
    }
}

function start() {
    const text = byId("recording").textContent.trim();
    let data;
    try {
        data = JSON.parse(text);
    } catch (error) {
        const words = text.startsWith("/*") ? "This page holds no recording yet." : `The recording in this page can't be read: ${error.message}`;
        byId("title").textContent = words;
        return;
    }
    if (data.live && !data.objects) {
        Live.whole().then(
            (recording) => (window.recordingPage = new Page(recording)),
            (error) => (byId("title").textContent = `The live cluster doesn't answer: ${error.message}`),
        );
    } else window.recordingPage = new Page(data);
}

start();
