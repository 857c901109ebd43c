// What is written beside the picture: workloads in numbers, one object in detail, everything as a table, the differences.

import { isHost, lookOf, same } from "./history.mjs";
import { bytes, count, cpu, el, natural, say, span } from "./words.mjs";

/** Groups of kinds, each a table. A column is a field of the state, its heading and what is usual. */
const groups = [
    {
        title: "Workloads",
        kinds: ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"],
        columns: [["want"], ["updated"], ["ready"], ["available", "avail."]],
        measure: (state) => [state.ready ?? 0, state.want ?? 0],
    },
    {
        title: "Jobs",
        kinds: ["Job", "CronJob"],
        columns: [["want"], ["pods", "active"], ["succeeded", "done"], ["failed"]],
        measure: (state) => [state.succeeded ?? 0, state.want ?? 0],
    },
    {
        title: "Services",
        kinds: ["Service"],
        columns: [["endpoints", "ready"], ["notReady", "not ready"]],
        measure: (state) => [state.endpoints ?? 0, (state.endpoints ?? 0) + (state.notReady ?? 0)],
    },
    { title: "Autoscalers", kinds: ["HorizontalPodAutoscaler"], columns: [["now"], ["want"], ["least"], ["most"], ["metrics"]] },
    { title: "Disruption budgets", kinds: ["PodDisruptionBudget"], columns: [["healthy"], ["desired", "needed"], ["allowed", "may go"]] },
];
const isDrawn = (object) => object.kind === "Pod" || object.kind === "Node" || isHost(object);
const others = { title: "Other objects", kinds: [], columns: [["", "state"]] };

/** Tables of what is wanted and what is there; only rows whose object changed are written again. */
export class Workloads {
    constructor(page) {
        this.page = page;
        this.element = el("div", { class: "workloads" });
        this.rows = new Map();
        this.stale = new Set();
        this.sections = [...groups, others].map((group) => {
            const body = el("tbody");
            const heads = group.columns.map(([field, words]) => el("th", { scope: "col" }, words ?? field));
            const table = el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, group.title), heads)), body);
            const section = el("section", { hidden: true }, table);
            this.element.append(section);
            return { group, body, section, keys: [] };
        });
        this.empty = el("p", { class: "soft" }, "No workloads at this time.");
        this.element.append(this.empty);
    }

    /** Takes note of objects that changed; they are written with the next `refresh`. */
    touch(sides) {
        sides.forEach((ids, side) => {
            for (const id of ids) {
                const object = this.page.histories[side].objects[id];
                if (!isDrawn(object)) this.stale.add(object.label);
            }
        });
    }

    touchAll() {
        for (const label of this.rows.keys()) this.stale.add(label);
    }

    refresh() {
        if (this.stale.size === 0) return;
        for (const label of this.stale) this.update(label);
        this.stale.clear();
        this.hideEmpty();
    }

    hideEmpty() {
        let any = false;
        for (const { section, body } of this.sections) {
            section.hidden = ![...body.rows].some((row) => !row.hidden);
            any ||= !section.hidden;
        }
        this.empty.hidden = any;
    }

    update(label) {
        const found = this.page.find(label);
        const object = found.find(Boolean)?.object;
        if (!object || isDrawn(object)) return;
        const row = this.rows.get(label) ?? this.add(label, object);
        const states = found.map((one) => one?.state);
        const idle = object.kind === "ReplicaSet" && states.every((state) => !state || (!state.want && !state.pods && !state.ready));
        row.tr.hidden = states.every((state) => !state) || (idle && !this.page.selectedLabel?.startsWith("replicaset/")) || !this.page.matches(object, found);
        if (row.tr.hidden) return;
        const { group } = row.section;
        group.columns.forEach(([field], index) => {
            const values = found.map((one) => (one?.state ? this.cell(one, field) : "–"));
            const cell = row.cells[index];
            say(cell, values.length > 1 && values[0] !== values[1] ? values.join(" ≠ ") : values[0]);
            cell.classList.toggle("differs", values.length > 1 && values[0] !== values[1]);
        });
        const shown = states.find(Boolean);
        if (group.measure) {
            const [has, of] = group.measure(shown);
            row.tr.classList.toggle("low", has < of);
            row.tr.style.setProperty("--part", of > 0 ? Math.min(1, has / of) : 1);
        }
        row.tr.classList.toggle("gone", states.some((state) => !state));
        row.tr.classList.toggle("selected", this.page.selectedLabel === label);
    }

    cell({ state, history, object }, field) {
        if (object.kind === "CronJob" && field !== "pods") return "";
        // Only what rolls out has pods that are not updated yet.
        if (field === "updated" && object.kind.startsWith("Replica")) return "";
        if (field === "") return Object.entries(state).map(([key, value]) => `${key} ${history.value(key, value)}`).join(", ") || "exists";
        return history.value(field, state[field] ?? (field === "metrics" ? undefined : 0));
    }

    add(label, object) {
        const section = this.sections.find(({ group }) => group.kinds.includes(object.kind)) ?? this.sections[this.sections.length - 1];
        const history = this.page.histories.find((history) => history.byLabel.has(label));
        const owners = history.owners(history.byLabel.get(label)).map((id) => history.objects[id]);
        const inner = owners.some((owner) => section.group.kinds.includes(owner.kind));
        const key = [...owners.reverse(), object].map((one) => `${one.namespace ?? ""}/${one.name}`).join(" ");
        const obvious = inner || object.kind === section.group.kinds[0];
        const short = obvious ? "" : el("small", {}, ` ${kindWords(object.kind)}`);
        const namespace = object.namespace && object.namespace !== "default" ? el("small", {}, `${object.namespace}/`) : "";
        const button = el("button", { class: "name", title: label, onclick: () => this.page.choose(label) }, namespace, object.name, short);
        const cells = section.group.columns.map(() => el("td"));
        const tr = el("tr", { class: inner ? "inner" : "" }, el("th", { scope: "row" }, button), cells);
        let place = section.keys.findIndex((other) => natural(other, key) > 0);
        if (place < 0) place = section.keys.length;
        section.keys.splice(place, 0, key);
        section.body.insertBefore(tr, section.body.rows[place] ?? null);
        const row = { tr, cells, section };
        this.rows.set(label, row);
        return row;
    }
}

