// What the page knows of a recording, without a browser.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Clock } from "../../kit/cluster/src/recording/page/clock.mjs";
import { History, lookOf } from "../../kit/cluster/src/recording/page/history.mjs";
import { parseSpan, span } from "../../kit/cluster/src/recording/page/words.mjs";
import { Comparison, World } from "../../kit/cluster/src/recording/page/world.mjs";

const objects = [
    { kind: "Node", name: "node-1" },
    { kind: "Deployment", namespace: "default", name: "web" },
    { kind: "ReplicaSet", namespace: "default", name: "web-1", owner: 1 },
    { kind: "Pod", namespace: "default", name: "web-1-a", owner: 2 },
    { kind: "Pod", namespace: "shop", name: "web-1-b", owner: 2 },
];
const recording = {
    recording: 1,
    by: ["kubelet"],
    objects,
    changes: [
        [-5, 0, 0, { ready: true }],
        [0, 3, 0, { phase: "Pending" }],
        [10, 3, 0, { node: 0 }],
        [10, 4, 0, { phase: "Pending" }],
        [20, 3, 0, { phase: "Running", status: "Running", ready: true }],
        [30, 4, 0, { node: 0, phase: "Running", status: "Running" }],
        [40, 3, 0, { gone: true }],
        [50, 3, 0, { phase: "Pending", ready: null }],
    ],
    marks: [{ t: 0, kind: "step", text: "apply" }],
    plane: [
        [0, { leader: "a", members: { a: "leader", b: "follower" }, leads: { "kube-scheduler": "a" }, said: { etcd: "2 of 2 members" } }],
        [25, { leader: "b", members: { a: "down", b: "leader" }, leads: { "kube-scheduler": null }, said: { etcd: "2 of 2 members" } }],
    ],
    end: 100,
};

test("the page that is built into the program is what its sources make", () => {
    const build = fileURLToPath(new URL("../../kit/cluster/src/recording/page/build", import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [build, "--check"], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
});

test("times are written as kubectl does, and read again", () => {
    for (const [ms, text] of [[0, "0s"], [355000, "5m55s"], [1284, "1.284s"], [600000, "10m0s"], [100, "100ms"], [3600000, "1h0m0s"], [-50, "-50ms"]]) {
        assert.equal(span(ms), text);
        assert.equal(parseSpan(text), ms);
    }
    assert.equal(parseSpan("soon"), undefined);
    assert.equal(parseSpan("42"), 42000);
});

test("a world is the same at t from whichever side it is reached", () => {
    const history = new History(recording);
    const picture = (world) => JSON.stringify([history.objects.map((_, id) => world.stateOf(id) ?? null), [...world.pods].map(([node, set]) => [node, [...set].sort()]).sort()]);
    const fresh = (t) => {
        const world = new World(history);
        world.seek(0);
        world.seek(t);
        return picture(world);
    };
    const wandering = new World(history);
    wandering.seek(0);
    for (const t of [20, 5, 100, 0, 45, 44, 40, 39, 10, 50, 25]) {
        wandering.seek(t);
        const full = (text) => text.replaceAll(/\[-?\d+,\[\]\],?/g, "").replaceAll(",]", "]");
        assert.equal(full(picture(wandering)), full(fresh(t)), `at ${t}`);
    }
});

test("null takes a field away, gone takes all, and a name may come back", () => {
    const history = new History(recording);
    const world = new World(history);
    world.seek(20);
    assert.equal(lookOf(world.stateOf(3)), "ready");
    world.seek(40);
    assert.equal(world.stateOf(3), undefined);
    world.seek(50);
    assert.deepEqual(world.stateOf(3), { phase: "Pending" });
    assert.deepEqual([...world.podsOn(0)], [4]);
});

test("pods keep their places, and a free one is taken again", () => {
    const history = new History(recording);
    const world = new World(history);
    world.seek(30);
    assert.equal(world.slotOf(3), 0);
    assert.equal(world.slotOf(4), 1);
    world.seek(45);
    assert.equal(world.slotOf(4), 1);
});

test("members of the control plane are objects, and a member without change has none", () => {
    const history = new History(recording);
    const world = new World(history);
    world.seek(25);
    assert.equal(world.stateOf(history.byLabel.get("member/b")).role, "leader");
    assert.equal(world.stateOf(history.byLabel.get("member/a")).role, "down");
    assert.equal(world.stateOf(history.byLabel.get("process/kube-scheduler")).leader, "nobody");
    assert.equal(history.ofObject[history.byLabel.get("process/etcd")].length, 1);
});

test("pieces of a live cluster come to the same as the whole", () => {
    const whole = new History(recording);
    const grown = new History({ ...recording, objects: objects.slice(0, 4), changes: recording.changes.slice(0, 3), plane: recording.plane.slice(0, 1), end: 10 });
    grown.grow({ objects: [[4, objects[4]]], changes: recording.changes.slice(3), plane: recording.plane.slice(1), end: 100 });
    const [a, b] = [whole, grown].map((history) => {
        const world = new World(history);
        world.seek(60);
        return [...history.byLabel.keys()].sort().map((label) => {
            const state = world.stateOf(history.byLabel.get(label));
            return [label, state && Object.fromEntries(Object.entries(state).map(([key, value]) => [key, history.value(key, value)]))];
        });
    });
    assert.deepEqual(a, b);
    assert.deepEqual(grown.moments, whole.moments);
});

test("the tree of an owner and the owners of a pod", () => {
    const history = new History(recording);
    assert.deepEqual([...history.tree(1)].sort(), [1, 2, 3, 4]);
    assert.deepEqual(history.owners(3), [2, 1]);
    assert.equal(history.objects[4].label, "pod/shop/web-1-b");
});

test("two worlds differ where a state, or a node's name, does", () => {
    const other = structuredClone(recording);
    other.objects.unshift({ kind: "Node", name: "node-0" });
    for (const object of other.objects) if (object.owner !== undefined) object.owner += 1;
    for (const change of other.changes) {
        change[1] += 1;
        if (change[3].node !== undefined) change[3].node = 1;
    }
    other.changes[5][3].node = 0;
    const worlds = [new World(new History(recording)), new World(new History(other))];
    const comparison = new Comparison(...worlds);
    const at = (t) => {
        comparison.update(worlds.map((world) => world.seek(t)));
        return [...comparison.differing];
    };
    assert.deepEqual(at(20), []);
    assert.deepEqual(at(35), ["pod/shop/web-1-b"]);
    assert.deepEqual(at(20), []);
    assert.deepEqual(comparison.overTime(), [[30, 1]]);
});

test("a silence is left out, up to a breath before the next change", () => {
    const history = new History({ ...recording, changes: [[0, 0, 0, { ready: true }], [60000, 0, 0, { ready: false }]], plane: [], end: 60000 });
    const clock = new Clock([history]);
    clock.speed = 1;
    clock.playing = true;
    clock.pass(0.016);
    assert.equal(clock.t, 60000 - 350);
    clock.pass(1);
    assert.equal(clock.t, 60000);
    assert.equal(clock.playing, false);
    assert.equal(clock.previous(60000), 0 < history.moments.length ? history.moments[history.moments.length - 2] : undefined);
});
