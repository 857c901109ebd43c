// The cluster as a picture: zones, nodes as cells, pods as marks.
//
// Two canvases lie over each other. The lower one holds cells, and only those that changed are drawn again; the upper one
// holds what moves or is pointed at. Places come from the whole history (`History.seat`), so that nothing jumps.

import { isHost, lookOf, looks, tray } from "./history.mjs";
import { drawMark, mono, sans, sized } from "./marks.mjs";
import { count, el, natural, say } from "./words.mjs";

/** From roomy to dense; the first at which everything fits is taken. `pitch` is the room of a pod. */
const levels = [
    { cell: 220, widest: 420, head: 32, pitch: 26, mark: 8, font: 13.5, bar: 6, gap: 10, names: 190 },
    { cell: 164, widest: 380, head: 26, pitch: 19, mark: 6, font: 12, bar: 5, gap: 8, names: 124 },
    { cell: 150, widest: 300, head: 26, pitch: 21, mark: 7, font: 12, bar: 5, gap: 8 },
    { cell: 110, widest: 240, head: 22, pitch: 16, mark: 5.5, font: 11, bar: 4, gap: 6 },
    { cell: 74, widest: 160, head: 17, pitch: 12, mark: 4.2, font: 10, bar: 3, gap: 5 },
    { cell: 54, widest: 120, head: 14, pitch: 8.5, mark: 3.3, font: 9.5, bar: 2.5, gap: 4 },
    { cell: 42, widest: 90, head: 13, pitch: 8, mark: 3.1, font: 9, bar: 2.5, gap: 3 },
];
const pad = 6;
const moving = 320;

export class Picture {
    constructor(side, world, view) {
        this.side = side;
        this.world = world;
        this.view = view;
        this.lower = el("canvas", { "aria-hidden": "true" });
        this.upper = el("canvas", { "aria-hidden": "true", class: "upper" });
        this.field = el(
            "div",
            {
                class: "field", tabindex: "0", role: "application", "aria-describedby": "field-help",
                "aria-label": `Picture of the cluster${world.history.name ? `, ${world.history.name}` : ""}`,
            },
            this.lower,
            this.upper,
        );
        this.plane = el("div", { class: "plane" });
        this.head = el("h2", {}, world.history.name);
        this.element = el("section", { class: `cluster side-${side}`, "aria-label": world.history.name || "Cluster" }, world.history.name ? this.head : null, this.plane, this.field);
        this.places = new Map();
        this.motions = new Map();
        this.pulses = new Map();
        this.dirty = new Set();
        this.dirtyHeads = new Set();
        this.cells = [];
        this.cellOf = new Map();
        this.listen();
    }

    listen() {
        const at = (event) => {
            const box = this.lower.getBoundingClientRect();
            return this.hit(event.clientX - box.left, event.clientY - box.top);
        };
        this.field.addEventListener("pointermove", (event) => this.view.hover(this.side, at(event), event));
        this.field.addEventListener("pointerleave", () => this.view.hover(this.side, undefined));
        this.field.addEventListener("click", (event) => this.view.select(this.side, at(event)));
        this.field.addEventListener("blur", () => this.setFocus(undefined));
        this.field.addEventListener("keydown", (event) => this.key(event));
    }

    /** Works out where everything stands, for the room that there is. */
    arrange() {
        const { history } = this.world;
        const width = Math.max(120, this.field.clientWidth);
        // On a narrow screen a picture is as high as it is; else it fills what the page leaves.
        const narrow = getComputedStyle(this.field).flexGrow === "0";
        const room = narrow ? window.innerHeight * (this.view.histories.length > 1 ? 0.4 : 0.55) : this.field.clientHeight;
        const nodes = history.objects.filter((object) => object.kind === "Node" && history.ofObject[object.id].length > 0);
        nodes.sort((a, b) => natural(a.name, b.name));
        this.common = commonBeginning(nodes.map((node) => node.name));
        const zones = new Map();
        for (const node of nodes) zones.set(node.zone ?? "", [...(zones.get(node.zone ?? "") ?? []), node]);
        const sorted = [...zones].sort((a, b) => natural(a[0], b[0]));
        let plan;
        for (const level of levels) {
            plan = this.plan(level, sorted, width);
            if (plan.bottom <= room) break;
        }
        Object.assign(this, plan);
        this.cellOf = new Map(plan.cells.map((cell) => [cell.id, cell]));
        this.width = width;
        this.height = Math.max(plan.bottom, 40);
        this.seenSeats = this.seatKey();
        this.ctx = sized(this.lower, width, this.height);
        this.over = sized(this.upper, width, this.height);
        this.motions.clear();
        this.invalidate();
    }

