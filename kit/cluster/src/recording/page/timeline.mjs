// The time line: what was done, how the pods fared, where warnings cluster, who led and where two recordings differ.

import { looks } from "./history.mjs";
import { sans, sized } from "./marks.mjs";
import { after, el, span } from "./words.mjs";

const side = 8;
const signs = { step: "▸", fault: "✕", heal: "✚", note: "●", broken: "‼" };

export class Timeline {
    constructor(clock, view, steps) {
        this.clock = clock;
        this.view = view;
        this.steps = steps;
        this.from = clock.begin;
        this.to = clock.end;
        this.whole = true;
        this.canvas = el("canvas", { "aria-hidden": "true" });
        this.head = el("div", { class: "playhead", "aria-hidden": "true" });
        this.range = el("div", { class: "range", "aria-hidden": "true", hidden: true });
        this.element = el(
            "div",
            { class: "timeline", tabindex: "0", role: "slider", "aria-label": "Time", "aria-valuemin": "0", "aria-describedby": "timeline-help" },
            this.canvas,
            this.range,
            this.head,
        );
        this.listen();
    }

    get lanes() {
        const histories = this.clock.histories;
        const compact = this.view.compact;
        const lanes = [{ name: "marks", height: compact ? 18 : 30 }];
        histories.forEach((_, index) => lanes.push({ name: "pods", side: index, height: compact ? 14 : 24 }));
        histories.forEach((history, index) => {
            for (const process of led(history)) lanes.push({ name: "leader", side: index, process, height: 13 });
        });
        if (this.steps) lanes.push({ name: "differs", height: compact ? 8 : 12 });
        lanes.push({ name: "density", height: compact ? 8 : 14 }, { name: "axis", height: 17 });
        return lanes;
    }

    x(t) {
        return side + ((t - this.from) / (this.to - this.from)) * (this.width - 2 * side);
    }

    t(x) {
        return this.from + ((x - side) / (this.width - 2 * side)) * (this.to - this.from);
    }

    arrange() {
        this.width = Math.max(100, this.element.clientWidth);
        this.height = this.lanes.reduce((sum, lane) => sum + lane.height + 2, 0);
        this.ctx = sized(this.canvas, this.width, this.height);
        this.stale = true;
    }

    zoom(from, to) {
        const { begin } = this.clock;
        // The end of a live cluster moves on: with some room the whole is not drawn anew each time.
        const end = this.clock.end + (this.clock.histories[0].live ? 0.04 * (this.clock.end - begin) : 0);
        const least = Math.min(20, end - begin);
        const length = Math.min(end - begin, Math.max(least, Math.min(to, end) - from));
        this.from = Math.min(Math.max(begin, from), end - length);
        this.to = this.from + length;
        this.whole = length >= end - begin;
        this.stale = true;
        this.view.redraw();
    }

    zoomBy(factor, around = this.clock.t) {
        const middle = Math.min(this.to, Math.max(this.from, around));
        this.zoom(middle - (middle - this.from) * factor, middle + (this.to - middle) * factor);
    }

    zoomOut() {
        this.zoom(this.clock.begin, Infinity);
    }

    /** Keeps the play head in what is shown. */
    follow() {
        if (this.whole && (this.from !== this.clock.begin || this.to < this.clock.end)) this.zoomOut();
        const length = this.to - this.from;
        if (this.clock.t > this.to) this.zoom(this.clock.t - length * 0.1, this.clock.t + length * 0.9);
        else if (this.clock.t < this.from) this.zoom(this.clock.t - length * 0.9, this.clock.t + length * 0.1);
    }

    frame(colours) {
        if (!this.dragging) this.follow();
        // A busy live cluster has something new in every frame.
        const now = performance.now();
        if (this.stale && (!this.clock.following || now - (this.drawn ?? 0) > 250)) {
            this.drawn = now;
            this.draw(colours);
        }
        this.head.style.transform = `translateX(${this.x(this.clock.t)}px)`;
        const t = Math.round(this.clock.t);
        if (this.said === t) return;
        this.said = t;
        this.element.setAttribute("aria-valuemin", Math.round(this.clock.begin));
        this.element.setAttribute("aria-valuemax", Math.round(this.clock.end));
        this.element.setAttribute("aria-valuenow", t);
        this.element.setAttribute("aria-valuetext", `t=${span(t)}`);
    }

