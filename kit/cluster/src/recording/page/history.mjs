// A recording, made ready for being asked "how was it at t?" in both directions of time.

import { after, bytes, cpu, label } from "./words.mjs";

/** What a pod's mark can look like, the best first; `words` is how it is said. */
export const looks = [
    { name: "ready", words: "ready" },
    { name: "starting", words: "starting" },
    { name: "pending", words: "unscheduled" },
    { name: "notready", words: "not ready" },
    { name: "crash", words: "failing to start" },
    { name: "terminating", words: "terminating" },
    { name: "failed", words: "failed" },
    { name: "succeeded", words: "succeeded" },
];
const lookIndex = Object.fromEntries(looks.map((look, index) => [look.name, index]));

/** The look of a pod in this state. */
export function lookOf(state) {
    const status = state.status ?? state.phase ?? "";
    if (state.deleting || status === "Terminating") return "terminating";
    if (state.phase === "Succeeded" || status === "Completed") return "succeeded";
    if (state.phase === "Failed" || status === "Evicted") return "failed";
    if (/BackOff|^Err|Error|OOMKilled|Invalid/.test(status)) return "crash";
    if (state.node === undefined) return "pending";
    if (state.ready === true) return "ready";
    return (state.phase ?? "Pending") === "Pending" || /Creating|Init/.test(status) ? "starting" : "notready";
}

/** Whether it is a member or a process of the control plane, which the page keeps as objects. */
export const isHost = (object) => object.kind === "Member" || object.kind === "Process";

/** A pod that has no node stands in the tray; it is named by this instead of a node. */
export const tray = -1;

/**
 * Objects and their changes by index, in order of time. For each change: the state after it (null once deleted) and the
 * index of the change of the same object before it, which is the way back.
 */
export class History {
    constructor(recording, name = "") {
        this.name = name;
        this.title = recording.title ?? "";
        this.why = typeof recording.why === "string" ? recording.why : "";
        this.kubernetes = recording.kubernetes ?? "";
        this.epoch = recording.epoch ?? "";
        this.live = recording.live === true;
        this.by = [];
        this.ids = [];
        this.objects = [];
        this.children = [];
        this.byLabel = new Map();
        this.time = [];
        this.object = [];
        this.writer = [];
        this.state = [];
        this.earlier = [];
        this.ofObject = [];
        this.slot = [];
        this.seats = new Map([[tray, []]]);
        this.seatCount = new Map([[tray, 0]]);
        this.census = { time: [], counts: [] };
        this.running = new Array(looks.length).fill(0);
        this.events = [];
        this.marks = [];
        this.reasons = [];
        this.lines = [];
        this.about = { events: [], reasons: [] };
        this.plane = [];
        this.moments = [];
        this.end = 0;
        // What was before the clock showed 0 is the set-up: known, but not shown as time.
        this.begin = Math.max(0, recording.from ?? 0);
        this.version = 0;
        this.grow(recording);
    }

    /**
     * Takes in what is new: a recording has everything, a live cluster sends pieces of the same form. Recorded indices are
     * mapped to those of `objects`, which also holds the control plane.
     */
    grow(piece) {
        this.by = this.by.concat(piece.by ?? []);
        this.introduce(piece.objects ?? []);
        const all = inOrder((piece.changes ?? []).concat(this.planeChanges(piece.plane ?? [])), (change) => change[0]);
        for (const [t, place, by, patch, host] of all) {
            if (host === undefined) this.addChange(t, this.ids[place], by, this.mapped(patch));
            else this.addChange(t, host, by, patch);
        }

        const events = (piece.events ?? []).map(([t, id, type, reason, message, count]) => {
            return { t, id: this.ids[id], type, reason, message: message ?? "", count: count ?? 1 };
        });
        const about = (mark) => ({ ...mark, about: (mark.about ?? []).map((id) => this.ids[id]).concat(this.hostIn(mark.text)) });
        const reasons = (piece.reasons ?? []).map((reason) => ({ lines: [], ...reason, id: this.ids[reason.id] }));
        const marks = (piece.marks ?? []).map(about);
        this.events = inOrder(this.events.concat(events));
        this.marks = inOrder(this.marks.concat(marks));
        this.reasons = inOrder(this.reasons.concat(reasons));
        this.lines = inOrder(this.lines.concat(piece.lines ?? []));
        for (const event of events) this.file("events", event.id, event);
        for (const reason of reasons) this.file("reasons", reason.id, reason);
        for (const mark of marks) for (const id of mark.about) this.file("reasons", id, { ...mark, lines: [], mark: true });
        const timed = [...all.map((change) => change[0]), ...events.map((event) => event.t), ...marks.map((mark) => mark.t)];
        this.end = timed.reduce((a, b) => Math.max(a, b), Math.max(this.end, piece.end ?? 0, 1));
        const moments = this.moments.concat(timed.filter((t) => t > this.begin));
        this.moments = inOrder(moments, (t) => t).filter((t, index, list) => index === 0 || t !== list[index - 1]);
        this.version += 1;
    }

