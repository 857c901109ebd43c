// The cluster at one instant, moved along its history in either direction; and two of them held against each other.

import { same, tray } from "./history.mjs";
import { after } from "./words.mjs";

export class World {
    constructor(history) {
        this.history = history;
        this.applied = 0;
        this.latest = [];
        this.pods = new Map();
        this.at = -Infinity;
    }

    /** Goes to `t` and answers which objects are different there. */
    seek(t) {
        const { time, object, earlier } = this.history;
        const touched = new Set();
        const to = after(time, t);
        while (this.applied < to) this.put(object[this.applied], this.applied++, touched);
        while (this.applied > to) {
            this.applied -= 1;
            this.put(object[this.applied], earlier[this.applied], touched);
        }
        this.at = t;
        return touched;
    }

    put(id, index, touched) {
        const was = this.stateOf(id);
        this.latest[id] = index;
        touched.add(id);
        if (this.history.objects[id].kind !== "Pod") return;
        const is = this.stateOf(id);
        const from = was && (was.node ?? tray);
        const to = is && (is.node ?? tray);
        if (from === to && Boolean(was) === Boolean(is)) return;
        if (was) this.podsOn(from).delete(id);
        if (is) this.podsOn(to).add(id);
    }

    podsOn(node) {
        let set = this.pods.get(node);
        if (!set) this.pods.set(node, (set = new Set()));
        return set;
    }

    /** The object's state now; undefined if it does not exist. */
    stateOf(id) {
        const index = this.latest[id];
        return index === undefined || index < 0 ? undefined : (this.history.state[index] ?? undefined);
    }

    slotOf(id) {
        return this.history.slot[this.latest[id]] ?? -1;
    }

    /** What the pods of a node request, of those that still run. */
    requested(node) {
        let cpu = 0;
        let memory = 0;
        for (const id of this.podsOn(node)) {
            const state = this.stateOf(id);
            if (state.phase === "Succeeded" || state.phase === "Failed") continue;
            cpu += state.cpu ?? 0;
            memory += state.memory ?? 0;
        }
        return { cpu, memory };
    }
}

/** Where two worlds differ: objects are the same if their kinds and names are. */
export class Comparison {
    constructor(a, b) {
        this.sides = [a, b];
        this.differing = new Set();
    }

    other(side, id) {
        return this.sides[1 - side].history.byLabel.get(this.sides[side].history.objects[id].label);
    }

    /** Looks again at what changed on each side, and answers the labels that became equal or different. */
    update(touched) {
        const flipped = new Set();
        touched.forEach((ids, side) => {
            for (const id of ids) {
                const { label } = this.sides[side].history.objects[id];
                const differs = this.differs(label);
                if (differs === this.differing.has(label)) continue;
                if (differs) this.differing.add(label);
                else this.differing.delete(label);
                flipped.add(label);
            }
        });
        return flipped;
    }

    differs(label) {
        const [a, b] = this.sides.map((world) => {
            const id = world.history.byLabel.get(label);
            return { history: world.history, state: id === undefined ? undefined : world.stateOf(id) };
        });
        return !sameState(a, b);
    }

    /** How many objects differ over all of time, as steps [t, count]. */
    overTime() {
        const fresh = this.sides.map((world) => new World(world.history));
        const comparison = new Comparison(...fresh);
        const times = [...new Set(fresh.flatMap((world) => world.history.time))].sort((a, b) => a - b);
        const steps = [];
        for (const t of times) {
            comparison.update(fresh.map((world) => world.seek(t)));
            const number = comparison.differing.size;
            if (number !== (steps[steps.length - 1]?.[1] ?? 0)) steps.push([t, number]);
        }
        return steps;
    }
}

function sameState(a, b) {
    if (!a.state || !b.state) return !a.state === !b.state;
    const keys = new Set([...Object.keys(a.state), ...Object.keys(b.state)]);
    for (const key of keys) {
        const [left, right] = [a.state[key], b.state[key]];
        const equal = key === "node" || key === "nominated" ? a.history.value(key, left) === b.history.value(key, right) : same(left, right);
        if (!equal) return false;
    }
    return true;
}
