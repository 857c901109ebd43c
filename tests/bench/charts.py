#!/usr/bin/env python3
"""Tables and charts of what the benches measure, for the book: `book/src/speed/`.

Usage: tests/bench/charts.py [--run [NAME…]] [--check]

Each table lies there three times: as data (`.csv`), as the table of a page (`.txt`, in Markdown) and, for some, as a chart
(`.svg`). Without flags tables and charts are made from the data. With `--run` the benches that are named (without names: all)
run first and write the data anew. `--check` writes nothing and says which files aren't what the data gives.
Needs only Python's standard library, and for `--run` what the bench needs.
"""

import argparse, csv, io, math, os, platform, re, subprocess, sys
from collections import namedtuple
from datetime import date
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "book/src/speed"

# A command, what it makes, and how often it runs: what a machine does besides shows in the least and the greatest of a few runs.
Bench = namedtuple("Bench", "command runs tables")
# The bench prints it behind a line that begins with `head`. `columns` are what stands there, parted by at least `gap` blanks;
# `None` is not kept, since it can be worked out or is shown nowhere. `link` leads from the page with the table to its data.
Table = namedtuple("Table", "name head columns page chart gap link", defaults=[None, 1, "speed"])


# Figures in words.

def number(value, digits=2):
    """So many digits as say something: 1,234, 56, 0.19."""
    return f"{value:,.0f}" if value >= 10 ** digits else f"{value:.{digits}g}"


def span(values, write=number):
    """The least and the greatest, or one figure if they are written alike."""
    least, most = write(min(values)), write(max(values))
    return least if least == most else f"{least} – {most}"


def grouped(rows, *keys):
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def one(rows, column, **where):
    """What the rows of one measurement say, which ran once or several times."""
    return [float(row[column]) for row in rows if all(row[key] == value for key, value in where.items())]


