// Makes recordings that need no cluster: `node made.mjs large >large.json`. The large one is what the page is measured with:
// 100 nodes in three zones, 1,000 pods, an hour with a rollout, a lost zone, a crash loop and an election. `pair` is a small
// one beside itself with a wrong scheduler, and the others show one thing each.

/** The same numbers on every machine (mulberry32). */
function chance(seed) {
    let state = seed;
    return () => {
        state = (state + 0x6d2b79f5) | 0;
        let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
}

class Cluster {
    constructor({ title, why, nodes, seed = 7, wrong = false }) {
        this.random = chance(seed);
        this.wrong = wrong;
        this.writers = ["kube-apiserver", "kube-scheduler", "kubelet", "kube-controller-manager", "kubectl"];
        this.out = { recording: 1, kubernetes: "1.33", title, why, epoch: "2026-01-01T00:00:00Z", end: 0, live: false, by: this.writers };
        for (const list of ["objects", "changes", "events", "marks", "reasons", "plane"]) this.out[list] = [];
        this.nodes = [];
        for (let number = 1; number <= nodes; number += 1) {
            const id = this.object({ kind: "Node", name: `node-${number}`, zone: `zone-${"abc"[number % 3]}` });
            this.change(-30000, id, 0, { ready: true, cpu: 8000, memory: 32 * 2 ** 30 });
            this.nodes.push({ id, pods: new Set(), down: false, zone: "abc"[number % 3] });
        }
    }

    object(object) {
        return this.out.objects.push(object) - 1;
    }

    change(t, id, by, state) {
        this.out.changes.push([Math.round(t), id, by, state]);
        this.out.end = Math.max(this.out.end, t);
    }

    event(t, id, type, reason, message) {
        this.out.events.push([Math.round(t), id, type, reason, message, 1]);
    }

    mark(t, kind, text, about = []) {
        this.out.marks.push({ t, kind, text, about });
    }

    name() {
        return Array.from({ length: 5 }, () => "bcdfghjklmnpqrstvwxz2456789"[Math.floor(this.random() * 27)]).join("");
    }

    workload(t, name, want) {
        const deployment = this.object({ kind: "Deployment", namespace: "default", name });
        const service = this.object({ kind: "Service", namespace: "default", name });
        this.change(t, deployment, 4, { want, updated: 0, ready: 0, available: 0, revision: 1 });
        this.change(t, service, 4, { endpoints: 0 });
        const set = { name, want, deployment, service, pods: new Map(), replicaSets: [] };
        this.revise(t, set);
        return set;
    }

    revise(t, set) {
        set.replicaSet = this.object({ kind: "ReplicaSet", namespace: "default", name: `${set.name}-${this.name()}`, owner: set.deployment });
        set.replicaSets.push(set.replicaSet);
        this.change(t, set.replicaSet, 3, { want: set.want, pods: 0, ready: 0 });
    }

    count(t, set) {
        const ready = [...set.pods.values()].filter((pod) => pod.ready).length;
        this.change(t, set.deployment, 3, { updated: [...set.pods.values()].filter((pod) => pod.set === set.replicaSet).length, ready, available: ready });
        for (const replicaSet of set.replicaSets) {
            const own = [...set.pods.values()].filter((pod) => pod.set === replicaSet);
            const number = own.filter((pod) => pod.ready).length;
            this.change(t, replicaSet, 3, { want: replicaSet === set.replicaSet ? set.want : 0, pods: own.length, ready: number, available: number });
        }
        this.change(t, set.service, 3, { endpoints: ready, notReady: set.pods.size - ready });
    }

    pod(t, set, { crash = false } = {}) {
        const name = `${this.out.objects[set.replicaSet].name}-${this.name()}`;
        const id = this.object({ kind: "Pod", namespace: "default", name, owner: set.replicaSet });
        const pod = { id, set: set.replicaSet, ready: false, since: Infinity };
        set.pods.set(id, pod);
        this.change(t, id, 3, { phase: "Pending", status: "Pending", cpu: 250, memory: 256 * 2 ** 20 });
        const fitting = this.nodes.filter((node) => !node.down);
        const score = (node) => 100 - node.pods.size * 3 + (this.wrong ? (node.zone === "a" ? 50 : 0) : 0);
        const best = fitting.reduce((a, b) => (score(b) > score(a) ? b : a));
        const lines = ["node      NodeResourcesFit  Spread×2  total"];
        for (const node of fitting.slice(0, 12)) {
            lines.push(`${this.out.objects[node.id].name.padEnd(9)}  ${score(node)}  ${66}  ${score(node) + 132}${node === best ? "  ◀ chosen" : ""}`);
        }
        if (fitting.length > 12) lines.push(`${fitting.length - 12} more nodes fit, with 132 to ${score(best) + 132}`);
        for (const node of this.nodes.filter((node) => node.down).slice(0, 2)) {
            lines.push(`${this.out.objects[node.id].name.padEnd(9)}  TaintToleration: untolerated taint {node.kubernetes.io/unreachable: }`);
        }
        const bound = t + 5 + this.random() * 40;
        this.out.reasons.push({ t: Math.round(bound), id, by: 1, text: `${fitting.length} of ${this.nodes.length} nodes fit; ${this.out.objects[best.id].name} is best with ${score(best) + 132}`, lines });
        this.change(bound, id, 1, { node: best.id });
        this.event(bound, id, "Normal", "Scheduled", `Successfully assigned default/${name} to ${this.out.objects[best.id].name}`);
        best.pods.add(pod);
        pod.node = best;
        this.change(bound + 200, id, 2, { status: "ContainerCreating" });
        const started = bound + 1500 + this.random() * 3000;
        this.change(started, id, 2, { phase: "Running", status: "Running" });
        if (crash) {
            for (let restarts = 1; restarts <= 4; restarts += 1) {
                const at = started + 2 ** restarts * 5000;
                this.change(at, id, 2, { status: "CrashLoopBackOff", restarts });
                this.event(at, id, "Warning", "BackOff", "Back-off restarting failed container app");
            }
            return started;
        }
        const ready = started + 1000 + this.random() * 4000;
        this.change(ready, id, 2, { ready: true });
        pod.ready = true;
        pod.since = ready;
        return ready;
    }

    remove(t, set, pod) {
        this.change(t, pod.id, 3, { status: "Terminating", ready: false });
        pod.node?.pods.delete(pod);
        set.pods.delete(pod.id);
        if (!pod.node?.down) this.change(t + 2000 + this.random() * 3000, pod.id, 2, { gone: true });
        else pod.node.stuck = [...(pod.node.stuck ?? []), pod];
    }

    fill(t, set) {
        let last = t;
        while (set.pods.size < set.want) last = Math.max(last, this.pod(t + this.random() * 1000, set));
        this.count(last, set);
        return last;
    }

    roll(t, set, options = {}) {
        this.mark(t, "step", `apply ${set.name} with a new image`, [set.deployment]);
        const old = [...set.pods.values()];
        this.revise(t, set);
        let at = t;
        for (let first = 0; first < old.length; first += Math.max(1, Math.ceil(set.want / 4))) {
            const batch = old.slice(first, first + Math.max(1, Math.ceil(set.want / 4)));
            let ready = at;
            for (const _ of batch) ready = Math.max(ready, this.pod(at + this.random() * 300, set, options));
            if (options.crash) return at;
            for (const pod of batch) this.remove(ready + 50, set, pod);
            this.count(ready + 60, set);
            at = ready + 200;
        }
        return at;
    }

    lose(t, zone, sets) {
        const lost = this.nodes.filter((node) => node.zone === zone);
        this.mark(t, "fault", `zone-${zone} loses power`, lost.map((node) => node.id));
        for (const node of lost) {
            node.down = true;
            const at = t + 42000 + this.random() * 8000;
            this.change(at, node.id, 3, { ready: "Unknown", taints: ["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"] });
            this.event(at, node.id, "Normal", "NodeNotReady", `Node ${this.out.objects[node.id].name} status is now: NodeNotReady`);
            for (const pod of node.pods) {
                this.change(at, pod.id, 3, { ready: false });
                pod.ready = false;
            }
        }
        for (const set of sets) this.count(t + 51000, set);
        for (const set of sets) {
            for (const pod of [...set.pods.values()].filter((pod) => pod.node?.down)) {
                const at = t + 345000 + this.random() * 10000;
                this.event(at, pod.id, "Normal", "TaintManagerEviction", `Marking for deletion Pod default/${this.out.objects[pod.id].name}`);
                this.remove(at, set, pod);
            }
            this.fill(t + 356000, set);
        }
    }

    heal(t, zone) {
        this.mark(t, "heal", `zone-${zone} is back`);
        for (const node of this.nodes.filter((node) => node.zone === zone)) {
            node.down = false;
            this.change(t + 2000 + this.random() * 3000, node.id, 3, { ready: true, taints: [] });
            for (const pod of node.stuck ?? []) this.change(t + 6000 + this.random() * 4000, pod.id, 2, { gone: true });
            node.stuck = [];
        }
    }

    elect(t, from, to) {
        const members = (roles) => Object.fromEntries([1, 2, 3].map((number) => [`control-plane-${number}`, roles[number - 1]]));
        const roles = [1, 2, 3].map((number) => (number === from ? "leader" : "follower"));
        if (this.out.plane.length === 0) this.out.plane.push([0, { leader: `control-plane-${from}`, members: members(roles), leads: { "kube-scheduler": `control-plane-${from}` }, said: { "kube-apiserver": "serves", etcd: "3 of 3 members, quorum" } }]);
        this.mark(t, "fault", `crash control-plane-${from}`);
        const without = roles.map((role, index) => (index + 1 === from ? "down" : role));
        this.out.plane.push([t + 300, { leader: null, members: members(without), leads: { "kube-scheduler": null }, said: { "kube-apiserver": "does not answer", etcd: "2 of 3 members, nobody leads" } }]);
        this.out.plane.push([t + 1450, { leader: `control-plane-${to}`, members: members(without.map((role, index) => (index + 1 === to ? "leader" : role))), leads: { "kube-scheduler": `control-plane-${to}` }, said: { "kube-apiserver": "serves", etcd: "2 of 3 members, quorum" } }]);
        const back = t + 60000;
        this.mark(back, "heal", `restart control-plane-${from}`);
        this.out.plane.push([back, { leader: `control-plane-${to}`, members: members([1, 2, 3].map((number) => (number === to ? "leader" : "follower"))), leads: { "kube-scheduler": `control-plane-${to}` }, said: { "kube-apiserver": "serves", etcd: "3 of 3 members, quorum" } }]);
    }

    done(end) {
        this.out.changes.sort((a, b) => a[0] - b[0]);
        this.out.events.sort((a, b) => a[0] - b[0]);
        this.out.end = end;
        return this.out;
    }
}

function large() {
    const cluster = new Cluster({ title: "a busy hour", why: "A hundred nodes, a thousand pods, and much that goes wrong in an hour.", nodes: 100 });
    const sets = Array.from({ length: 40 }, (_, index) => cluster.workload(1000 + index * 700, `service-${index + 1}`, 25));
    cluster.mark(1000, "step", "apply 40 deployments");
    sets.forEach((set, index) => cluster.fill(1000 + index * 700, set));
    sets.slice(0, 20).forEach((set, index) => cluster.roll(300000 + index * 25000, set));
    cluster.roll(860000, sets[25], { crash: true });
    // What goes on all day: pods come and go.
    const churn = (from, to) => {
        for (let t = from; t < to; t += 1500) {
            const set = sets[Math.floor(cluster.random() * sets.length)];
            const pod = [...set.pods.values()].find((pod) => pod.since < t);
            if (!pod) continue;
            cluster.remove(t, set, pod);
            cluster.count(cluster.pod(t + 20, set), set);
        }
    };
    churn(60000, 1150000);
    cluster.elect(1000000, 1, 3);
    cluster.lose(1200000, "b", sets);
    cluster.heal(2100000, "b");
    sets.slice(20, 25).forEach((set, index) => cluster.roll(2300000 + index * 60000, set));
    churn(2150000, 3580000);
    return cluster.done(3600000);
}

/** Small ones, each with one thing to see. */
function rollout() {
    const cluster = new Cluster({ title: "a rollout", why: "A new image is rolled out, a quarter at a time.", nodes: 4 });
    const [web, api] = [cluster.workload(1000, "web", 8), cluster.workload(1200, "api", 4)];
    cluster.mark(1000, "step", "apply web.yaml and api.yaml", [web.deployment, api.deployment]);
    cluster.fill(1000, web);
    cluster.fill(1200, api);
    cluster.roll(30000, web);
    cluster.roll(80000, api, { crash: true });
    return cluster.done(180000);
}

function zone() {
    const cluster = new Cluster({ title: "a lost zone", why: "A zone loses power; its pods are replaced five minutes later.", nodes: 9 });
    const web = cluster.workload(1000, "web", 18);
    cluster.mark(1000, "step", "apply web.yaml", [web.deployment]);
    cluster.fill(1000, web);
    cluster.lose(30000, "b", [web]);
    cluster.heal(480000, "b");
    return cluster.done(500000);
}

function election() {
    const cluster = new Cluster({ title: "an election", why: "The host with etcd's leader crashes; another takes over within two seconds.", nodes: 3 });
    const web = cluster.workload(1000, "web", 6);
    cluster.mark(1000, "step", "apply web.yaml", [web.deployment]);
    cluster.fill(1000, web);
    cluster.elect(20000, 1, 3);
    return cluster.done(90000);
}

/** One of each kind that has a state of its own. */
function kinds() {
    const cluster = new Cluster({ title: "all kinds", why: "One of each kind that a recording says something about.", nodes: 3 });
    const web = cluster.workload(1000, "web", 4);
    cluster.mark(1000, "step", "apply everything", [web.deployment]);
    cluster.fill(1000, web);
    const states = {
        StatefulSet: { want: 3, pods: 2, updated: 3, ready: 1, available: 1, conditions: [] },
        DaemonSet: { want: 3, pods: 3, updated: 3, ready: 3, available: 3 },
        Job: { want: 5, pods: 2, ready: 2, succeeded: 1, failed: 1, conditions: ["Suspended False (Resumed)"] },
        CronJob: { pods: 1, schedule: "*/5 * * * *" },
        HorizontalPodAutoscaler: { want: 6, now: 4, least: 2, most: 10, metrics: ["cpu: 80%/50%"], conditions: ["ScalingLimited False (DesiredWithinRange)"] },
        PodDisruptionBudget: { allowed: 1, healthy: 4, desired: 3, pods: 4 },
        PersistentVolumeClaim: { phase: "Bound" },
        ConfigMap: {},
    };
    for (const [kind, state] of Object.entries(states)) cluster.change(1500, cluster.object({ kind, namespace: "shop", name: `my-${kind.toLowerCase()}` }), 3, state);
    cluster.change(1400, cluster.object({ kind: "Namespace", name: "shop" }), 4, { phase: "Active" });
    const hpa = cluster.out.objects.findIndex((object) => object.kind === "HorizontalPodAutoscaler");
    cluster.out.reasons.push({ t: 12000, id: hpa, by: 3, text: "4 → 6 replicas: cpu asks for 6", lines: ["cpu        80% of 50% wanted: 4 × 80 / 50 = 6.4, rounded up 7", "scale up   at most 4 pods or 100% in 15 s: 8", "bounds     2 to 10"] });
    cluster.change(20000, cluster.nodes[2].id, 3, { cordoned: true, taints: ["node.kubernetes.io/unschedulable:NoSchedule"], pressure: ["MemoryPressure"] });
    const waits = cluster.object({ kind: "Pod", namespace: "shop", name: "my-statefulset-2", owner: cluster.out.objects.findIndex((object) => object.kind === "StatefulSet") });
    cluster.change(2000, waits, 3, { phase: "Pending", status: "Pending", cpu: 64000, memory: 2 ** 30, reason: "0/3 nodes are available: 3 Insufficient cpu." });
    cluster.event(2010, waits, "Warning", "FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.");
    cluster.out.reasons.push({ t: 2010, id: waits, by: 1, text: "none of 3 nodes fits", lines: ["node-1   NodeResourcesFit: Insufficient cpu", "node-2   NodeResourcesFit: Insufficient cpu", "node-3   NodeResourcesFit: Insufficient cpu"] });
    for (const [t, name, state] of [[3000, "done", { phase: "Succeeded", status: "Completed" }], [3100, "broken", { phase: "Failed", status: "Error" }]]) {
        cluster.change(t, cluster.object({ kind: "Pod", namespace: "shop", name: `my-job-${name}`, owner: cluster.out.objects.findIndex((object) => object.kind === "Job") }), 2, { node: 0, ...state });
    }
    cluster.mark(25000, "broken", "web.available >= 5", [web.deployment]);
    return cluster.done(30000);
}

/** As little as a recording may hold, and names that look like markup. */
const nothing = () => ({ recording: 1, kubernetes: "1.33", title: "nothing", epoch: "2026-01-01T00:00:00Z", end: 0, live: false, by: [], objects: [], changes: [], events: [], marks: [], reasons: [] });

function odd() {
    const markup = "<img src=x onerror=alert(1)>";
    return {
        ...nothing(),
        title: `odd </script> ${markup}`,
        end: 5000,
        by: ["", markup],
        objects: [{ kind: "Pod", namespace: "a", name: "lonely", owner: 1 }, { kind: "ReplicaSet", namespace: "a", name: "never-seen" }, { kind: "Widget", namespace: "b", name: markup }],
        changes: [[-5, 0, 0, {}], [10, 2, 1, {}], [20, 2, 1, { gone: true }], [30, 2, 0, { deleting: true, finalizers: [markup] }]],
        events: [[5, 1, "Warning", "Odd", markup, 3]],
        marks: [{ t: 0, kind: "note", text: `refused: ${markup}` }],
        reasons: [{ t: 5, id: 0, by: 0, text: markup, lines: [markup] }, { t: 6, id: 0, by: 0, text: "columns", lines: ["a  b", "c  d  e", ""] }],
        lines: [{ t: 0, text: `t=0s  ${markup}` }],
    };
}

const uneven = () => ({ recordings: [nothing(), odd()], names: ["expected", "yours"] });

function pair() {
    const one = (wrong) => {
        const cluster = new Cluster({ title: "spread over zones", why: "Twelve pods are spread over three zones.", nodes: 6, wrong });
        const web = cluster.workload(1000, "web", 6);
        cluster.mark(1000, "step", "apply web.yaml", [web.deployment]);
        cluster.fill(1000, web);
        cluster.wrong = wrong;
        cluster.roll(42000, web);
        return cluster.done(70000);
    };
    const [expected, yours] = [one(false), one(true)];
    const first = yours.changes.find((change, index) => JSON.stringify(change) !== JSON.stringify(expected.changes[index]));
    const line = (recording) => {
        const change = recording.changes.find(([t, id]) => t === first[0] && id === first[1]);
        return `t=${first[0] / 1000}s  pod/${recording.objects[first[1]].name} created → ${recording.objects[change[3].node]?.name}`;
    };
    return { recordings: [expected, yours], names: ["expected", "yours"], parts: { t: first[0], expected: [line(expected)], yours: [line(yours)] } };
}

const makers = { large, pair, rollout, zone, election, kinds, nothing, odd, uneven };
const make = makers[process.argv[2]];
if (!make) {
    console.error(`made.mjs: which one? ${Object.keys(makers).join(" ")}`);
    process.exit(2);
}
process.stdout.write(JSON.stringify(make()));