    /** Keeps what is about an object with it: its events; decisions and what was done to it, as reasons. */
    file(what, id, item) {
        const list = (this.about[what][id] ??= []);
        list.push(item);
        if (list.length > 1 && list[list.length - 2].t > item.t) list.sort((a, b) => a.t - b.t);
    }

    /** Events of the object, or reasons for its state, up to `t`. */
    known(what, id, t) {
        const list = this.about[what][id] ?? [];
        return list.slice(0, after(list, t, (item) => item.t));
    }

    /** Objects of a recording in their order; those of a piece as [place, object], where a place may be given anew. */
    introduce(objects) {
        const named = objects.map((object, index) => (Array.isArray(object) ? object : [this.ids.length + index, object]));
        for (const [place, object] of named) this.ids[place] = this.addObject({ ...object, owner: undefined });
        // An owner may be listed after what it owns.
        for (const [place, { owner }] of named) if (typeof owner === "number") this.adopt(this.ids[owner], this.ids[place]);
    }

    adopt(owner, id) {
        if (owner === undefined || this.children[owner].includes(id)) return;
        this.objects[id].owner ??= owner;
        this.children[owner].push(id);
    }

    mapped(patch) {
        if (patch.node === undefined && patch.nominated === undefined && patch.owner === undefined) return patch;
        const copy = { ...patch };
        for (const key of ["node", "nominated", "owner"]) if (typeof copy[key] === "number") copy[key] = this.ids[copy[key]];
        return copy;
    }

    addObject(object) {
        const id = this.objects.length;
        this.objects.push({ ...object, id, label: label(object) });
        this.byLabel.set(label(object), id);
        this.ofObject.push([]);
        this.children.push([]);
        if (object.kind === "Node") {
            this.seats.set(id, []);
            this.seatCount.set(id, 0);
        }
        return id;
    }

    /** Members and processes of the control plane become objects like all others: with states, changes and a history. */
    planeChanges(plane) {
        const changes = [];
        for (const [t, { leader, members = {}, leads = {}, said = {} }] of plane) {
            const there = new Set();
            const put = (kind, name, state) => {
                const id = this.synthetic(kind, name);
                there.add(id);
                // Told whole each time: what is not said is gone.
                changes.push([t, undefined, undefined, { role: null, said: null, leader: null, ...state }, id]);
            };
            for (const [name, role] of Object.entries(members)) put("Member", name, { role });
            for (const name of new Set([...Object.keys(said), ...Object.keys(leads)])) {
                const leading = name in leads ? { leader: leads[name] ?? "nobody" } : {};
                put("Process", name, { ...(said[name] ? { said: said[name] } : {}), ...leading });
            }
            for (const id of this.hosted ?? []) if (!there.has(id)) changes.push([t, undefined, undefined, { gone: true }, id]);
            this.hosted = there;
            this.plane.push({ t, leaders: { etcd: leader ?? undefined, ...leads } });
        }
        return changes;
    }

    /** Hosts of the control plane are no objects of the cluster, so that a mark names them in its text. */
    hostIn(text) {
        return text.split(/\s+/).map((word) => this.byLabel.get(label({ kind: "Member", name: word }))).filter((id) => id !== undefined);
    }

    synthetic(kind, name) {
        return this.byLabel.get(label({ kind, name })) ?? this.addObject({ kind, name });
    }

    addChange(t, id, by, patch) {
        const object = this.objects[id];
        if (object === undefined) return;
        const index = this.time.length;
        const mine = this.ofObject[id];
        const earlier = mine.length ? mine[mine.length - 1] : -1;
        const before = earlier < 0 ? null : this.state[earlier];
        const state = patch.gone ? null : merge(before, patch);
        if (typeof patch.owner === "number") this.adopt(patch.owner, id);
        // The control plane is told whole each time.
        if (isHost(object) && same(before, state)) return;
        this.time.push(t);
        this.object.push(id);
        this.writer.push(by);
        this.state.push(state);
        this.earlier.push(earlier);
        mine.push(index);
        this.slot.push(-1);
        if (object.kind === "Pod") this.seat(index, t, before, state, earlier);
    }