    draw(colours) {
        this.stale = false;
        const { ctx, width } = this;
        ctx.clearRect(0, 0, width, this.height);
        ctx.textBaseline = "middle";
        this.spots = [];
        let y = 0;
        for (const lane of this.lanes) {
            this[lane.name](y, lane, colours);
            y += lane.height + 2;
        }
    }

    marks(y, { height }, colours) {
        const { ctx } = this;
        const all = this.clock.histories.flatMap((history, index) => history.marks.map((mark) => ({ ...mark, side: index })));
        const seen = new Set();
        const parts = this.view.parts;
        if (parts) all.push({ t: parts.t, kind: "parts", text: "they part" });
        all.sort((a, b) => a.t - b.t);
        const ends = [0, 0];
        const rows = height > 20 ? 2 : 1;
        ctx.font = `11px ${sans}`;
        for (const mark of all) {
            const key = `${mark.t} ${mark.kind} ${mark.text}`;
            if (seen.has(key) || mark.t < this.from || mark.t > this.to) continue;
            seen.add(key);
            const x = this.x(mark.t);
            const bad = mark.kind === "fault" || mark.kind === "broken";
            ctx.fillStyle = mark.kind === "parts" ? colours.differs : bad ? colours.crash : mark.kind === "heal" ? colours.ready : colours.ink;
            ctx.globalAlpha = 0.35;
            ctx.fillRect(x - 0.5, y, 1, this.height - 18);
            ctx.globalAlpha = 1;
            const sign = mark.kind === "parts" ? "≠" : (signs[mark.kind] ?? "●");
            const text = `${sign} ${mark.text}`;
            const long = Math.min(ctx.measureText(text).width, 190) + 8;
            // Near the right edge a label reads towards the left.
            const start = x + long > this.width ? Math.max(0, x - long) : x + 3;
            const row = ends.slice(0, rows).findIndex((end) => start >= end);
            if (row >= 0) {
                ctx.fillText(shortened(ctx, text, long), start, y + 8 + row * 14);
                ends[row] = start + long;
            } else {
                // No room for words: the sign alone, which hovering explains.
                ctx.fillRect(x - 1.5, y + height - 4, 3, 4);
            }
            this.spots.push({ x0: row >= 0 ? Math.min(start, x - 4) : x - 4, x1: row >= 0 ? Math.max(start + long, x + 4) : x + 4, y0: y + Math.max(row, 0) * 14, y1: row >= 0 ? y + 16 + row * 14 : y + height, t: mark.t, text: `t=${span(mark.t)} ${text}` });
        }
    }

    /** How many pods of each look there were, as bands over each other. */
    pods(y, { height, side: which }, colours) {
        const { ctx } = this;
        const history = this.clock.histories[which];
        const { time, counts } = history.census;
        const most = Math.max(1, ...counts.map((list) => list.reduce((sum, number) => sum + number, 0)));
        const order = ["ready", "succeeded", "notready", "starting", "pending", "terminating", "crash", "failed"].map((name) => looks.findIndex((look) => look.name === name));
        for (let x = side; x < this.width - side; x += 1) {
            const index = after(time, this.t(x + 1)) - 1;
            if (index < 0) continue;
            let top = y + height;
            for (const look of order) {
                const part = (counts[index][look] / most) * height;
                if (part <= 0) continue;
                ctx.fillStyle = colours[looks[look].name];
                ctx.globalAlpha = looks[look].name === "ready" ? 0.45 : 0.85;
                const tall = Math.max(part, 1.5);
                ctx.fillRect(x, top - tall, 1, tall);
                top -= part;
            }
        }
        ctx.globalAlpha = 1;
        if (history.name) this.laneName(history.name, y + height / 2, colours);
    }

    laneName(text, y, colours) {
        const { ctx } = this;
        ctx.font = `600 10px ${sans}`;
        const width = ctx.measureText(text).width;
        ctx.fillStyle = colours.ground;
        ctx.globalAlpha = 0.75;
        ctx.fillRect(side, y - 7, width + 8, 14);
        ctx.globalAlpha = 1;
        ctx.fillStyle = colours.ink;
        ctx.fillText(text, side + 4, y);
    }