    /** Changes when a live cluster outgrows its places. */
    seatKey() {
        const { seats, seatCount } = this.world.history;
        return `${seats.size} ${Math.max(...seatCount.values())} ${seatCount.get(tray)}`;
    }

    plan(level, zones, width) {
        const { history } = this.world;
        const cells = [];
        const titles = [];
        const bars = history.objects.some((object) => object.kind === "Node" && history.ofObject[object.id].some((index) => history.state[index]?.cpu));
        const foot = !bars ? 4 : level.cell > 100 ? 16 : 2 * (level.bar + 1.5) + 4;
        const pitchOf = (inner) => (level.names ? Math.floor(inner / Math.max(1, Math.floor(inner / level.names))) : level.pitch);
        let y = 0;

        // Of two pictures beside each other what is the same stands in the same place.
        const seatsOf = (id) => Math.max(...this.view.histories.map((each) => each.seatCount.get(id === tray ? tray : each.byLabel.get(history.objects[id].label)) ?? 0));
        const waiting = seatsOf(tray);
        if (waiting > 0) {
            const inner = width - 2 * pad;
            const pitch = pitchOf(inner);
            const perRow = Math.max(1, Math.floor(inner / pitch));
            const rows = Math.min(Math.ceil(waiting / perRow), zones.length ? 3 : 400);
            const h = level.head + rows * level.pitch + pad;
            cells.push({ id: tray, x: 0, y, w: width, h, perRow, pitch, room: rows * perRow });
            y += h + level.gap;
        }

        const titled = zones.length > 1 || (zones[0]?.[0] ?? "") !== "";
        const abreast = Math.max(1, Math.min(zones.length, Math.floor((width + 14) / (level.cell + 14))));
        const columns = Math.ceil(zones.length / Math.ceil(zones.length / abreast)) || 1;
        const zoneWidth = (width - (columns - 1) * 14) / columns;
        for (let first = 0; first < zones.length; first += columns) {
            const row = zones.slice(first, first + columns);
            const largest = Math.max(...row.map(([, nodes]) => nodes.length));
            const fit = Math.max(1, Math.floor((zoneWidth + level.gap) / (level.cell + level.gap)));
            // A row that is not full looks better with as many in each as the last can hold.
            const across = Math.ceil(largest / Math.ceil(largest / fit));
            const w = Math.min(level.widest, (zoneWidth - (across - 1) * level.gap) / across);
            const inner = w - 2 * pad;
            const pitch = pitchOf(inner);
            const perRow = Math.max(1, Math.floor(inner / pitch));
            const top = y + (titled ? 22 : 0);
            let lowest = top;
            row.forEach(([zone, nodes], column) => {
                const left = column * (zoneWidth + 14);
                if (titled) titles.push({ text: zone || "no zone", x: left, y: y + 14, w: zoneWidth });
                let line = top;
                for (let start = 0; start < nodes.length; start += across) {
                    const some = nodes.slice(start, start + across);
                    const seats = Math.max(level.names ? 1 : perRow, ...some.map((node) => seatsOf(node.id)));
                    const h = level.head + Math.ceil(seats / perRow) * level.pitch + foot;
                    some.forEach((node, index) => cells.push({ id: node.id, x: left + index * (w + level.gap), y: line, w, h, perRow, pitch, room: Infinity }));
                    line += h + level.gap;
                }
                lowest = Math.max(lowest, line);
            });
            y = lowest + 6;
        }
        return { level, cells, titles, bars, bottom: Math.ceil(y) };
    }

