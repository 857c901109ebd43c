// A stand-in for a live cluster: serves the page with the first seconds of a recording and gives the rest piece by piece, as
// `cluster up --ui` does. What the page asks it to do is kept.

import { createServer } from "node:http";

export async function serve(page, recording, { from = 5000, every = 60 } = {}) {
    const upTo = (list, t, of) => list.filter((item) => of(item) <= t);
    const { changes, events, marks, reasons, plane, objects } = recording;
    const early = objects.slice(0, objects.findIndex((_, id) => changes.some((change) => change[1] >= id && change[0] > from && !changes.some((other) => other[1] === change[1] && other[0] <= from))));
    const known = early.length;
    const so = {
        ...recording,
        live: true,
        next: 1,
        end: from,
        objects: early,
        changes: upTo(changes, from, (change) => change[0]).filter((change) => change[1] < known),
        events: [],
        marks: upTo(marks, from, (mark) => mark.t),
        reasons: [],
        plane: upTo(plane ?? [], from, (entry) => entry[0]),
    };
    const asked = [];
    let paused = false;
    let sent = false;
    const server = createServer(async (request, response) => {
        const { pathname, searchParams } = new URL(request.url, "http://localhost");
        const json = (value, status = 200) => response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
        if (request.method === "POST") {
            let body = "";
            for await (const chunk of request) body += chunk;
            asked.push({ path: pathname, type: request.headers["content-type"], body: JSON.parse(body) });
            if (asked.at(-1).body.crash === "nobody") return json({ error: "There is no node of this name." }, 400);
            if ("paused" in asked.at(-1).body) paused = asked.at(-1).body.paused;
            return json({ said: `t=5s  ${body}` });
        }
        if (pathname === "/recording") return json(so);
        if (pathname !== "/changes") {
            return response.writeHead(200, { "Content-Type": "text/html" }).end(page.replace("/*RECORDING*/", () => JSON.stringify(so).replaceAll("<", "\\u003c")));
        }
        await new Promise((wake) => setTimeout(wake, every));
        const next = Number(searchParams.get("since")) + 1;
        const clock = { now: recording.end, speed: 10, paused };
        if (sent) return json({ recording: 1, since: next - 1, next, end: recording.end, by: [], objects: [], changes: [], events: [], marks: [], reasons: [], plane: [], clock });
        sent = true;
        const later = (list, of) => list.filter((item) => of(item) > from);
        json({
            recording: 1,
            since: next - 1,
            next,
            end: recording.end,
            by: [],
            objects: objects.slice(known).map((object, index) => [known + index, object]),
            changes: changes.filter((change) => change[0] > from || change[1] >= known),
            events: later(events, (event) => event[0]),
            marks: later(marks, (mark) => mark.t),
            reasons: later(reasons, (reason) => reason.t),
            plane: later(plane ?? [], (entry) => entry[0]),
            clock,
        });
    });
    await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
    return { url: `http://127.0.0.1:${server.address().port}/`, asked, close: () => server.closeAllConnections?.() ?? server.close() };
}
