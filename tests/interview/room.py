#!/usr/bin/env python3
"""Holds a mock interview in two browser pages, the candidate's and the interviewer's, and looks whether both follow.

Usage: tests/interview/room.py [--chromium PROGRAM] [--shots FOLDER] [--assets FOLDER]

It builds and starts `interview`'s example `room`, which has a session over a small kit. Chromium is taken from the machine, or
brought by Playwright, which is installed from PyPI into target/. At each stage both pages are looked at in 400 and 1200 pixels: nothing
sticks out, everything that can be pressed has a name, nothing but the room is asked. With --shots all of that is kept as pictures, in light and
dark. With --assets the pages' styles and scripts come from a folder, to try an edit without a build.
"""

import argparse, json, os, re, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PYTHON = TARGET / "interview-python"

try:
    from playwright.sync_api import expect, sync_playwright
except ModuleNotFoundError:
    if Path(sys.prefix) == PYTHON:
        raise
    if subprocess.run([PYTHON / "bin/python", "-c", "import playwright"], stderr=subprocess.DEVNULL).returncode if PYTHON.exists() else True:
        subprocess.run([sys.executable, "-m", "venv", PYTHON], check=True)
        subprocess.run([PYTHON / "bin/pip", "install", "--quiet", "playwright"], check=True)
    os.execv(PYTHON / "bin/python", [PYTHON / "bin/python", __file__, *sys.argv[1:]])

WIDTHS = {400: 860, 1200: 900}
NAMELESS = """() => [...document.querySelectorAll('button, input, textarea, summary, [tabindex]')].filter(node =>
    node.checkVisibility() && node.tabIndex >= 0 && !node.textContent.trim() && !node.ariaLabel && !node.labels?.length).map(node => node.outerHTML)"""
WIDE = """() => document.documentElement.scrollWidth > innerWidth ? ['the page, ' + document.documentElement.scrollWidth] : [...document.querySelectorAll('body *')].filter(node => node.checkVisibility() && !node.closest('.hidden, pre, .wide, .parts')
    && node.getBoundingClientRect().right > innerWidth + 1).map(node => node.outerHTML.slice(0, 120))"""


class Session:
    def __init__(self, args, browser, folder):
        self.args, self.browser, self.folder, self.wrong, self.stage = args, browser, folder, [], 0
        program = TARGET / "debug/examples/room"
        self.process = subprocess.Popen([program, folder], stdout=subprocess.PIPE, text=True)
        self.addresses = [self.process.stdout.readline().strip() for _ in range(2)]
        self.candidate, self.interviewer = (self.open(address) for address in self.addresses)

    def open(self, address):
        page = self.browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: said.type in ("error", "warning") and not self.expected(said.text) and self.wrong.append(said.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith((self.addresses[0].split("/candidate")[0], "data:")) or self.wrong.append(f"asks {asked.url}"))
        if self.args.assets:
            page.route("**/room/*", lambda route: self.from_folder(route))
        page.goto(address)
        return page

    @staticmethod
    def expected(text):
        # A refusal is an answer with 409, which Chromium reports.
        return "409" in text

    def from_folder(self, route):
        name = route.request.url.rsplit("/", 1)[-1]
        for folder in (Path(self.args.assets), Path(self.args.assets).parent):
            if (folder / name).is_file():
                kind = {"css": "text/css", "js": "text/javascript"}[name.rsplit(".")[-1]]
                return route.fulfill(body=(folder / name).read_text(), content_type=kind)
        route.continue_()

    def look(self, name, *pages):
        """At both pages as they stand."""
        self.stage += 1
        for page in pages or (self.candidate, self.interviewer):
            who = next((who for who in ("candidate", "interviewer", "report") if f"/{who}" in page.url), "page")
            for width, height in WIDTHS.items():
                page.set_viewport_size({"width": width, "height": height})
                page.evaluate("() => scrollTo(0, 0)")
                for finder, what in ((WIDE, "sticks out"), (NAMELESS, "has no name")):
                    self.wrong += [f"{name}, {who}, {width} px: {what}: {node}" for node in page.evaluate(finder)]
                if self.args.shots:
                    for scheme in ("light", "dark"):
                        page.emulate_media(color_scheme=scheme)
                        path = Path(self.args.shots) / f"{self.stage:02}-{name}-{who}-{width}-{scheme}.png"
                        page.screenshot(path=path, full_page=True)
                    page.emulate_media(color_scheme="light")

    def end_part(self):
        self.candidate.get_by_role("button", name="End part…").click()
        self.candidate.get_by_role("button", name="End the part").click()