    /** Who led the process over time; a thin line where nobody did. */
    leader(y, { height, side: which, process }, colours) {
        const { ctx } = this;
        const { plane, end, name } = this.clock.histories[which];
        const names = [...new Set(plane.map((entry) => entry.leaders[process]).filter(Boolean))].sort();
        const terms = plane.filter((entry, index) => index === 0 || entry.leaders[process] !== plane[index - 1].leaders[process]);
        ctx.font = `10px ${sans}`;
        terms.forEach((term, index) => {
            const left = Math.max(side, this.x(term.t));
            const right = Math.min(this.width - side, this.x(terms[index + 1]?.t ?? end));
            if (right <= left) return;
            const leader = term.leaders[process];
            if (!leader) {
                ctx.fillStyle = colours.crash;
                ctx.fillRect(left, y + height / 2 - 1.5, Math.max(1.5, right - left), 3);
                return;
            }
            ctx.fillStyle = colours.accent;
            ctx.globalAlpha = names.indexOf(leader) % 2 ? 0.14 : 0.3;
            ctx.fillRect(left, y, right - left, height);
            ctx.globalAlpha = 1;
            ctx.fillStyle = colours.ink;
            const text = `${name ? `${name}: ` : ""}${process} ★ ${leader}`;
            const fitting = [text, leader].find((words) => ctx.measureText(words).width < right - left - 8);
            if (fitting) ctx.fillText(fitting, left + 4, y + height / 2 + 0.5);
        });
    }

    /** How many objects differ between two recordings. */
    differs(y, { height }, colours) {
        const { ctx, steps } = this;
        const most = Math.max(1, ...steps.map((step) => step[1]));
        ctx.fillStyle = colours.differs;
        for (let x = side; x < this.width - side; x += 1) {
            const number = steps[after(steps, this.t(x + 1), (step) => step[0]) - 1]?.[1] ?? 0;
            const tall = number ? Math.max(2, (number / most) * height) : 0;
            ctx.fillRect(x, y + height - tall, 1, tall);
        }
    }

    /** Changes per pixel below, warnings above them. */
    density(y, { height }, colours) {
        const { ctx } = this;
        const room = Math.ceil(this.width);
        const [changes, warnings] = [new Uint32Array(room), new Uint32Array(room)];
        const add = (bins, t) => {
            if (t >= this.from && t <= this.to) bins[Math.min(room - 1, Math.floor(this.x(t)))] += 1;
        };
        for (const history of this.clock.histories) {
            const first = after(history.time, this.from - 0.001);
            for (let index = first; index < history.time.length && history.time[index] <= this.to; index += 1) add(changes, history.time[index]);
            for (const event of history.events) if (event.type === "Warning") add(warnings, event.t);
        }
        const scale = (bins) => Math.log1p(bins.reduce((a, b) => Math.max(a, b), 1));
        const [high, warned] = [scale(changes), scale(warnings)];
        for (let x = 0; x < room; x += 1) {
            if (changes[x]) {
                const tall = Math.max(1.5, (Math.log1p(changes[x]) / high) * height);
                ctx.fillStyle = colours.soft;
                ctx.globalAlpha = 0.55;
                ctx.fillRect(x, y + height - tall, 1, tall);
                ctx.globalAlpha = 1;
            }
            if (warnings[x]) {
                const tall = Math.max(3, (Math.log1p(warnings[x]) / warned) * height * 0.8);
                ctx.fillStyle = colours.notready;
                ctx.fillRect(x - 0.5, y + height - tall, 2, tall);
            }
        }
    }