/** "StatefulSet" as two words that may be read in passing. */
const kindWords = (kind) => kind.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

/** One object: its state, what it belongs to, why it is so, what was said about it and how it came to be. */
export class Details {
    constructor(page) {
        this.page = page;
        this.element = el("div", { class: "details-panel" });
        this.open = new Set();
    }

    /** Builds the panel again if what it says is no longer so. */
    refresh() {
        const { page } = this;
        const label = page.selectedLabel;
        const found = label ? page.find(label) : [];
        const key = [label, page.version, ...found.map((one) => one && [one.index, ...this.seen(one)].join(" "))].join("|");
        if (key === this.key) return;
        this.key = key;
        const active = this.element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
        if (!label) {
            const words = "Choose a node, a pod or a workload, and see its state, its history and why it is so.";
            this.element.replaceChildren(el("p", { class: "soft" }, words));
            return;
        }
        const object = found.find(Boolean)?.object;
        if (!object) {
            this.element.replaceChildren(el("p", { class: "soft" }, `${label} is not in this recording.`));
            return;
        }
        const two = found.length > 1;
        const parts = [
            el("div", { class: "title" }, el("h2", {}, label), el("button", { class: "quiet", title: "Close (Esc)", "aria-label": "Close", onclick: () => page.choose(undefined) }, "×")),
            this.belongs(found),
            this.state(found),
            ...found.flatMap((one, side) => {
                if (!one) return [el("p", { class: "soft" }, `${page.histories[side].name}: never there.`)];
                const title = two ? `${page.histories[side].name}: ` : "";
                return [this.why(one, title), this.events(one, title), this.history(one, title)];
            }),
        ];
        this.element.replaceChildren(...parts.filter(Boolean));
        if (active) this.element.querySelector(`[data-key="${CSS.escape(active)}"]`)?.focus();
    }

    /** Reasons and events about the object up to now, as counts: what tells whether the panel is stale. */
    seen({ history, object }) {
        return ["reasons", "events"].map((what) => history.known(what, object.id, this.page.clock.t).length);
    }

    link(history, id) {
        const { label } = history.objects[id];
        return el("button", { class: "link", "data-key": label, onclick: () => this.page.choose(label) }, label);
    }