    /** The middle of a pod's mark; undefined where it has no place to be drawn. */
    placeOf(id) {
        const state = this.world.stateOf(id);
        const cell = state && this.cellOf.get(state.node ?? tray);
        const slot = this.world.slotOf(id);
        if (!cell || slot < 0 || slot >= cell.room) return undefined;
        const column = slot % cell.perRow;
        const line = Math.floor(slot / cell.perRow);
        const x = cell.x + pad + column * cell.pitch + (this.level.names ? this.level.mark + 1 : cell.pitch / 2);
        return { x, y: cell.y + this.level.head + (line + 0.5) * this.level.pitch, cell };
    }

    /** Takes note of what is different now; moves marks there if they may be seen moving. */
    touch(ids, animate, now) {
        let planeChanged = false;
        for (const id of ids) {
            const object = this.world.history.objects[id];
            if (this.cellOf.has(id)) this.dirtyHeads.add(this.cellOf.get(id));
            if (isHost(object)) planeChanged = true;
            if (object.kind === "Pod") this.touchPod(id, animate, now);
        }
        if (planeChanged) this.drawPlane();
    }

    touchPod(id, animate, now) {
        const before = this.places.get(id);
        const place = this.placeOf(id);
        if (before) this.dirty.add(before.cell);
        if (place) this.dirty.add(place.cell);
        const look = place && lookOf(this.world.stateOf(id));
        if (animate) {
            if (before && place && (before.x !== place.x || before.y !== place.y)) {
                this.motions.set(id, { from: before, to: place, look, start: now });
            } else if (before && !place) this.motions.set(id, { from: before, look: before.look, start: now, leaves: true });
            else if (!before || before.look !== look) this.pulses.set(id, now);
        } else this.motions.delete(id);
        if (place) this.places.set(id, { ...place, look });
        else this.places.delete(id);
    }

    invalidate() {
        this.places.clear();
        for (const set of this.world.pods.values()) {
            for (const id of set) {
                const place = this.placeOf(id);
                if (place) this.places.set(id, { ...place, look: lookOf(this.world.stateOf(id)) });
            }
        }
        this.all = true;
        this.drawPlane();
    }

    redrawCells() {
        this.all = true;
    }

    /** Draws what has to be drawn; answers whether something still moves. */
    frame(now, colours) {
        if (!this.ctx) return false;
        if (this.seenSeats !== this.seatKey()) this.arrange();
        if (this.all) {
            this.ctx.clearRect(0, 0, this.width, this.height);
            this.ctx.textBaseline = "middle";
            for (const title of this.titles) {
                this.ctx.font = `600 11.5px ${sans}`;
                this.ctx.fillStyle = colours.soft;
                this.ctx.fillText(title.text, title.x + 1, title.y - 3);
                const start = title.x + this.ctx.measureText(title.text).width + 9;
                this.ctx.fillStyle = colours.line;
                if (start < title.x + title.w) this.ctx.fillRect(start, title.y - 3, title.x + title.w - start, 1);
            }
        }
        for (const cell of this.all ? this.cells : this.dirtyHeads) this.drawCell(cell, colours);
        if (!this.all) for (const cell of this.dirty) if (!this.dirtyHeads.has(cell)) this.drawInside(cell, colours);
        this.all = false;
        this.dirty.clear();
        this.dirtyHeads.clear();
        return this.drawOver(now, colours);
    }

