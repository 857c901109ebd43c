// The one clock of the page: where in the recording we are, and how time goes on.

import { after } from "./words.mjs";

export const speeds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** A silence of more than this many seconds in front of the screen is left out. */
const patience = 1.2;
/** So much of it is still shown, that one sees what comes. */
const breath = 0.35;

export class Clock {
    constructor(histories) {
        this.histories = histories;
        this.playing = false;
        this.following = false;
        this.skipping = true;
        this.skipped = 0;
        this.t = this.begin;
        // The whole is over in a minute or less, where a speed allows it.
        this.speed = speeds.find((speed) => (this.end - this.begin) / 1000 / speed <= 60) ?? 1000;
    }

    get begin() {
        return Math.min(...this.histories.map((history) => history.begin));
    }

    get end() {
        return Math.max(...this.histories.map((history) => history.end));
    }

    /** The first moment after `t` at which anything happens; undefined if nothing does. */
    next(t = this.t, lists = this.histories.map((history) => history.moments)) {
        const found = lists.map((list) => list[after(list, t)]).filter((moment) => moment !== undefined);
        return found.length ? Math.min(...found) : undefined;
    }

    previous(t = this.t, lists = this.histories.map((history) => history.moments)) {
        const found = lists.map((list) => list[after(list, t - 0.0001) - 1]).filter((moment) => moment !== undefined);
        return found.length ? Math.max(...found) : undefined;
    }

    goTo(t) {
        this.following = false;
        this.t = Math.min(this.end, Math.max(this.begin, t));
    }

    /** Lets `seconds` of real time go by. */
    pass(seconds) {
        if (this.following) {
            this.t = this.end;
            return;
        }
        if (!this.playing) return;
        const rate = this.speed * 1000;
        const to = this.t + seconds * rate;
        const next = this.next() ?? this.end;
        this.skipped = 0;
        if (this.skipping && next - this.t > patience * rate) {
            const jump = next - breath * rate;
            this.skipped = jump - this.t;
            this.t = jump;
        } else this.t = to;
        if (this.t >= this.end) {
            this.t = this.end;
            this.playing = false;
        }
    }

    faster(by) {
        const index = speeds.findIndex((speed) => speed >= this.speed);
        this.speed = speeds[Math.min(speeds.length - 1, Math.max(0, index + by))];
    }
}