    axis(y, { height }, colours) {
        const { ctx } = this;
        ctx.fillStyle = colours.line;
        ctx.fillRect(side, y, this.width - 2 * side, 1);
        const tick = niceStep((this.to - this.from) / Math.max(2, this.width / 110));
        ctx.font = `10.5px ${sans}`;
        ctx.fillStyle = colours.soft;
        for (let t = Math.ceil(this.from / tick) * tick; t <= this.to; t += tick) {
            const x = this.x(t);
            ctx.fillRect(Math.round(x), y, 1, 4);
            const text = span(Math.round(t)).replace(/(\d+[hm])0s$/, "$1").replace(/(\d+h)0m$/, "$1");
            const width = ctx.measureText(text).width;
            ctx.fillText(text, Math.min(this.width - width, Math.max(0, x - width / 2)), y + height / 2 + 2);
        }
        this.axisTop = y;
    }

    /** Dragging chooses a range to look at; on the axis, by the play head and with a finger it moves through time. */
    listen() {
        const { element } = this;
        const xOf = (event) => event.clientX - element.getBoundingClientRect().left;
        const spotAt = (event) => {
            const [x, y] = [xOf(event), event.clientY - element.getBoundingClientRect().top];
            return (this.spots ?? []).find((spot) => x >= spot.x0 && x <= spot.x1 && y >= spot.y0 && y < spot.y1);
        };
        element.addEventListener("pointerdown", (event) => {
            if (event.button !== 0) return;
            const x = xOf(event);
            const y = event.clientY - element.getBoundingClientRect().top;
            const scrub = event.pointerType === "touch" || y >= this.axisTop || Math.abs(x - this.x(this.clock.t)) < 6;
            this.dragging = { x, scrub, spot: spotAt(event) };
            element.setPointerCapture(event.pointerId);
            if (scrub && !this.dragging.spot) this.view.goTo(this.t(x));
        });
        element.addEventListener("pointermove", (event) => {
            const x = xOf(event);
            if (!this.dragging) {
                const spot = spotAt(event);
                this.view.tip(spot ? spot.text : `t=${span(Math.round(this.t(x)))}`, event);
                element.style.cursor = spot ? "pointer" : "";
            } else if (this.dragging.scrub) this.view.goTo(this.t(Math.min(this.width - side, Math.max(side, x))));
            else if (Math.abs(x - this.dragging.x) > 4) {
                this.dragging.wide = true;
                this.range.hidden = false;
                this.range.style.left = `${Math.min(x, this.dragging.x)}px`;
                this.range.style.width = `${Math.abs(x - this.dragging.x)}px`;
            }
        });
        element.addEventListener("pointerleave", () => this.view.tip());
        element.addEventListener("pointerup", (event) => {
            const drag = this.dragging;
            this.dragging = undefined;
            this.range.hidden = true;
            if (!drag) return;
            const x = xOf(event);
            if (drag.wide) this.zoom(this.t(Math.min(x, drag.x)), this.t(Math.max(x, drag.x)));
            else if (drag.spot) this.view.goTo(drag.spot.t);
            else if (!drag.scrub) this.view.goTo(this.t(x));
        });
        element.addEventListener("pointercancel", () => {
            this.dragging = undefined;
            this.range.hidden = true;
        });
        element.addEventListener("dblclick", () => this.zoomOut());
        element.addEventListener(
            "wheel",
            (event) => {
                if (event.ctrlKey || event.metaKey) this.zoomBy(event.deltaY > 0 ? 1.25 : 0.8, this.t(xOf(event)));
                else if (event.deltaX && !this.whole) {
                    const by = (event.deltaX / this.width) * (this.to - this.from);
                    this.zoom(this.from + by, this.to + by);
                } else return;
                event.preventDefault();
            },
            { passive: false },
        );
    }
}

/** The processes with a leader, etcd and those whose leader ever changed. */
function led({ plane }) {
    const processes = [...new Set(plane.flatMap((entry) => Object.keys(entry.leaders)))];
    return processes.filter((process) => {
        const leaders = new Set(plane.map((entry) => entry.leaders[process] ?? ""));
        return leaders.size > 1 || (process === "etcd" && !leaders.has(""));
    });
}

function niceStep(least) {
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 900000, 1800000, 3600000];
    return steps.find((step) => step >= least) ?? Math.ceil(least / 3600000) * 3600000;
}

function shortened(ctx, text, width) {
    let cut = text;
    while (cut.length > 3 && ctx.measureText(cut).width > width - 6) cut = `${cut.slice(0, -2)}…`;
    return cut;
}
