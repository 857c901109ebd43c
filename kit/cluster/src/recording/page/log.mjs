// What happened, line by line, following the time. Only the lines in view exist in the document.

import { after, el, say, span } from "./words.mjs";

const tall = 40;
const types = [
    ["mark", "marks"],
    ["warning", "warnings"],
    ["event", "events"],
    ["why", "decisions"],
    ["write", "writes"],
    ["line", "transcript"],
];

export class Log {
    constructor(page) {
        this.page = page;
        this.shown = new Set(["mark", "warning", "event", "why", "write"]);
        this.following = true;
        this.chips = new Map();
        const chips = types.map(([type, words]) => {
            const chip = el("button", { class: "chip", "aria-pressed": "true", onclick: () => this.toggle(type) }, words);
            this.chips.set(type, chip);
            return chip;
        });
        this.inner = el("div", { class: "lines-inner" });
        this.list = el("div", { class: "lines", tabindex: "0", role: "listbox", "aria-label": "Log" }, this.inner);
        this.element = el("div", { class: "log" }, el("div", { class: "chips", role: "group", "aria-label": "What the log shows" }, chips), this.list);
        this.pool = [];
        this.build();
        this.list.addEventListener("scroll", () => this.draw(this.list.scrollTop));
        // The room is asked for when it changes: asking in each frame costs a layout.
        this.room = 0;
        new ResizeObserver(() => {
            this.room = this.list.clientHeight;
            this.stale = true;
            this.page.redraw();
        }).observe(this.list);
        for (const kind of ["wheel", "touchstart", "pointerdown"]) this.list.addEventListener(kind, () => (this.following = false), { passive: true });
        this.list.addEventListener("keydown", (event) => this.key(event));
    }

    /** Begins anew, with all that is known. */
    build() {
        this.all = [];
        this.merged = new Map();
        this.taken = this.page.histories.map(() => ({ marks: 0, lines: 0, time: 0, reasons: 0, events: 0 }));
        this.gather();
    }

    /** Takes in what was recorded since; of two recordings what both have is one line. */
    gather() {
        this.built = this.page.version;
        const known = this.all.length;
        this.page.histories.forEach((history, side) => {
            const taken = this.taken[side];
            const again = new Map();
            const fresh = (what) => {
                const items = history[what].slice(taken[what]);
                taken[what] = history[what].length;
                return items;
            };
            const add = (entry) => {
                if (entry.t < history.begin) return;
                entry.side = side;
                entry.label = entry.id === undefined ? "" : (history.objects[entry.id]?.label ?? "");
                if (this.page.comparison && this.isTwin(entry, again)) return;
                this.all.push(entry);
            };
            for (const mark of fresh("marks")) add({ t: mark.t, type: "mark", kind: mark.kind, id: mark.about[0], words: mark.text, order: 0 });
            for (const line of fresh("lines")) add({ t: line.t, type: "line", words: line.text, order: 1 });
            const first = taken.time;
            fresh("time").forEach((t, index) => add({ t, type: "write", id: history.object[first + index], index: first + index, order: 2 }));
            for (const reason of fresh("reasons")) add({ t: reason.t, type: "why", id: reason.id, words: reason.text, by: history.by[reason.by], order: 3 });
            for (const event of fresh("events")) {
                const type = event.type === "Warning" ? "warning" : "event";
                const times = event.count > 1 ? ` ×${event.count}` : "";
                add({ t: event.t, type, id: event.id, words: `${event.reason}${times}: ${event.message}`, order: 4 });
            }
        });
        if (this.all.length === known && known > 0) return;
        this.all.sort((a, b) => a.t - b.t || a.order - b.order);
        for (const [type, chip] of this.chips) chip.hidden = !this.all.some((entry) => entry.type === type);
        this.filter();
    }

    /** Whether the first recording has the same line as often; then it is a line of both. */
    isTwin(entry, again) {
        const base = `${entry.t} ${entry.type} ${entry.label} ${this.text(entry)}`;
        again.set(base, (again.get(base) ?? 0) + 1);
        const key = `${base} ${again.get(base)}`;
        const twin = entry.side === 1 && this.merged.get(key);
        if (twin) twin.both = true;
        else this.merged.set(key, entry);
        return Boolean(twin);
    }

