// Opens each page in Chromium, holds true what `run` promises, and prints how fast it was.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

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
                facts.push(`${differing} differ`);
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
            await page.evaluate(axe);
            for (const tab of await page.locator("#tabs [role=tab]").all()) {
                await tab.click();
                const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
                for (const { id, impact, nodes } of violations) {
                    if (impact !== "serious" && impact !== "critical") continue;
                    wrong.push(`${where}, ${await tab.innerText()}: axe ${id} (${impact}): ${nodes[0].target} ${nodes[0].any[0]?.message ?? ""}`);
                }
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

const executablePath = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
if (!executablePath) {
    console.error("no Chromium: set CHROMIUM, or apt-get install chromium");
    process.exit(2);
}
if (SHOTS) mkdirSync(SHOTS, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
let good = true;
for (const file of process.argv.slice(2)) {
    try {
        good = (await look(browser, file)) && good;
    } catch (error) {
        console.log(`✗ ${file}: ${error.stack}`);
        good = false;
    }
}
await browser.close();
process.exit(good ? 0 : 1);