    /** Owners, node and what it owns; said once where both recordings agree. */
    belongs(found) {
        const lines = new Map();
        const add = (side, words, ...parts) => {
            const key = words + parts.map((part) => part.textContent ?? part).join("");
            if (lines.has(key)) lines.get(key).both = true;
            else lines.set(key, { side, words, parts });
        };
        const insides = [];
        for (const [side, one] of found.entries()) {
            if (!one) continue;
            const { history, object, state } = one;
            const owners = history.owners(object.id);
            if (owners.length) add(side, "belongs to ", ...owners.flatMap((id, index) => [index ? " in " : "", this.link(history, id)]));
            if (state?.node !== undefined && object.kind === "Pod") add(side, "runs on ", this.link(history, state.node));
            insides.push(this.inside(one));
        }
        const two = found.filter(Boolean).length > 1;
        const said = [...lines.values()].map(({ side, words, parts, both }) => el("p", {}, two && !both ? `${found[side].history.name}: ` : "", words, ...parts));
        return el("div", { class: "belongs" }, said, insides);
    }

    /** The pods of a node, or what an owner owns now. */
    inside({ history, object, side }) {
        const world = this.page.worlds[side];
        const ids = object.kind === "Node" ? [...world.podsOn(object.id)] : history.children[object.id].filter((id) => world.stateOf(id));
        if (ids.length === 0) return null;
        const shown = ids.slice(0, 40).map((id) => {
            const state = world.stateOf(id);
            return el("li", {}, this.link(history, id), history.objects[id].kind === "Pod" ? ` ${this.page.lookWords(state)}` : "");
        });
        if (ids.length > 40) shown.push(el("li", {}, `and ${ids.length - 40} more`));
        const title = `${history.name ? `${history.name}: ` : ""}${object.kind === "Node" ? "pods here" : "owns"} (${ids.length})`;
        return this.fold(title, el("ul", {}, shown), ids.length <= 8, `inside${side}`);
    }

    fold(title, content, open, key) {
        const chosen = this.open.has(`${key}+`) || (open && !this.open.has(`${key}-`));
        const node = el("details", { open: chosen }, el("summary", { "data-key": `fold ${key}` }, title), content);
        node.addEventListener("toggle", () => {
            this.open.delete(`${key}${node.open ? "-" : "+"}`);
            if (node.open !== open) this.open.add(`${key}${node.open ? "+" : "-"}`);
        });
        return node;
    }

    state(found) {
        const fields = new Set(found.flatMap((one) => Object.keys(one?.state ?? {})));
        if (found.every((one) => !one?.state)) return el("p", { class: "soft" }, "Not there at this time.");
        const head = found.length > 1 ? el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "now"), this.page.histories.map((history) => el("th", { scope: "col" }, history.name)))) : null;
        const rows = [...fields].map((field) => {
            const values = found.map((one) => (one?.state ? one.history.value(field, one.state[field]) : "not there"));
            const differs = values.length > 1 && values[0] !== values[1];
            return el("tr", { class: differs ? "differs" : "" }, el("th", { scope: "row" }, field), values.map((value) => el("td", {}, value)));
        });
        for (const [side, one] of found.entries()) {
            if (one?.object.kind !== "Node" || !one.state) continue;
            const used = this.page.worlds[side].requested(one.object.id);
            const pods = this.page.worlds[side].podsOn(one.object.id).size;
            rows.push(el("tr", {}, el("th", { scope: "row" }, found.length > 1 ? `requested, ${one.history.name}` : "requested"), el("td", { colspan: found.length }, `${cpu(used.cpu)} cpu, ${bytes(used.memory)} memory by ${count(pods, "pod")}`)));
        }
        return el("table", { class: "state" }, head, el("tbody", {}, rows));
    }

    why({ history, object, side }, title) {
        const reasons = history.known("reasons", object.id, this.page.clock.t).reverse();
        if (reasons.length === 0) return null;
        const items = reasons.slice(0, 30).map((reason, index) => {
            const head = el("p", {}, this.time(reason.t), " ", el("b", {}, reason.text), " ", el("small", {}, reason.mark ? "was done" : (history.by[reason.by] ?? "")));
            if (reason.lines.length === 0) return el("li", {}, head);
            return el("li", {}, head, index === 0 ? reasonTable(reason.lines) : this.fold("how it was decided", reasonTable(reason.lines), false, `why${side}${reason.t}`));
        });
        return el("section", {}, el("h3", {}, `${title}Why`), el("ul", { class: "plain" }, items));
    }

    events({ history, object }, title) {
        const events = history.known("events", object.id, this.page.clock.t).reverse();
        if (events.length === 0) return null;
        const items = events.slice(0, 50).map((event) => {
            const times = event.count > 1 ? ` ×${event.count}` : "";
            return el("li", { class: event.type === "Warning" ? "warning" : "" }, this.time(event.t), " ", el("b", {}, `${event.type === "Warning" ? "⚠ " : ""}${event.reason}${times}`), ` ${event.message}`);
        });
        return el("section", {}, el("h3", {}, `${title}Events`), el("ul", { class: "plain" }, items));
    }

    history({ history, object, side }, title) {
        const indices = history.ofObject[object.id];
        const t = this.page.clock.t;
        const here = indices.filter((index) => history.time[index] <= t).length;
        const first = Math.max(0, Math.min(here - 30, indices.length - 60));
        const items = indices.slice(first, first + 60).map((index) => {
            const writer = history.writerOf(index);
            const later = history.time[index] > t;
            return el("li", { class: later ? "later" : "" }, this.time(history.time[index]), ` ${history.describe(index)} `, writer ? el("small", {}, `by ${writer}`) : "");
        });
        const rest = indices.length > items.length ? ` (${items.length} of ${indices.length})` : ` (${indices.length})`;
        return el("section", {}, this.fold(`${title}History${rest}`, el("ul", { class: "plain history" }, items), true, `history${side}`));
    }

    time(t) {
        return el("button", { class: "time", "data-key": `t${t}`, onclick: () => this.page.goTo(t) }, `t=${span(t)}`);
    }
}