    /** A write is put into words only when it is shown: there may be a hundred thousand. */
    text(entry) {
        return entry.words ?? this.page.histories[entry.side].describe(entry.index);
    }

    toggle(type) {
        if (this.shown.has(type)) this.shown.delete(type);
        else this.shown.add(type);
        this.filter();
    }

    filter() {
        const { page } = this;
        for (const [type, chip] of this.chips) chip.setAttribute("aria-pressed", `${this.shown.has(type)}`);
        this.entries = this.all.filter((entry) => {
            if (!this.shown.has(entry.type)) return false;
            if (entry.label) return page.matchesObject(page.histories[entry.side].objects[entry.id]);
            return !page.filterKey || entry.type === "mark";
        });
        this.inner.style.height = `${this.entries.length * tall}px`;
        this.active = undefined;
        this.stale = true;
        this.page.redraw();
    }

    /** Brings the line of the present into view, unless the reader looks elsewhere. */
    frame() {
        if (this.built !== this.page.version) this.gather();
        const here = after(this.entries, this.page.clock.t, (entry) => entry.t) - 1;
        if (here === this.here && !this.stale) return;
        this.here = here;
        this.stale = false;
        if (this.following) {
            const whole = this.entries.length * tall;
            this.top = Math.max(0, Math.min(whole - this.room, (here + 1) * tall - this.room * 0.75));
            this.list.scrollTop = this.top;
        }
        this.draw();
    }

    draw(top = this.top ?? 0) {
        this.top = top;
        const first = Math.max(0, Math.floor(top / tall) - 2);
        const number = Math.min(this.entries.length - first, Math.ceil(this.room / tall) + 4);
        while (this.pool.length < number) this.pool.push(this.row());
        this.pool.forEach((row, place) => {
            row.element.hidden = place >= number;
            if (place < number) this.fill(row, first + place);
        });
    }

    row() {
        const time = el("span", { class: "time" });
        const label = el("span", { class: "about" });
        const text = el("span", { class: "text" });
        const element = el("div", { class: "line", role: "option", "aria-selected": "false" }, el("div", {}, time, label), text);
        const row = { element, time, label, text };
        element.addEventListener("click", () => this.go(row.index));
        this.inner.append(element);
        return row;
    }

    fill(row, index) {
        const entry = this.entries[index];
        row.index = index;
        row.element.id = `line-${index}`;
        row.element.style.transform = `translateY(${index * tall}px)`;
        const two = this.page.histories.length > 1;
        const sign = !two || entry.both ? "" : entry.side === 0 ? "− " : "+ ";
        const future = index > this.here ? " later" : "";
        const only = sign === "" ? "" : entry.side === 0 ? " minus" : " plus";
        row.element.className = `line is-${entry.type}${entry.kind ? ` mark-${entry.kind}` : ""}${future}${only}${index === this.active ? " active" : ""}`;
        row.element.setAttribute("aria-selected", `${index === this.here}`);
        row.element.setAttribute("aria-setsize", this.entries.length);
        row.element.setAttribute("aria-posinset", index + 1);
        const writer = entry.index === undefined ? entry.by : this.page.histories[entry.side].writerOf(entry.index);
        const text = this.text(entry);
        say(row.time, `${sign}t=${span(entry.t)}`);
        say(row.label, `${entry.label}${writer ? ` · ${writer}` : ""}`);
        say(row.text, `${entry.type === "warning" ? "⚠ " : entry.type === "why" ? "∵ " : ""}${text}`);
        row.element.title = text;
    }

    key(event) {
        const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
        if (event.key === "Enter" && this.active !== undefined) this.go(this.active);
        else if (by) {
            this.active = Math.min(this.entries.length - 1, Math.max(0, (this.active ?? this.here) + by));
            this.following = false;
            const line = this.active * tall;
            const top = Math.min(line, Math.max(this.top ?? 0, line + tall - this.room));
            this.list.scrollTop = top;
            this.draw(top);
            this.list.setAttribute("aria-activedescendant", `line-${this.active}`);
        } else return;
        event.preventDefault();
        event.stopPropagation();
    }

    go(index) {
        const entry = this.entries[index];
        if (!entry) return;
        this.active = index;
        this.page.goTo(entry.t);
        if (entry.label) this.page.choose(entry.label);
        this.draw();
    }
}
