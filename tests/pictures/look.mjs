// Opens each page in Chromium, holds true what `run` promises, and prints how fast it was.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

import { serve } from "./server.mjs";

const { TOOLS, SHOTS } = process.env;
const require = createRequire(join(TOOLS, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const template = new URL("../../kit/cluster/src/recording/page/page.html", import.meta.url);

/** A page's file: a recording is put where the page has room for it. */
function pageOf(file) {
    if (!file.endsWith(".json")) return { file, recording: embedded(readFileSync(file, "utf8")) };
    const recording = readFileSync(file, "utf8");
    const page = readFileSync(template, "utf8").replace("/*RECORDING*/", () => recording.replaceAll("<", "\\u003c"));
    const target = join(TOOLS, `${basename(file, ".json")}.html`);
    writeFileSync(target, page);
    return { file: target, recording: JSON.parse(recording) };
}

function embedded(html) {
    const found = html.match(/<script type="application\/json" id="recording">([\s\S]*?)<\/script>/);
    if (!found) throw new Error("holds no recording");
    return JSON.parse(found[1]);
}

const percentile = (list, part) => list.toSorted((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * part))] ?? 0;

/** The time that the page shows, in seconds. */
const shownTime = (page) => page.evaluate(() => window.recordingPage.clock.t);

async function open(browser, file, { width, scheme, hash = "" }) {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: scheme, bypassCSP: true });
    const page = await context.newPage();
    const errors = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(error.stack || error.message));
    page.on("request", (request) => /^(file|data|blob):/.test(request.url()) || errors.push(`asked the network for ${request.url()}`));
    await page.goto(pathToFileURL(file).href + hash);
    await page.waitForSelector("html[data-drawn]", { timeout: 20000 }).catch(() => errors.push("drew nothing within 20 s"));
    return { page, errors, close: () => context.close() };
}

async function play(page) {
    await page.evaluate(() => {
        window.intervals = [];
        let last;
        const tick = (now) => {
            if (last !== undefined) window.intervals.push(now - last);
            last = now;
            requestAnimationFrame(tick);
        };
        const { recordingPage } = window;
        recordingPage.goTo(recordingPage.clock.begin);
        recordingPage.work.length = 0;
        recordingPage.clock.speed = Math.max(1, (recordingPage.clock.end - recordingPage.clock.begin) / 1000 / 8);
        recordingPage.play(true);
        requestAnimationFrame(tick);
    });
    await page.waitForFunction(() => document.documentElement.dataset.playing === "false", undefined, { timeout: 60000 });
    return page.evaluate(() => ({ work: window.recordingPage.work, intervals: window.intervals, t: window.recordingPage.clock.t, end: window.recordingPage.clock.end }));
}

/** What can be done with keys alone, and what is said to those who listen. */
async function keys(page, expect) {
    const ask = (code) => page.evaluate(code);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("Home");
    const begin = await shownTime(page);
    await page.keyboard.press(".");
    const first = await ask(() => window.recordingPage.clock.next(window.recordingPage.clock.begin));
    const end = await ask(() => window.recordingPage.clock.end);
    expect((await shownTime(page)) === (first ?? end), `"." goes to ${await shownTime(page)} and not to the first change, ${first}`);
    await page.waitForFunction(() => document.getElementById("spoken").textContent.startsWith("t="), undefined, { timeout: 3000 }).catch(() => expect(false, "a step is not said"));
    await page.keyboard.press(",");
    expect((await shownTime(page)) === begin, '"," does not go back');
    const marks = await ask(() => window.recordingPage.histories[0].marks.filter((mark) => mark.t > window.recordingPage.clock.t).length);
    await page.keyboard.press("]");
    if (marks) expect(await ask(() => window.recordingPage.histories.some((history) => history.marks.some((mark) => mark.t === window.recordingPage.clock.t)) || window.recordingPage.parts?.t === window.recordingPage.clock.t), '"]" does not go to a mark');
    await page.keyboard.press("+");
    expect((await ask(() => !window.recordingPage.timeline.whole)) || end - begin < 50, '"+" does not zoom');
    await page.keyboard.press("0");
    expect(await ask(() => window.recordingPage.timeline.whole), '"0" does not show the whole');
    await page.keyboard.press("?");
    expect(await page.locator("#help").isVisible(), '"?" does not help');
    await page.keyboard.press("Escape");
    await page.keyboard.press("End");
    await page.keyboard.press("c");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    const focused = await ask(() => window.recordingPage.pictures[0].focused);
    if (focused !== undefined) {
        await page.keyboard.press("Enter");
        const selected = await ask(() => window.recordingPage.selectedIn(0));
        expect(selected === focused, "Enter in the picture chooses nothing");
        expect((await page.locator("#spoken").innerText()).length > 0, "what is chosen is not said");
        await page.keyboard.press("Escape");
        expect((await ask(() => window.recordingPage.selectedLabel)) === undefined, "Esc lets go of nothing");
    }
    await page.keyboard.press("/");
    await page.keyboard.type("pod/");
    expect(await ask(() => window.recordingPage.log.entries.every((entry) => entry.label === "" || entry.label.includes("pod/"))), "the filter does not hold for the log");
    await page.keyboard.press("Control+A");
    await page.keyboard.press("Delete");
    await page.keyboard.press("Escape");
}