def warm_up(session):
    candidate, interviewer = session.candidate, session.interviewer
    expect(candidate.locator("#title")).to_have_text("Question 1 of 4")
    expect(candidate.locator("#part-left")).to_have_text(re.compile(r"4:5\d|5:00"))
    session.look("one")
    candidate.get_by_role("button", name="Answer").click()
    expect(candidate.locator("#title")).to_have_text("Question 1 of 4")
    # Without a mouse: from the first option on.
    candidate.get_by_role("radio").first.focus()
    while not candidate.get_by_label("Those that tolerate both").is_checked():
        candidate.keyboard.press("ArrowDown")
    candidate.keyboard.press("Enter")
    expect(candidate.locator("#title")).to_have_text("Question 2 of 4")
    expect(candidate.locator("#title")).to_be_focused()
    expect(interviewer.locator("#live")).to_contain_text("✓ Those that tolerate both")
    candidate.get_by_label("NoSchedule", exact=True).check()
    session.look("several")
    candidate.get_by_role("button", name="Answer").click()
    candidate.get_by_label("Number, in s").fill("40")
    session.look("number", candidate)
    candidate.keyboard.press("Enter")
    expect(interviewer.locator("#live")).to_contain_text("✗ 40 s")

    expect(candidate.locator("#title")).to_have_text("Question 4 of 4")
    right = ["The lease is not renewed any more", "Ready becomes Unknown", "The pods leave the endpoints", "The pods are deleted"]
    shown = [item.get_attribute("data-text") for item in candidate.locator(".sort li").all()]
    assert sorted(shown) == sorted(right) and shown != right, shown
    session.look("order", candidate)
    for place, text in enumerate(right):
        up = candidate.get_by_role("button", name=f"Up: {text}")
        up.focus()
        while [item.get_attribute("data-text") for item in candidate.locator(".sort li").all()].index(text) > place:
            candidate.keyboard.press("ArrowUp")
            expect(up).to_be_focused()
    expect(candidate.locator("#news")).to_contain_text("now 3 of 4")
    text = candidate.locator("body").inner_text()
    assert not re.search(r"✓|✗|points are|%", text), f"points before the end: {text}"
    candidate.get_by_role("button", name="Answer").click()
    interviewer.get_by_role("button", name="1 warm-up").click()
    expect(interviewer.locator("#live > ol > li")).to_have_count(4)
    expect(interviewer.locator("#live > ol > li").nth(3)).to_contain_text("✓ The lease is not renewed any more → Ready becomes Unknown")
    session.look("answered", interviewer)
    interviewer.get_by_role("button", name="2 code").click()


def code(session):
    candidate, interviewer = session.candidate, session.interviewer
    expect(candidate.locator("#title")).to_have_text("scheduler/taints")
    path = Path(candidate.locator("#place code").inner_text())
    assert path.is_file(), path
    run = candidate.get_by_role("button", name="Run the grader")
    run.click()
    expect(candidate.locator("#working")).to_have_text("The grader is at work…")
    expect(interviewer.locator("#live")).to_contain_text("The grader is at work…")
    expect(run).to_be_disabled()
    expect(candidate.locator("#results pre")).to_contain_text("refused by dedicated=batch:NoSchedule")
    expect(interviewer.locator("#live pre")).to_contain_text("refused by dedicated=batch:NoSchedule")
    expect(candidate.locator("#price")).to_have_text("Each takes 10 % of this part’s points; 2 are left.")
    candidate.get_by_role("button", name="Take a hint").click()
    expect(candidate.locator("#hints li")).to_have_count(1)
    expect(interviewer.locator("#live")).to_contain_text("1 of 2 hints taken.")
    session.look("code")
    interviewer.get_by_role("button", name="Pause").click()
    expect(candidate.locator("#paused")).to_be_visible()
    expect(run).to_be_disabled()
    session.look("paused", candidate)
    candidate.locator("#resume").click()
    expect(interviewer.get_by_role("button", name="Pause")).to_be_visible()
    path.write_text("// done\n")
    run.click()
    expect(candidate.locator("#results")).to_contain_text("Run 2: ✓ all as expected")
    candidate.get_by_role("button", name="End part…").click()
    expect(candidate.get_by_role("dialog")).to_contain_text("End this part?")
    session.look("sure", candidate)
    candidate.get_by_role("button", name="Go back").click()
    expect(candidate.locator("#title")).to_have_text("scheduler/taints")
    session.end_part()