/** The lines of a decision: columns that stand under a heading become a table, all others a list. */
export function reasonTable(lines) {
    const rows = lines.map((line) => line.trim().split(/\s{2,}/));
    const [head, ...body] = rows;
    if (body.length === 0 || !/^(node|rule|candidate)s?$/i.test(head[0])) {
        if (rows.every((row) => row.length === 1)) return el("ul", { class: "lines" }, lines.map((line) => el("li", {}, line.trim())));
        const columns = Math.max(...rows.map((row) => row.length));
        return scroll(el("table", { class: "reason" }, el("tbody", {}, rows.map((row) => cells(row, columns)))));
    }
    const columns = Math.max(...rows.map((row) => row.filter((text) => !text.startsWith("◀")).length));
    const titles = head.map((text) => el("th", { scope: "col" }, text));
    return scroll(el("table", { class: "reason" }, el("thead", {}, el("tr", {}, titles)), el("tbody", {}, body.map((row) => cells(row, columns)))));
}

function cells(row, columns) {
    // A remark on the rest: "21 more nodes fit".
    if (row.length === 1) return el("tr", {}, el("td", { colspan: columns, class: "words" }, row[0]));
    const chosen = row.some((text) => text.startsWith("◀"));
    const values = row.filter((text) => !text.startsWith("◀"));
    const [name, ...rest] = values;
    const tds = rest.map((text, index) => {
        const last = index === rest.length - 1 && values.length < columns;
        return el("td", { colspan: last ? columns - values.length + 1 : undefined, class: /^-?[\d.]+$/.test(text) ? "number" : "words" }, text);
    });
    return el("tr", { class: chosen ? "chosen" : "" }, el("th", { scope: "row" }, name, chosen ? " ◀ chosen" : ""), tds);
}

/** What is wider than its panel scrolls by itself, also with keys. */
const scroll = (child) => el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "How it was decided" }, child);

const most = 300;

/** Nodes and pods in words, for those who read rather than look. */
export class Everything {
    constructor(page) {
        this.page = page;
        this.element = el("div", { class: "everything" });
    }

    refresh() {
        const { page } = this;
        const key = `${page.clock.t} ${page.filterKey} ${page.version}`;
        if (key === this.key) return;
        this.key = key;
        this.element.replaceChildren(...(page.filter.look ? ["Pod"] : ["Node", "Pod"]).map((kind) => this.table(kind)));
    }