/** What axe-core finds serious on a page as it stands. What fades in or out is neither here nor there, and has its end first. */
async function barriers(page) {
    await page.emulateMedia({ reducedMotion: "reduce" });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
    return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, impact, nodes }) => `axe ${id} (${impact}): ${nodes[0].target} ${nodes[0].any[0]?.message ?? ""}`);
}

async function look(browser, given) {
    const wrong = [];
    const { file, recording } = pageOf(given);
    const name = basename(file, ".html");
    const expect = (holds, words) => holds || wrong.push(words);
    const facts = [];

    for (const [width, scheme] of [[1200, "light"], [1200, "dark"], [400, "light"], [400, "dark"]]) {
        const where = `${width} px, ${scheme}`;
        const { page, errors, close } = await open(browser, file, { width, scheme });
        if (errors.length === 0) {
            if (recording.parts) {
                const t = await shownTime(page);
                expect(t === recording.parts.t, `${where}: stands at ${t} ms and not at the divergence, ${recording.parts.t} ms`);
                const parts = page.locator("#parts");
                expect(await parts.isVisible(), `${where}: does not show where they part`);
                const text = await parts.innerText();
                for (const line of [...recording.parts.expected, ...recording.parts.yours].slice(0, 4)) {
                    expect(text.includes(line.trim()), `${where}: does not show the line "${line}"`);
                }
                const differing = await page.evaluate(() => window.recordingPage.comparison.differing.size);
                if (facts.length === 0) facts.push(`${differing} differ at t=${t} ms`);
            }
            const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            expect(sideways <= 0, `${where}: ${sideways} px of sideways scrolling`);
            const painted = await page.evaluate(() => {
                const canvas = document.querySelector(".field canvas");
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return data.some((value) => value !== 0);
            });
            expect(painted || !(recording.objects ?? recording.recordings[0].objects).some((object) => object.kind === "Node"), `${where}: the picture is empty`);
            if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}-${width}-${scheme}.png`) });
            if (width === 1200 && scheme === "light") {
                const first = await page.evaluate(() => performance.getEntriesByName("first picture")[0].startTime);
                const { work, intervals, t, end } = await play(page);
                expect(t === end, `stops at ${t} ms and not at the end, ${end} ms`);
                const ms = (number) => number.toFixed(1);
                facts.push(`first picture ${Math.round(first)} ms`);
                facts.push(`script per frame ${ms(percentile(work, 0.5))} ms, 95% ${ms(percentile(work, 0.95))} ms, most ${ms(Math.max(...work))} ms`);
                facts.push(`between frames ${ms(percentile(intervals, 0.5))} ms, 95% ${ms(percentile(intervals, 0.95))} ms (${intervals.length} frames)`);
            }
            if (width === 1200 && scheme === "dark") await keys(page, (holds, words) => expect(holds, `keys: ${words}`));
            for (const tab of await page.locator("#tabs [role=tab]").all()) {
                await tab.click();
                for (const words of await barriers(page)) wrong.push(`${where}, ${await tab.innerText()}: ${words}`);
            }
        }
        for (const error of errors) wrong.push(`${where}: ${error}`);
        await close();
    }

    // A link leads to its instant and its object.
    const objects = (recording.recordings?.[0] ?? recording).objects;
    const pod = objects.find((object) => object.kind === "Pod");
    if (pod) {
        const label = `pod/${pod.namespace && pod.namespace !== "default" ? `${pod.namespace}/` : ""}${pod.name}`;
        const { page, errors, close } = await open(browser, file, { width: 1200, scheme: "light", hash: `#t=3s&sel=${label}` });
        if (errors.length === 0) {
            const end = await page.evaluate(() => window.recordingPage.clock.end);
            expect((await shownTime(page)) === Math.min(3000, end), "a link's time is not shown");
            expect((await page.locator(".details-panel h2").innerText()) === label, "a link's object is not shown");
        }
        for (const error of errors) wrong.push(`link: ${error}`);
        await close();
    }
    console.log(`${wrong.length ? "✗" : "✓"} ${name}: ${facts.join(" · ")}`);
    for (const words of new Set(wrong)) console.log(`    ${words}`);
    return wrong.length === 0;
}