def incident(session):
    candidate, interviewer = session.candidate, session.interviewer
    expect(candidate.locator("#title")).to_have_text("Checkout is down since the rollout")
    expect(candidate.locator("#title")).to_be_focused()
    expect(candidate.locator("#place code")).to_have_text(f"export KUBECONFIG={session.folder}/checkout/kubeconfig")
    check = candidate.get_by_role("button", name="Check the cluster")
    check.click()
    expect(candidate.locator("#results")).to_contain_text("Check 1: ✗ not healed")
    assert "replicas of checkout are ready" not in candidate.locator("body").inner_text(), "conditions are told after the end"
    expect(interviewer.locator("#live")).to_contain_text("✗ three replicas of checkout are ready")
    session.look("incident")
    (Path(session.folder) / "healed").touch()
    check.click()
    expect(candidate.locator("#results")).to_contain_text("Check 2: ✓ healed")
    candidate.get_by_label("The image can't be pulled").check()
    candidate.get_by_role("button", name="Answer").click()
    expect(candidate.locator("#question")).to_be_hidden()
    expect(interviewer.locator("#live")).to_contain_text("✗ The image can't be pulled")
    session.end_part()


LEASE = "The kubelet renews a lease every 10 s. After 50 s nobody believes that the node is alive."


def design(session):
    candidate, interviewer = session.candidate, session.interviewer
    expect(candidate.locator("#title")).to_have_text("How does Kubernetes handle node failure?")
    answer = candidate.get_by_label("Your answer")
    answer.fill(LEASE + "\n<img src=x onerror=alert(1)>")
    expect(interviewer.locator("#answer")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(candidate.locator("#kept")).to_contain_text("Kept at")
    candidate.get_by_label("Ask for a fact").fill("How many nodes are there?")
    candidate.keyboard.press("Enter")
    expect(candidate.locator("#asked")).to_contain_text("The interviewer has not answered yet.")
    expect(interviewer.locator("#wanted")).to_contain_text("The candidate asks: How many nodes are there?")
    expect(interviewer.locator("#facts li.now")).to_have_count(1)
    interviewer.get_by_label("Search the facts").fill("database")
    expect(interviewer.locator("#facts li:visible")).to_have_count(2)
    interviewer.get_by_label("Search the facts").fill("")
    session.look("asked")
    interviewer.locator("#facts li.now").get_by_role("button").click()
    expect(candidate.locator("#asked")).to_contain_text("400 nodes in three zones")
    interviewer.locator("#probes li").nth(1).get_by_role("button").click()
    expect(candidate.locator("#probes")).to_contain_text("The node of a database is silent.")
    expect(candidate.locator("#news")).to_contain_text("You are asked: The node of a database is silent.")

    # Two windows: one follows the other, and neither overwrites what it has not seen.
    other = session.open(session.addresses[0])
    expect(other.get_by_label("Your answer")).to_have_value(re.compile("renews a lease"))
    answer.press("End")
    answer.press_sequentially(" First.")
    expect(other.get_by_label("Your answer")).to_have_value(re.compile(r"First\."))
    other.get_by_label("Your answer").fill("The other window.")
    answer.fill(LEASE + "\n\nThis window.")
    behind = None
    for _ in range(50):
        behind = next((page for page in (candidate, other) if page.locator("#conflict").is_visible()), None)
        if behind:
            break
        time.sleep(0.1)
    assert behind, "nobody was told that the answer was changed in another window"
    session.look("conflict", behind)
    behind.get_by_role("button", name="This one" if behind is candidate else "The other one").click()
    expect(other.get_by_label("Your answer")).to_have_value(LEASE + "\n\nThis window.")
    expect(interviewer.locator("#answer")).to_have_text(LEASE + "\n\nThis window.")
    other.context.close()

    # A page that is opened again is where it was.
    candidate.reload()
    expect(candidate.get_by_label("Your answer")).to_have_value(LEASE + "\n\nThis window.")
    expect(candidate.locator("#asked")).to_contain_text("400 nodes in three zones")

    # What was selected in the answer becomes the evidence.
    interviewer.evaluate("""() => {
        const text = document.getElementById('answer').firstChild;
        document.getSelection().setBaseAndExtent(text, 0, text, 38);
    }""")
    line = interviewer.locator("fieldset.line").first
    line.get_by_role("radio").nth(3).check()
    expect(line.get_by_role("status")).to_contain_text("quote what it rests on")
    line.get_by_role("button", name="Take the selected text").click()
    expect(line.get_by_label("Evidence")).to_have_value("The kubelet renews a lease every 10 s.")
    expect(line.get_by_role("status")).to_have_text("Kept.")
    session.look("design")
    session.end_part()


def judge(session):
    candidate, interviewer = session.candidate, session.interviewer
    expect(candidate.locator("#over")).to_contain_text("The interviewer gives the marks now.")
    expect(interviewer.locator("#advice")).to_contain_text("All parts have ended.")
    finish = interviewer.get_by_role("button", name="Finish…")
    finish.click()
    expect(interviewer.get_by_role("dialog")).to_contain_text("2 lines have no mark")
    interviewer.get_by_role("button", name="Go back").click()
    lines = interviewer.locator("fieldset.line")
    lines.nth(1).get_by_role("radio").nth(0).check()
    lines.nth(2).get_by_label("Evidence").fill("said: we rehearse it")
    lines.nth(2).get_by_role("radio").nth(4).check()
    expect(interviewer.locator("#score")).to_contain_text("The bar is not reached.")
    session.look("judging")
    finish.click()
    interviewer.get_by_role("dialog").get_by_role("button", name="Finish").click()
    for page in (candidate, interviewer):
        page.wait_for_url("**/report?*")
        expect(page.get_by_role("heading", name="What to study next")).to_be_visible()
        expect(page.locator(".verdict")).to_have_text("The bar was not reached.")
        expect(page.get_by_role("heading", name="Trend over 5 sessions")).to_be_visible()
    assert session.process.wait(timeout=20) == 0, "the room ends with the session"
    session.look("report", candidate)
    report = json.loads((Path(session.folder) / "report.json").read_text())
    assert [part["points"] for part in report["parts"]] == [0.25 * (1 + 1 / 3 + 1), 0.9, 0.7, None], report["parts"]
    assert [line["mark"] for line in report["parts"][3]["rubric"]] == [3, 0, 4]
    assert report["parts"][3]["rubric"][0]["evidence"] == "The kubelet renews a lease every 10 s."
    assert len(report["pauses"]) == 1


def paper(session):
    """The sheet and the report as files."""
    page = session.browser.new_context().new_page()
    for name in ("sheet", "report"):
        page.goto(f"file://{session.folder}/{name}.html")
        session.look(name, page)
        pdf = page.pdf(format="A4", path=Path(session.args.shots) / f"{name}.pdf" if session.args.shots else None)
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 2, f"{name} is printed on one page"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--shots")
    parser.add_argument("--assets")
    args = parser.parse_args()
    if args.shots:
        Path(args.shots).mkdir(parents=True, exist_ok=True)
    if not os.environ.get("BUILT"):
        subprocess.run(["cargo", "build", "--quiet", "--package", "interview", "--example", "room"], cwd=ROOT, check=True)
    if not args.chromium:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        session = Session(args, browser, folder)
        try:
            for stage in (warm_up, code, incident, design, judge, paper):
                stage(session)
                print(f"  ✓ {stage.__name__.replace('_', '-')}", flush=True)
        finally:
            if session.process.poll() is None:
                session.process.send_signal(signal.SIGTERM)
                session.process.wait(timeout=10)
            browser.close()
    for wrong in session.wrong:
        print(f"  ✗ {wrong}")
    sys.exit(1 if session.wrong else 0)


main()
