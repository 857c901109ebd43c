// A live cluster: what is new is taken in as it comes; faults, speed and pause are asked for.

import { el, say, span } from "./words.mjs";

/** How long to wait before a server that does not answer is asked again. */
const again = 2000;
/** So many changes are kept; a page that stays open for days then begins anew with what the server still has. */
const enough = 300000;

const post = { method: "POST", headers: { "Content-Type": "application/json" } };

/** What may be done to the chosen object: words and the step that says it, as in a timeline. */
function actions(object) {
    const { kind, name, namespace = "default" } = object;
    const host = (...verbs) => verbs.map((verb) => [verb, { [verb]: name }]);
    if (kind === "Node" || kind === "Member") return host("crash", "restart", "partition", "heal");
    if (kind === "Process") return host("pause", "resume");
    if (kind === "Pod") return [["kill (137)", { kill: { [`pod/${namespace}/${name}`]: 137 } }]];
    return [];
}
const scalable = new Set(["Deployment", "ReplicaSet", "StatefulSet"]);

export class Live {
    constructor(page, next) {
        this.page = page;
        this.next = next ?? 0;
        this.clock = { now: page.clock.end, speed: 1, paused: true };
        this.heard = performance.now();
        this.build();
        this.listen();
    }

    /** The recording so far. */
    static async whole() {
        const answer = await fetch("recording");
        if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
        return answer.json();
    }

    build() {
        const button = (words, act, title) => el("button", { onclick: act, title }, words);
        this.state = el("span", { class: "live-state", role: "status" }, "live");
        this.nowButton = button("jump to now", () => this.now(), "n");
        this.pause = button("pause the cluster", () => this.ask("speed", { paused: !this.clock.paused }));
        this.speed = el("select", { "aria-label": "Speed of the cluster", onchange: () => this.ask("speed", { speed: Number(this.speed.value) }) });
        this.speed.append(...[1, 2, 5, 10, 20, 50, 100, 1000].map((value) => el("option", { value }, `cluster at ${value}×`)));
        this.step = button("run 5m", () => this.ask("speed", { step: "5m" }), "Lets five minutes pass at once");
        this.about = el("span", { class: "about", role: "group", "aria-label": "Faults" });
        this.said = el("span", { class: "said", role: "status" });
        const box = document.getElementById("live");
        box.replaceChildren(this.state, this.nowButton, this.pause, this.speed, this.step, this.about, this.said);
        box.hidden = false;
        this.choose();
    }

    /** Offers what may be done to what is chosen. */
    choose() {
        const one = this.page.selectedLabel && this.page.find(this.page.selectedLabel)[0];
        if (!one) {
            this.about.replaceChildren(el("span", { class: "said" }, "Choose a node, a pod, a workload or a host of the control plane to do something to it."));
            return;
        }
        const { object } = one;
        const buttons = actions(object).map(([words, step]) => el("button", { onclick: () => this.ask("fault", step) }, words));
        const path = `${object.namespace ?? "default"}/${object.name}`;
        const want = () => this.page.find(object.label)[0]?.state?.want ?? 0;
        if (scalable.has(object.kind)) {
            const scale = (by) => this.ask("fault", { scale: { [`${object.kind.toLowerCase()}/${path}`]: Math.max(0, want() + by) } });
            buttons.push(el("button", { onclick: () => scale(1) }, "scale +1"), el("button", { onclick: () => scale(-1) }, "scale −1"));
            const load = el("input", { type: "number", min: "0", value: "800", "aria-label": "Load", style: "width: 76px" });
            buttons.push(load, el("button", { onclick: () => this.ask("fault", { load: { [path]: Number(load.value) } }) }, "put load on it"));
        }
        this.about.replaceChildren(el("b", {}, object.label), ...buttons);
    }

    async ask(where, body) {
        try {
            const answer = await fetch(where, { ...post, body: JSON.stringify(body) });
            const { said, error } = await answer.json();
            say(this.said, said ?? error ?? "");
            this.said.classList.toggle("minus", !answer.ok);
        } catch (error) {
            say(this.said, `The cluster doesn't answer: ${error.message}`);
        }
    }

    /** Asks for what is new, for ever; each answer waits until there is something. */
    async listen() {
        for (;;) {
            try {
                const answer = await fetch(`changes?since=${this.next}`);
                if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
                this.take(await answer.json());
            } catch (error) {
                say(this.state, "lost");
                this.state.classList.add("lost");
                this.state.title = error.message;
                await new Promise((wake) => setTimeout(wake, again));
            }
        }
    }

    take(piece) {
        this.state.classList.remove("lost");
        if (piece.again || this.page.histories[0].time.length > enough) {
            Live.whole().then((recording) => this.page.replace(recording));
            return;
        }
        this.next = piece.next;
        this.page.grow(piece);
        if (piece.clock) {
            this.clock = piece.clock;
            this.heard = performance.now();
            say(this.pause, piece.clock.paused ? "let the cluster run" : "pause the cluster");
            this.step.hidden = !piece.clock.paused;
            this.speed.value = piece.clock.speed;
        }
        say(this.state, this.clock.paused ? "paused" : "live");
    }

    /** Time goes on between two answers, too. */
    pass(now) {
        const { clock } = this;
        const history = this.page.histories[0];
        const t = clock.now + (clock.paused ? 0 : (now - this.heard) * clock.speed);
        history.end = Math.max(history.end, Math.round(t));
        this.nowButton.hidden = this.page.clock.following;
        this.state.title = `the cluster is at t=${span(history.end)}`;
    }

    now() {
        const { page } = this;
        page.clock.playing = false;
        page.clock.following = true;
        page.log.following = true;
        page.showPlaying();
        page.redraw();
    }
}