    /** Pods keep their place on a node while others come and go; worked out once, so that time may run both ways. */
    seat(index, t, before, state, earlier) {
        const from = before ? (before.node ?? tray) : undefined;
        const to = state ? (state.node ?? tray) : undefined;
        if (before && from === to) this.slot[index] = this.slot[earlier];
        else {
            if (before) this.seats.get(from)?.splice(this.slot[earlier], 1, false);
            if (state) {
                if (!this.seats.has(to)) this.seats.set(to, []);
                const row = this.seats.get(to);
                const free = row.indexOf(false);
                const place = free < 0 ? row.length : free;
                row[place] = true;
                this.slot[index] = place;
                this.seatCount.set(to, Math.max(this.seatCount.get(to) ?? 0, row.length));
            }
        }
        const was = before && lookOf(before);
        const is = state && lookOf(state);
        if (was === is) return;
        if (was) this.running[lookIndex[was]] -= 1;
        if (is) this.running[lookIndex[is]] += 1;
        const { time, counts } = this.census;
        if (time[time.length - 1] === t) counts[counts.length - 1] = this.running.slice();
        else {
            time.push(t);
            counts.push(this.running.slice());
        }
    }

    /** How many pods of each look there were at `t`. */
    countsAt(t) {
        return this.census.counts[after(this.census.time, t) - 1] ?? looks.map(() => 0);
    }

    writerOf(index) {
        return this.by[this.writer[index]] ?? "";
    }

    /** The owner, its owner, and so on: the nearest first. */
    owners(id) {
        const chain = [];
        let up = this.objects[id]?.owner;
        while (up !== undefined && !chain.includes(up)) {
            chain.push(up);
            up = this.objects[up].owner;
        }
        return chain;
    }

    /** The object and all that it owns, directly or not. */
    tree(id, into = new Set()) {
        if (into.has(id)) return into;
        into.add(id);
        for (const child of this.children[id] ?? []) this.tree(child, into);
        return into;
    }

    /** One change in words: "ready: false → true". */
    describe(index) {
        const state = this.state[index];
        const before = this.earlier[index] < 0 ? null : this.state[this.earlier[index]];
        if (!state) return "deleted";
        const fields = [];
        for (const key of new Set([...Object.keys(before ?? {}), ...Object.keys(state)])) {
            if (same(before?.[key], state[key])) continue;
            const now = this.value(key, state[key]);
            fields.push(before && before[key] !== undefined ? `${key}: ${this.value(key, before[key])} → ${now}` : `${key}: ${now}`);
        }
        if (!before) fields.unshift("created");
        return fields.join(" · ") || "written, with nothing new that is recorded";
    }

    /** A field's value as people read it. */
    value(key, value) {
        if (value === undefined || value === null) return "–";
        if (key === "owner") return value === false ? "none" : (this.objects[value]?.label ?? `${value}`);
        if (key === "node" || key === "nominated") return this.objects[value]?.name ?? `${value}`;
        if (key === "cpu" && typeof value === "number") return cpu(value);
        if (key === "memory" && typeof value === "number") return bytes(value);
        if (Array.isArray(value)) return value.length ? value.map((item) => this.value("", item)).join(", ") : "none";
        if (typeof value === "object") return Object.entries(value).map(([name, inner]) => `${name} ${inner}`).join(", ");
        return `${value}`;
    }
}

function merge(before, patch) {
    const state = { ...before };
    for (const [key, value] of Object.entries(patch)) {
        if (value === null) delete state[key];
        else state[key] = value;
    }
    return state;
}

/** The list in order of time; what comes live is in order already. */
function inOrder(list, timeOf = (item) => item.t) {
    const late = list.some((item, index) => index > 0 && timeOf(list[index - 1]) > timeOf(item));
    return late ? list.slice().sort((a, b) => timeOf(a) - timeOf(b)) : list;
}

/** Whether two recorded values are equal. */
export function same(a, b) {
    return a === b || (typeof a === "object" && typeof b === "object" && JSON.stringify(a) === JSON.stringify(b));
}