    table(kind) {
        const { page } = this;
        const labels = new Set();
        page.histories.forEach((history, side) => {
            for (const object of history.objects) {
                if (object.kind === kind && page.worlds[side].stateOf(object.id) && page.matches(object, page.find(object.label))) labels.add(object.label);
            }
        });
        const sorted = [...labels].sort(natural);
        const names = page.histories.map((history) => history.name);
        const fields = kind === "Node" ? ["state", "pods", "zone"] : ["state", "status", "restarts", "node"];
        const heads = names.length > 1 ? names.flatMap((name) => fields.map((field) => `${name}: ${field}`)) : fields;
        const rows = sorted.slice(0, most).map((label) => {
            const found = page.find(label);
            const values = found.map((one, side) => (one?.state ? fields.map((field) => this.value(one, side, field)) : fields.map(() => "–")));
            const differs = values.length > 1 && !same(values[0], values[1]);
            const link = el("button", { class: "name", onclick: () => page.choose(label) }, label.slice(kind.length + 1));
            return el("tr", { class: differs ? "differs" : "" }, el("th", { scope: "row" }, link), values.flat().map((value) => el("td", {}, value)));
        });
        const more = sorted.length > most ? `; the first ${most} of them, filter to see others` : "";
        return scroll(el("table", {}, el("caption", {}, `${count(sorted.length, kind.toLowerCase())} at t=${span(Math.round(page.clock.t))}${more}`), el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "name"), heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows)));
    }

    value({ state, history, object }, side, field) {
        if (field === "pods") return `${this.page.worlds[side].podsOn(object.id).size}`;
        if (field === "zone") return object.zone ?? "–";
        if (field === "state") return object.kind === "Pod" ? this.page.lookWords(state) : nodeWords(state);
        if (field === "node" && state.node === undefined) return state.reason ?? "–";
        return history.value(field, state[field] ?? (field === "restarts" ? 0 : undefined));
    }
}

/** A node's state in words. */
export function nodeWords(state) {
    const ready = state.ready === true ? "ready" : state.ready === "Unknown" ? "unknown" : "not ready";
    return [ready, state.cordoned ? "cordoned" : "", ...(state.pressure ?? []), state.taints?.length ? count(state.taints.length, "taint") : ""].filter(Boolean).join(", ");
}

/** What is not the same in both recordings now. */
export class Differences {
    constructor(page) {
        this.page = page;
        this.element = el("div", { class: "differences" });
    }

    refresh() {
        const { page } = this;
        const labels = [...page.comparison.differing].sort(natural);
        const key = `${labels.join()} ${page.worlds.map((world) => world.applied)}`;
        if (key === this.key) return;
        this.key = key;
        if (labels.length === 0) {
            this.element.replaceChildren(el("p", { class: "soft" }, "Everything is the same in both at this time."));
            return;
        }
        const rows = labels.slice(0, most).map((label) => {
            const found = page.find(label);
            const fields = [...new Set(found.flatMap((one) => Object.keys(one?.state ?? {})))];
            const lines = found.every((one) => one?.state)
                ? fields.map((field) => [field, ...found.map((one) => one.history.value(field, one.state[field]))]).filter(([, a, b]) => a !== b)
                : [["", ...found.map((one) => (one?.state ? this.summary(one) : "not there"))]];
            const button = el("button", { class: "link", onclick: () => page.choose(label) }, label);
            const sides = (index) => lines.map((line) => `${line[0] ? `${line[0]}: ` : ""}${line[index + 1]}`).join(", ");
            return el("li", {}, button, el("div", { class: "minus" }, `− ${sides(0)}`), el("div", { class: "plus" }, `+ ${sides(1)}`));
        });
        const names = page.histories.map((history) => history.name);
        this.element.replaceChildren(el("p", {}, `${count(labels.length, "object")} ${labels.length === 1 ? "differs" : "differ"} now. − ${names[0]}, + ${names[1]}`), el("ul", { class: "plain" }, rows));
    }

    summary({ state, object, history }) {
        if (object.kind === "Pod") return `${this.page.lookWords(state)}${state.node === undefined ? "" : ` on ${history.objects[state.node].name}`}`;
        if (object.kind === "Node") return nodeWords(state);
        return Object.entries(state).slice(0, 4).map(([key, value]) => `${key} ${history.value(key, value)}`).join(", ") || "exists";
    }
}