def markdown(head, rows, first="---"):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join([first] + ["---:"] * (len(head) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


# Drawings. Colours are the theme's; what a colour tells is told by a shape, a stroke or a word as well.

ACCENT, BACKGROUND = "var(--links, currentColor)", "var(--bg, white)"
WIDTH = 440


class Drawing:
    def __init__(self, height=0):
        self.height, self.label, self.lines = height, "", []

    def line(self, path, colour="currentColor", width=1.0, opacity=None, dashes=None):
        more = (f' stroke-opacity="{opacity}"' if opacity else "") + (f' stroke-dasharray="{dashes}"' if dashes else "")
        self.lines.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{more}/>')

    def text(self, x, y, words, anchor="start", bold=False, small=False, colour="currentColor", over=False):
        more = (f' text-anchor="{anchor}"' if anchor != "start" else "") + (' font-weight="600"' if bold else "")
        more += ' font-size="13"' if small else ""
        # Words over lines stand on a strip of the background.
        more += f' stroke="{BACKGROUND}" stroke-width="8" stroke-linejoin="round" paint-order="stroke"' if over else ""
        self.lines.append(f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}"{more}>{escape(words)}</text>')

    def mark(self, shape, x, y, filled, colour="currentColor"):
        """A point; a hollow one covers the lines behind it."""
        paths = {
            "circle": f"M{x - 4.5:.1f} {y:.1f} a4.5 4.5 0 1 0 9 0 a4.5 4.5 0 1 0 -9 0 z",
            "square": f"M{x - 4:.1f} {y - 4:.1f} h8 v8 h-8 z",
            "triangle": f"M{x:.1f} {y - 5.5:.1f} l5.5 9.5 h-11 z",
        }
        fill = colour if filled else BACKGROUND
        self.lines.append(f'<path d="{paths[shape]}" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>')

    def svg(self):
        head = f'<svg class="chart" viewBox="0 0 {WIDTH} {self.height:g}" role="img" aria-label="{escape(self.label)}" '
        return "\n".join([head + 'xmlns="http://www.w3.org/2000/svg" font-size="14" font-family="inherit">'] +
                         [f"  {line}" for line in self.lines] + ["</svg>", ""])


class Log:
    """An axis on which equal ratios are equally long: from one value and place to another."""

    def __init__(self, least, most, begin, end):
        self.least, self.most, self.begin, self.end = least, most, begin, end

    def __call__(self, value):
        share = math.log(value / self.least) / math.log(self.most / self.least)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, steps=(1,)):
        powers = range(math.floor(math.log10(self.least)), math.ceil(math.log10(self.most)) + 1)
        values = [step * 10.0 ** power for power in powers for step in steps]
        return [value for value in values if self.least * 0.999 <= value <= self.most * 1.001]


def below(value):
    """The power of ten below."""
    return 10.0 ** math.floor(math.log10(value))


def apart(places, least):
    """Labels near their places, in the same order and so far apart that they can be read."""
    order, moved = sorted(range(len(places)), key=lambda at: places[at]), list(places)
    for _ in range(100):
        for upper, lower in zip(order, order[1:]):
            if (gap := least - (moved[lower] - moved[upper])) > 0.01:
                moved[upper], moved[lower] = moved[upper] - gap / 2, moved[lower] + gap / 2
    return moved


def joined(points):
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def frame(drawing, across, up, ticks, unit, what, steps=(1,)):
    """Lines of a chart with two axes: what is measured stands above, where it is measured below."""
    drawing.text(0, 16, unit)
    for value in up.ticks(steps):
        drawing.line(f"M{across.begin - 8:g} {up(value):.1f} H{across.end:g}", opacity=0.2)
        drawing.text(across.begin - 12, up(value) + 4, number(value), "end", small=True)
    for value in ticks:
        drawing.line(f"M{across(value):.1f} {up.begin:g} v5", opacity=0.6)
        drawing.text(across(value), up.begin + 19, number(value), "middle", small=True)
    drawing.text(across.end + 24, up.begin + 19, what, small=True)


# The scheduler.

PODS = {
    "plain": ("plain", "plain", "circle"),
    "antiaffinity": ("anti-affinity by hostname", "anti-affinity", "square"),
    "spread": ("spread by zone", "spread", "triangle"),
}
HERE, UPSTREAM = "here/s", "upstream/s"


def scheduling_page(rows):
    head = ["pods", "nodes", "placed", "upstream, pods/s", "here, pods/s", "ratio", "µs a pod", "peak memory, MiB"]
    lines = []
    for row in rows:
        here, upstream = float(row[HERE]), float(row[UPSTREAM])
        lines.append([
            PODS[row["pods"]][0], *(f"{float(row[key]):,.0f}" for key in ("nodes", "placed", UPSTREAM, HERE)),
            f"{here / upstream:.0f}×", f"{1e6 / here:.1f}", row["peak MiB"],
        ])
    return markdown(head, lines)


def scheduling_chart(rows):
    rates = [float(row[side]) for row in rows for side in (HERE, UPSTREAM)]
    nodes = sorted({float(row["nodes"]) for row in rows})
    across, up = Log(nodes[0], nodes[-1], 76, 326), Log(below(min(rates)), max(rates) * 1.3, 330, 34)
    ratios = [float(row[HERE]) / float(row[UPSTREAM]) for row in rows]
    label = [f"Pods a second against nodes, both on logarithmic axes. Here it is {span(ratios)} times as many as upstream."]
    drawing = Drawing(356)
    frame(drawing, across, up, nodes, "pods a second", "nodes")
    for side, name, colour, dashes in [(UPSTREAM, "upstream", "currentColor", "5 4"), (HERE, "here", ACCENT, None)]:
        ends, lines = [], []
        for kind, (_, short, shape) in PODS.items():
            values = [max(one(rows, side, pods=kind, nodes=f"{count:.0f}")) for count in nodes]
            lines.append((shape, [(across(count), up(value)) for count, value in zip(nodes, values)]))
            ends.append((short, lines[-1][1][-1][1]))
            figures = ", ".join(f"{value:,.0f} with {count:,.0f} nodes" for count, value in zip(nodes, values))
            label.append(f"{short}, {name}: {figures}.")
        # Points cover lines, whichever they belong to.
        for _, points in lines:
            drawing.line(joined(points), colour, 2, dashes=dashes)
        for shape, points in lines:
            [drawing.mark(shape, *point, side == HERE, colour) for point in points]
        places = apart([place for _, place in ends], 17)
        for (short, _), place in zip(ends, places):
            drawing.text(across.end + 14, place + 4, short, colour=colour)
        drawing.text(across.end + 14, min(places) - 14, name, bold=True, colour=colour)
    drawing.label = " ".join(label)
    return drawing.svg()


# A cluster's hour.

def hours(rows):
    """For each size: nodes, pods, writes, seconds that an hour took, and how many times faster than life that is."""
    for (nodes, pods), runs in grouped(rows, "nodes", "pods").items():
        times = one(runs, "times life")
        yield float(nodes), float(pods), one(runs, "writes"), [3600 / each for each in times], times


def rough(value):
    """Two digits of a large number."""
    return f"{float(f'{value:.2g}'):,.0f}"


def controllers_page(rows):
    lines = []
    for (objects,), of in grouped(rows, "objects").items():
        of.sort(key=lambda row: int(row["count"]))
        growth = [row["growth"] for row in of if row["growth"]]
        lines.append([objects, number(int(of[-1]["count"]), 0), number(int(of[-1]["µs"]), 0), ", ".join(growth)])
    return markdown(["objects", "count", "µs an object", "growth"], lines)


def timeline_page(rows):
    lines = [
        [number(nodes, 0), number(pods, 0), span(writes, lambda n: number(n, 0)), span(seconds, "{:.2f}".format), span(times, rough)]
        for nodes, pods, writes, seconds, times in hours(rows)
    ]
    return markdown(["nodes", "pods", "writes", "real seconds", "times life"], lines, "---:")


def timeline_chart(rows):
    sizes = list(hours(rows))
    nodes, seconds = [size[0] for size in sizes], [each for size in sizes for each in size[3]]
    across, up = Log(nodes[0], nodes[-1], 56, 336), Log(min(seconds) * 0.35, max(seconds) * 1.5, 300, 34)
    label = ["Real seconds that an hour of a cluster takes against its nodes, both on logarithmic axes."]
    drawing = Drawing(326)
    frame(drawing, across, up, nodes, "real seconds for one hour", "nodes", (1, 2, 5))
    middles = [math.sqrt(min(size[3]) * max(size[3])) for size in sizes]
    # If twice the nodes took twice the time.
    even = [middles[0] * count / nodes[0] for count in nodes]
    drawing.line(joined([(across(count), up(value)) for count, value in zip(nodes, even)]), dashes="2 4", opacity=0.8)
    drawing.text(across.end + 10, up(even[-1]) - 3, "if it grew as", small=True)
    drawing.text(across.end + 10, up(even[-1]) + 12, "the nodes do", small=True)
    points = [(across(count), up(value)) for count, value in zip(nodes, middles)]
    drawing.line(joined(points), ACCENT, 2)
    for (count, _, _, took, times), (x, y) in zip(sizes, points):
        words, faster = span(took, "{:.2f}".format) + " s", span(times, rough) + " times life"
        if max(took) > min(took):
            drawing.line(f"M{x:.1f} {up(min(took)):.1f} V{up(max(took)):.1f} m-5 0 h10 M{x - 5:.1f} {up(min(took)):.1f} h10", ACCENT, 2)
        drawing.mark("circle", x, y, True, ACCENT)
        # The line rises: it leaves free what is below its first point, and what is left of the others.
        left, place = ("start", (x, y + 26)) if count == nodes[0] else ("end", (x - 12, y - 20))
        drawing.text(*place, words, left, bold=True, over=True)
        drawing.text(place[0], place[1] + 17, faster, left, small=True, over=True)
        label.append(f"{count:,.0f} nodes: {words}, {faster}.")
    label.append(f"If it grew as the nodes do, {nodes[-1]:,.0f} nodes would take {even[-1]:.2f} s.")
    drawing.label = " ".join(label)
    return drawing.svg()


def scale_page(rows):
    whole = lambda value: number(float(value), 0)
    return markdown(["cluster", "processor seconds", "writes", "MiB at most"], [
        [row["cluster"], f"{float(row['processor s']):,.1f}", whole(row["writes"]), whole(row["MiB most"])] for row in rows
    ])


# The stores.

def many(count, what, more="s"):
    return f"{int(count):,} {what}" + ("" if int(count) == 1 else more)


def pivot(rows, corner, across, heading):
    """One line for each store, one column for each count."""
    counts = sorted({row[across] for row in rows}, key=int)
    cell = lambda store, count: one(rows, "per second", **{"store": store, across: count})
    lines = [
        [store, *(span(found, "{:,.0f}".format) if (found := cell(store, count)) else "" for count in counts)]
        for (store,) in grouped(rows, "store")
    ]
    return markdown([corner, *map(heading, counts)], lines)


def stores_page(rows):
    return pivot(rows, "writes a second", "clients", lambda count: many(count, "client"))


def events_page(rows):
    return pivot(rows, "events told a second", "watches", lambda count: many(count, "watch", "es"))


def api_server_page(rows):
    stores = [store for (store,) in grouped(rows, "store")]
    lines = [
        [what, *(span(one(runs, "ms", store=store), "{:,.0f}".format) for store in stores)]
        for (what,), runs in grouped(rows, "what").items()
    ]
    return markdown(["API server, ms", *stores], lines)


def stores_chart(rows):
    all_rates = [float(row["per second"]) for row in rows]
    across = Log(below(min(all_rates)), max(all_rates), 138, 366)
    drawing, y, before = Drawing(), 34, None
    label, begin = ["Writes a second on a logarithmic axis."], y - 8
    drawing.text(0, 16, "writes a second")
    lines = []
    for (store, count), runs in grouped(rows, "store", "clients").items():
        y += 24 if store == before else 34
        lines.append((store if store != before else "", count, one(runs, "per second"), y))
        label.append(f"{store}, {many(count, 'client')}: {span(one(runs, 'per second'), '{:,.0f}'.format)}.")
        before = store
    for value in across.ticks():
        drawing.line(f"M{across(value):.1f} {begin + 14} V{y + 14}", opacity=0.2)
        drawing.text(across(value), y + 30, number(value), "middle", small=True)
    for store, count, rates, y in lines:
        single, middle = int(count) == 1, across(math.sqrt(min(rates) * max(rates)))
        colour = "currentColor" if single else ACCENT
        drawing.text(0, y + 5, store, bold=True)
        drawing.text(across.begin - 10, y + 5, many(count, "client"), "end", small=True, colour=colour)
        drawing.line(f"M{across.begin:g} {y} H{middle:.1f}", colour, 1.5, opacity=0.5, dashes="5 4" if single else None)
        drawing.mark("circle", middle, y, not single, colour)
        drawing.text(middle + 11, y + 5, span(rates, "{:,.0f}".format), small=True, colour=colour, over=True)
    drawing.height, drawing.label = y + 40, " ".join(label)
    return drawing.svg()


# The live cluster.

# What live.py prints, how the page and the chart call it, and how the figure of the real API server is written.
LIVE = [
    ("start to the first `kubectl get nodes`, s", "start to the first `kubectl get nodes`", "start", "about {} to ready"),
    ("list raw, s", "list, raw", "list", "{}"),
    ("get one p50, ms", "get one, p50", "get one", "{}"),
    ("patch one p50, ms", "patch one, p50", "patch one", "{}"),
    ("8 clients create, pods/s", "8 clients create", "8 clients create", "{}"),
    ("kubectl get pods, s", "`kubectl get pods`", "kubectl get pods", "{}"),
    ("of that the server's pages, s", "of that, the server's 20 pages", "", "{}"),
    ("resident, MB", "resident", "memory", "{}"),
    ("one change seen by 1000 watches, s", "one change, seen by 1,000 watches", "", "{}"),
]


def live(rows):
    """For each row of the page: its names, the figures here and there in words, and how many times better it is here."""
    for what, name, short, form in LIVE:
        values, unit = one(rows, "here", what=what), what.rsplit(", ", 1)[1]
        reals = {float(row["real"]) for row in rows if row["what"] == what and row["real"]}
        if not values:
            sys.exit(f"live.csv has no row {what!r}: was there a kubectl when it was measured?")
        times = [value / real if unit.endswith("/s") else real / value for value in values for real in reals]
        there = form.format(f"{span(reals)} {unit}") if reals else ""
        yield name, short, f"{span(values)} {unit}", there, times


def live_page(rows):
    return markdown(["", "here", "real"], [[name, here, real] for name, _, here, real, _ in live(rows)])


def live_chart(rows):
    lines = [(short, *figures) for _, short, *figures in live(rows) if figures[2]]
    all_times = [each for *_, times in lines for each in times]
    across = Log(min(0.3, *all_times), max(2, *all_times), 8, WIDTH - 74)
    height = 50
    label = ["How many times better the live cluster is than a real API server, on a logarithmic axis."]
    drawing = Drawing(46 + height * len(lines))
    drawing.text(across(1) - 8, 16, "← real is better", "end", small=True)
    drawing.text(across(1) + 8, 16, "here is better →", small=True)
    ticks = across.ticks((1, 2, 5))
    for at, (name, here, real, times) in enumerate(lines):
        top = 26 + height * at
        y, better, colour = top + 32, min(times) > 1, ACCENT if min(times) > 1 else "currentColor"
        low, high, middle = across(min(times)), across(max(times)), across(math.sqrt(min(times) * max(times)))
        drawing.text(0, top + 17, name)
        drawing.text(WIDTH, top + 17, f"{here}, real {real}", "end", small=True)
        for value in ticks:
            drawing.line(f"M{across(value):.1f} {top + 24} v16", width=1.5 if value == 1 else 1, opacity=0.9 if value == 1 else 0.25)
        drawing.line(f"M{across(1):.1f} {y} H{middle:.1f}", colour, 1.5, 0.6)
        drawing.line(f"M{low:.1f} {y} H{high:.1f}", colour, 6, 0.5)
        drawing.mark("circle", middle, y, better, colour)
        ratio = span(times, lambda value: f"{value:.1f}" if value < 10 else f"{value:.0f}") + "×"
        drawing.text(max(high, middle + 5, across(1)) + 8, y + 5, ratio, bold=True, colour=colour, over=True)
        label.append(f"{name}: {here} here, {real} real, {ratio}.")
    for value in ticks:
        drawing.text(across(value), drawing.height - 4, "1 (alike)" if value == 1 else f"{value:g}×", "middle", small=True)
    drawing.label = " ".join(label)
    return drawing.svg()


# The DNS server.

def dns_page(rows):
    ratio = lambda row: f"{float(row['here']) / float(row['dnsmasq']):.2g}×"
    return markdown(["", "here", "dnsmasq", "ratio"], [
        [row["what"], f"{float(row['here']):,.0f}", f"{float(row['dnsmasq']):,.0f}", ratio(row)] for row in rows
    ])


BENCHES = {
    "scheduling": Bench("cargo bench -p kit-scheduler --bench scheduling", 1, [
        Table("scheduling", "pods ", ["pods", "nodes", "placed", UPSTREAM, HERE, None, None, "peak MiB"], scheduling_page, scheduling_chart),
    ]),
    "timeline": Bench("cargo bench -p kit-cluster --bench timeline", 3, [
        Table("timeline", "nodes ", ["nodes", "pods", "writes", None, "times life", None, None, None], timeline_page, timeline_chart),
    ]),
    "scale": Bench("cargo bench -p kit-cluster --bench scale", 1, [
        Table("scale", "cluster ", ["cluster", "real s", "processor s", "writes", "MiB most"], scale_page, gap=2),
    ]),
    "controllers": Bench("cargo bench --profile dev -p kit-cluster --bench controllers", 1, [
        Table("controllers", "objects ", ["objects", "count", "writes", None, "µs", "growth"], controllers_page, gap=2),
    ]),
    "stores": Bench("cargo bench -p kit-etcd --bench stores --features client", 1, [
        Table("stores", "writes ", ["store", "clients", "per second"], stores_page, stores_chart, link="../speed"),
        Table("stores_events", "events ", ["store", "watches", "writes", "per second"], events_page, link="../speed"),
        Table("stores_api_server", "API server ", ["store", "what", "ms"], api_server_page, gap=2, link="../speed"),
    ]),
    "live": Bench("tests/bench/live.py", 3, [
        Table("live", "here ", ["what", "here", "real", None], live_page, live_chart, gap=2),
    ]),
    "dns": Bench("tests/bench/dns.py", 1, [
        Table("dns", "here ", ["what", "here", "dnsmasq", None], dns_page, gap=2),
    ]),
}


# Data.

def parsed(table, text):
    """The rows of a table that a bench printed."""
    lines = iter(text.splitlines())
    if not any(line.strip().startswith(table.head) for line in lines):
        sys.exit(f"the bench printed no table that begins with {table.head!r}:\n{text}")
    rows = []
    for line in lines:
        if not line.strip():
            break
        words = re.split(rf"\s{{{table.gap},}}", line.strip())
        words += [""] * (len(table.columns) - len(words))
        rows.append({column: word for column, word in zip(table.columns, words) if column})
    return rows


def machine():
    """What a reader has to know about the machine that measured."""
    models = re.findall(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text()) if Path("/proc/cpuinfo").exists() else []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, {memory:.0f} GB, {platform.system()}"


def run(bench):
    """Runs a bench and writes what it measured."""
    texts = []
    for _ in range(bench.runs):
        print(f"$ {bench.command}", file=sys.stderr)
        done = subprocess.run(bench.command.split(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"the bench failed, the data is as it was: {bench.command}")
        texts.append(done.stdout)
    for table in bench.tables:
        rows = [row for text in texts for row in parsed(table, text)]
        if "real" in table.columns:
            keep_real(rows, data(table)[1])
        # What can't be shown doesn't replace what can.
        table.page(rows)
        out = io.StringIO()
        out.write(f"# Measured on {date.today().isoformat()}: {machine()}\n# {bench.command}\n")
        writer = csv.DictWriter(out, list(filter(None, table.columns)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        (FOLDER / f"{table.name}.csv").write_text(out.getvalue())


def keep_real(rows, known):
    """No run measures the real API server. live.py prints its figures with three digits, and not all."""
    real = {row["what"]: row["real"] for row in known if row["real"]}
    for row in rows:
        old = real.get(row["what"])
        if old and (not row["real"] or math.isclose(float(old), float(row["real"]), rel_tol=0.005)):
            row["real"] = old


def data(table):
    """When and on what it was measured, and the rows."""
    file = FOLDER / f"{table.name}.csv"
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        sys.exit(f"{file}: {error.strerror}. Run tests/bench/charts.py --run")
    notes = [line.lstrip("# ") for line in lines if line.startswith("#")]
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    columns = list(filter(None, table.columns))
    if not notes or not rows or any(row.get(column) is None for row in rows for column in columns):
        sys.exit(f"{file}: it needs a line `# Measured on …`, the columns {', '.join(columns)}, and rows")
    return notes[0], rows


def made(bench):
    """The files that the data of a bench gives. Its last table says where all come from."""
    for table in bench.tables:
        measured, rows = data(table)
        text = table.page(rows)
        if table is bench.tables[-1]:
            links = ", ".join(f"[{each.name}.csv]({each.link}/{each.name}.csv)" for each in bench.tables)
            text += f"\n*{measured}. The data: {links}.*\n"
        yield FOLDER / f"{table.name}.txt", text
        if table.chart:
            yield FOLDER / f"{table.name}.svg", table.chart(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs="*", metavar="NAME", help=f"run these benches first: {', '.join(BENCHES)}; without names, all")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file is not what the data gives")
    args = parser.parse_args()
    if args.run is not None and args.check:
        parser.error("--check writes nothing, and --run does: one of them")
    for name in args.run or (BENCHES if args.run is not None else []):
        if name not in BENCHES:
            parser.error(f"there is no bench {name}; there are {', '.join(BENCHES)}")
        run(BENCHES[name])
    stale = 0
    for bench in BENCHES.values():
        for file, text in made(bench):
            if args.check and (not file.exists() or file.read_text() != text):
                stale += 1
                print(f"{file.relative_to(ROOT)} is not what its data gives: run tests/bench/charts.py")
            elif not args.check:
                file.write_text(text)
    sys.exit(stale > 0)


main()