    drawCell(cell, colours) {
        const { ctx, level, world, view } = this;
        const { x, y, w, h } = cell;
        const isTray = cell.id === tray;
        const state = isTray ? {} : world.stateOf(cell.id);
        ctx.clearRect(x - 2, y - 2, w + 4, h + 4);
        ctx.globalAlpha = !isTray && view.dimmed(this.side, cell.id, world.podsOn(cell.id)) ? 0.3 : 1;
        const lost = !isTray && state && state.ready !== true;
        ctx.beginPath();
        ctx.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, 5);
        if (isTray) {
            ctx.strokeStyle = colours.line;
            ctx.setLineDash([5, 4]);
        } else {
            ctx.fillStyle = colours.cell;
            if (state) ctx.fill();
            if (lost) this.hatch(cell, colours);
            ctx.strokeStyle = lost ? colours.lost : colours.line;
            if (!state || state.cordoned) ctx.setLineDash([4, 4]);
        }
        ctx.lineWidth = 1;
        ctx.stroke();
        ctx.setLineDash([]);
        if (!isTray && view.differs(this.side, cell.id)) this.ring(ctx, x + 1, y + 1, w - 2, h - 2, colours.differs, [4, 2]);
        this.drawHead(cell, state, lost, colours);
        this.drawPods(cell, colours);
        ctx.globalAlpha = 1;
        if (state && !isTray && this.bars) this.drawBars(cell, state, colours);
        cell.plain = !isTray && state && !lost && !view.dimmed(this.side, cell.id, world.podsOn(cell.id));
    }

    /** Most changes are of pods: then the frame and the name of a cell stay as they are. */
    drawInside(cell, colours) {
        if (!cell.plain || this.view.filterKey) {
            this.drawCell(cell, colours);
            return;
        }
        this.ctx.fillStyle = colours.cell;
        this.ctx.fillRect(cell.x + 3, cell.y + this.level.head, cell.w - 6, cell.h - this.level.head - 3);
        this.drawPods(cell, colours);
        if (this.bars) this.drawBars(cell, this.world.stateOf(cell.id), colours);
    }

    drawPods(cell, colours) {
        for (const id of this.world.podsOn(cell.id)) {
            if (!this.motions.has(id)) this.drawPod(this.ctx, id, this.placeOf(id), colours);
        }
    }

    drawHead(cell, state, lost, colours) {
        const { ctx, level, world } = this;
        const middle = cell.y + level.head / 2 + 1;
        let word = "";
        if (cell.id === tray) {
            const number = world.podsOn(tray).size;
            const unseen = [...world.podsOn(tray)].filter((id) => world.slotOf(id) >= cell.room).length;
            word = number === 0 ? "none" : `${number}${unseen ? `, of which ${unseen} not shown` : ""}`;
        } else word = this.nodeWord(state, level.cell > 80);
        ctx.font = `${level.font - 0.5}px ${sans}`;
        const taken = word ? ctx.measureText(word).width + 3 : 0;
        ctx.fillStyle = lost ? colours.crash : colours.soft;
        ctx.textAlign = "right";
        if (word) ctx.fillText(word, cell.x + cell.w - pad, middle);
        ctx.textAlign = "left";
        ctx.font = `600 ${level.font}px ${sans}`;
        ctx.fillStyle = state ? colours.ink : colours.soft;
        const name = cell.id === tray ? (this.cells.length > 1 ? "Unscheduled" : "Pods") : world.history.objects[cell.id].name;
        const room = cell.w - 2 * pad - taken;
        // What all nodes' names begin with says nothing about one of them.
        const short = cell.id !== tray && ctx.measureText(name).width > room ? name.slice(this.common) : name;
        ctx.fillText(fitted(ctx, short, room), cell.x + pad, middle);
    }

    /** What is special about a node, in a word or a sign. */
    nodeWord(state, roomy) {
        if (!state) return roomy ? "not there" : "";
        const words = [];
        if (state.ready !== true) words.push(state.ready === "Unknown" ? ["Unknown", "?"] : ["NotReady", "✕"]);
        if (state.cordoned) words.push(["cordoned", "⊘"]);
        if (state.pressure?.length) words.push([state.pressure[0], "!"]);
        if (state.taints?.length) words.push([count(state.taints.length, "taint"), "⚑"]);
        return words[0]?.[roomy ? 0 : 1] ?? "";
    }

    hatch({ x, y, w, h }, colours) {
        const { ctx } = this;
        ctx.save();
        ctx.clip();
        ctx.globalAlpha *= 0.22;
        ctx.strokeStyle = colours.lost;
        ctx.lineWidth = 2;
        ctx.beginPath();
        for (let left = x - h; left < x + w; left += 9) {
            ctx.moveTo(left, y + h);
            ctx.lineTo(left + h, y);
        }
        ctx.stroke();
        ctx.restore();
        ctx.beginPath();
        ctx.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, 5);
    }

    drawBars(cell, state, colours) {
        const { ctx, level } = this;
        const used = this.world.requested(cell.id);
        const labelled = level.cell > 100;
        const start = labelled ? 28 : 0;
        // Side by side with their names where there is room, else one over the other.
        const width = (labelled ? (cell.w - 2 * pad - 8) / 2 : cell.w - 2 * pad) - start;
        ["cpu", "memory"].forEach((resource, index) => {
            if (!state[resource]) return;
            const x = cell.x + pad + (labelled ? index * (width + start + 8) : 0);
            const y = cell.y + cell.h - (labelled ? 10 : 3 + (2 - index) * (level.bar + 1.5));
            const part = Math.min(1, used[resource] / state[resource]);
            ctx.fillStyle = colours.line;
            ctx.fillRect(x + start, y, width, level.bar - 1);
            ctx.fillStyle = part > 0.9 ? colours.full : colours.bar;
            ctx.fillRect(x + start, y, width * part, level.bar - 1);
            if (labelled) {
                ctx.fillStyle = colours.soft;
                ctx.font = `9px ${sans}`;
                ctx.fillText(resource === "cpu" ? "cpu" : "mem", x, y + level.bar / 2 - 0.5);
            }
        });
    }

    drawPod(ctx, id, place, colours, look = lookOf(this.world.stateOf(id))) {
        if (!place) return;
        const { level, view } = this;
        const alpha = ctx.globalAlpha;
        if (view.dimmed(this.side, id)) ctx.globalAlpha = alpha * 0.16;
        drawMark(ctx, look, place.x, place.y, level.mark, colours);
        if (view.differs(this.side, id)) {
            this.ring(ctx, place.x - level.mark - 2, place.y - level.mark - 2, 2 * level.mark + 4, 2 * level.mark + 4, colours.differs, []);
        }
        if (level.names && place.cell) this.drawName(ctx, id, place, look, colours);
        ctx.globalAlpha = alpha;
    }

    /** The pod's name and, where there is room and something to say, its status. */
    drawName(ctx, id, place, look, colours) {
        const { level, world } = this;
        const size = level.font - 1;
        const left = place.x + level.mark + 5;
        const room = place.cell.pitch - 2 * level.mark - 10;
        ctx.font = `${size}px ${mono}`;
        ctx.textBaseline = "middle";
        ctx.fillStyle = colours.ink;
        const name = fitted(ctx, world.history.objects[id].name, room);
        ctx.fillText(name, left, place.y + 0.5);
        const state = look === "ready" ? undefined : world.stateOf(id);
        if (!state) return;
        const start = left + ctx.measureText(name).width + 8;
        ctx.font = `${size - 1}px ${sans}`;
        ctx.fillStyle = colours.soft;
        const status = look === "notready" ? "not ready" : `${state.status ?? state.phase ?? ""}${state.restarts ? ` ×${state.restarts}` : ""}`;
        const words = [state.reason, status].find((words) => words && start + ctx.measureText(words).width <= left + room);
        if (words) ctx.fillText(words, start, place.y + 0.5);
    }

    ring(ctx, x, y, w, h, colour, dash) {
        ctx.strokeStyle = colour;
        ctx.lineWidth = 1.6;
        ctx.setLineDash(dash);
        ctx.beginPath();
        ctx.roundRect(x, y, w, h, 4);
        ctx.stroke();
        ctx.setLineDash([]);
    }

    drawOver(now, colours) {
        const { over, view, level } = this;
        const selected = view.selectedIn(this.side);
        const needed = this.motions.size || this.pulses.size || [selected, this.hovered, this.focused].some((id) => id !== undefined);
        // An untouched canvas costs the browser nothing.
        if (needed || this.used) over.clearRect(0, 0, this.width, this.height);
        this.used = needed;
        for (const [id, motion] of this.motions) {
            const part = (now - motion.start) / moving;
            if (part >= 1) {
                this.motions.delete(id);
                this.drawInside((motion.to ?? motion.from).cell, colours);
                continue;
            }
            const eased = 1 - (1 - part) ** 3;
            if (motion.leaves) {
                over.globalAlpha = 1 - eased;
                drawMark(over, motion.look ?? "terminating", motion.from.x, motion.from.y, level.mark * (1 - 0.5 * eased), colours);
                over.globalAlpha = 1;
            } else {
                const x = motion.from.x + (motion.to.x - motion.from.x) * eased;
                const y = motion.from.y + (motion.to.y - motion.from.y) * eased;
                drawMark(over, motion.look, x, y, level.mark, colours);
            }
        }
        for (const [id, start] of this.pulses) {
            const part = (now - start) / 700;
            const place = this.places.get(id);
            if (part >= 1 || !place) {
                this.pulses.delete(id);
                continue;
            }
            over.globalAlpha = (1 - part) * 0.8;
            over.strokeStyle = colours[place.look];
            over.lineWidth = 1.5;
            over.beginPath();
            over.arc(place.x, place.y, level.mark + 1 + part * 6, 0, 7);
            over.stroke();
            over.globalAlpha = 1;
        }
        if (selected !== undefined) this.outline(selected, colours.accent, 2.2);
        if (this.hovered !== undefined) this.outline(this.hovered, colours.soft, 1.2);
        if (this.focused !== undefined) this.outline(this.focused, colours.accent, 2.2, 3);
        return this.motions.size > 0 || this.pulses.size > 0;
    }

    outline(id, colour, width, away = 0) {
        const { over, level } = this;
        over.strokeStyle = colour;
        over.lineWidth = width;
        over.beginPath();
        const cell = this.cellOf.get(id);
        const place = this.places.get(id);
        if (cell) over.roundRect(cell.x + 1 + away, cell.y + 1 + away, cell.w - 2 - 2 * away, cell.h - 2 - 2 * away, 4);
        else if (place) over.arc(place.x, place.y, level.mark + 3 + away, 0, 7);
        over.stroke();
    }

    /** Which object is drawn at a point. */
    hit(x, y) {
        const cell = this.cells.find((cell) => x >= cell.x && x < cell.x + cell.w && y >= cell.y && y < cell.y + cell.h);
        if (!cell) return undefined;
        const column = Math.floor((x - cell.x - pad) / cell.pitch);
        const line = Math.floor((y - cell.y - this.level.head) / this.level.pitch);
        if (column >= 0 && column < cell.perRow && line >= 0) {
            const slot = line * cell.perRow + column;
            for (const id of this.world.podsOn(cell.id)) if (this.world.slotOf(id) === slot) return id;
        }
        return cell.id === tray ? undefined : cell.id;
    }

    setFocus(id) {
        this.focused = id;
        this.view.redraw();
    }

    /** Arrow keys go to the nearest mark or cell in that direction. */
    key(event) {
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (event.key === "Enter" && this.focused !== undefined) this.view.select(this.side, this.focused);
        else if (step && !event.ctrlKey && !event.metaKey && !event.altKey) this.setFocus(this.next(step));
        else return;
        event.preventDefault();
        event.stopPropagation();
        if (this.focused === undefined) return;
        this.view.announce(this.view.sentence(this.side, this.focused));
        const spot = this.spot(this.focused);
        if (!spot) return;
        if (spot.y < this.field.scrollTop + 30) this.field.scrollTop = spot.y - 60;
        if (spot.y > this.field.scrollTop + this.field.clientHeight - 30) this.field.scrollTop = spot.y - this.field.clientHeight + 60;
    }

    spot(id) {
        const cell = this.cellOf.get(id);
        return cell ? { x: cell.x + pad, y: cell.y + this.level.head / 2 } : this.places.get(id);
    }

    next([dx, dy]) {
        const from = this.focused === undefined ? undefined : this.spot(this.focused);
        const ids = [...this.cells.map((cell) => cell.id).filter((id) => id !== tray), ...this.places.keys()];
        if (!from) return ids[0];
        let best = this.focused;
        let least = Infinity;
        for (const id of ids) {
            const spot = this.spot(id);
            const along = (spot.x - from.x) * dx + (spot.y - from.y) * dy;
            const across = Math.abs((spot.x - from.x) * dy) + Math.abs((spot.y - from.y) * dx);
            const distance = along + 2.5 * across;
            if (along > 1 && distance < least) [best, least] = [id, distance];
        }
        return best;
    }

    /** Members and parts of the control plane, as buttons above the picture. */
    drawPlane() {
        const { history } = this.world;
        const ids = history.objects.filter(isHost).map((object) => object.id);
        this.plane.hidden = ids.length === 0;
        this.chips ??= new Map();
        for (const id of ids) {
            let chip = this.chips.get(id);
            if (!chip) {
                chip = el("button", { class: "chip", onclick: () => this.view.select(this.side, id) }, el("b", {}, history.objects[id].name), el("span"));
                this.chips.set(id, chip);
                this.plane.append(chip);
            }
            const state = this.world.stateOf(id);
            const is = state?.role ?? (state?.leader === "nobody" ? "nobody leads" : (state?.said ?? ""));
            chip.hidden = !state;
            chip.classList.toggle("leads", is === "leader");
            chip.classList.toggle("bad", /down|cut off|no quorum|nobody|^no |not |unreachable/i.test(is));
            chip.classList.toggle("differs", this.view.differs(this.side, id));
            say(chip.lastChild, is === "leader" ? "★ leader" : is || (state?.leader ? `★ ${state.leader}` : ""));
        }
    }
}