/** A page that a live cluster serves: it follows the end, takes in what is new, and asks for faults in the form of a timeline's steps. */
async function live(browser, recording) {
    const wrong = [];
    const expect = (holds, words) => holds || wrong.push(words);
    const server = await serve(readFileSync(template, "utf8"), recording);
    const page = await (await browser.newContext({ viewport: { width: 1200, height: 800 } })).newPage();
    page.on("console", (message) => message.type() === "error" && !/400/.test(message.text()) && wrong.push(message.text()));
    page.on("pageerror", (error) => wrong.push(error.stack || error.message));
    await page.goto(server.url);
    await page.waitForSelector("html[data-drawn]");
    await page.waitForFunction((end) => window.recordingPage.clock.t >= end, recording.end, { timeout: 10000 }).catch(() => wrong.push("does not follow the end"));
    const objects = await page.evaluate(() => window.recordingPage.histories[0].objects.filter((object) => object.kind !== "Member" && object.kind !== "Process").length);
    expect(objects === recording.objects.length, `knows ${objects} objects of ${recording.objects.length}`);
    await page.keyboard.press("Home");
    expect((await shownTime(page)) === 0, "does not let go of the end");
    await page.getByRole("button", { name: "jump to now" }).click();
    await page.waitForFunction((end) => window.recordingPage.clock.t >= end, recording.end, { timeout: 5000 }).catch(() => wrong.push("does not jump to now"));
    const node = recording.objects.find((object) => object.kind === "Node").name;
    const choose = (label) => page.evaluate((label) => window.recordingPage.choose(label), label);
    await choose(`node/${node}`);
    await page.getByRole("button", { name: "crash", exact: true }).click();
    const workload = recording.objects.find((object) => object.kind === "Deployment");
    const path = `${workload.namespace}/${workload.name}`;
    await choose(`deployment/${workload.name}`);
    await page.getByRole("button", { name: "scale +1" }).click();
    await page.getByRole("button", { name: "put load on it" }).click();
    await page.getByRole("button", { name: "pause the cluster" }).click();
    await page.getByRole("button", { name: "let the cluster run" }).waitFor({ timeout: 5000 }).catch(() => wrong.push("does not notice the pause"));
    const want = await page.evaluate((name) => window.recordingPage.find(`deployment/${name}`)[0].state.want, workload.name);
    const expected = [["/fault", { crash: node }], ["/fault", { scale: { [`deployment/${path}`]: want + 1 } }], ["/fault", { load: { [path]: 800 } }], ["/speed", { paused: true }]];
    const got = server.asked.map(({ path, body }) => [path, body]);
    expect(JSON.stringify(got) === JSON.stringify(expected), `asks ${JSON.stringify(got)}`);
    expect(server.asked.every(({ type }) => type === "application/json"), "asks without a type");
    wrong.push(...(await barriers(page)));
    if (SHOTS) await page.screenshot({ path: join(SHOTS, "live.png") });
    await page.context().close();
    server.close();
    console.log(`${wrong.length ? "✗" : "✓"} live`);
    for (const words of new Set(wrong)) console.log(`    ${words}`);
    return wrong.length === 0;
}

const executablePath = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
if (!executablePath) {
    console.error("no Chromium: set CHROMIUM, or apt-get install chromium");
    process.exit(2);
}
if (SHOTS) mkdirSync(SHOTS, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
let good = true;
for (const file of process.argv.slice(2)) {
    try {
        good = (await look(browser, file)) && good;
    } catch (error) {
        console.log(`✗ ${file}: ${error.stack}`);
        good = false;
    }
}
const alone = JSON.parse(readFileSync(join(TOOLS, "pair.json"), "utf8")).recordings[0];
try {
    good = (await live(browser, alone)) && good;
} catch (error) {
    console.log(`✗ live: ${error.stack}`);
    good = false;
}
await browser.close();
process.exit(good ? 0 : 1);