/** How many letters all names share at their beginning, up to a hyphen or a dot. */
function commonBeginning(names) {
    const first = names[0] ?? "";
    let length = names.length > 1 ? first.length : 0;
    for (const name of names) while (!name.startsWith(first.slice(0, length))) length -= 1;
    return Math.max(first.lastIndexOf("-", length - 1), first.lastIndexOf(".", length - 1)) + 1;
}

const fits = new Map();

/** The name, or its beginning and its end with an ellipsis between them where there is no room for all. */
function fitted(ctx, text, width) {
    const key = `${ctx.font} ${Math.round(width)} ${text}`;
    let result = fits.get(key);
    if (result === undefined) {
        result = text;
        for (let keep = text.length - 1; keep > 0 && ctx.measureText(result).width > width; keep -= 1) {
            const tail = Math.min(6, Math.floor(keep / 2));
            result = `${text.slice(0, keep - tail)}…${tail ? text.slice(-tail) : ""}`;
        }
        if (ctx.measureText(result).width > width) result = "";
        if (fits.size > 20000) fits.clear();
        fits.set(key, result);
    }
    return result;
}

/** The legend: each look with its mark and how many there are; a button each, which shows only these. */
export function legend(toggle) {
    const items = looks.map((look) => {
        const canvas = el("canvas", { "aria-hidden": "true" });
        const number = el("span", { class: "number" }, "0");
        const button = el("button", { class: "look", "aria-pressed": "false", onclick: () => toggle(look.name) }, canvas, number, ` ${look.words}`);
        return { look: look.name, canvas, number, button };
    });
    return {
        items,
        paint(colours) {
            for (const item of items) drawMark(sized(item.canvas, 14, 14), item.look, 7, 7, 5.5, colours);
        },
        update(counts, chosen, ever) {
            items.forEach((item, index) => {
                const [a, b] = counts.map((list) => list[index]);
                say(item.number, b === undefined || a === b ? a.toLocaleString("en") : `${a} ≠ ${b}`);
                item.button.classList.toggle("none", counts.every((list) => list[index] === 0));
                item.button.hidden = !ever[index];
                item.button.setAttribute("aria-pressed", `${chosen === item.look}`);
            });
        },
    };
}
