#!/usr/bin/env python3
"""Plays the routes and shortcuts of incidents on live clusters: see `tests/kubectl/incidents`, which calls it."""

import argparse, json, os, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "solutions/interviews/incidents"
FAULT = "cargo grade cluster "
# Seconds until a route must have worked.
PATIENCE = 60
# Seconds that a shortcut gets.
GRACE = 3


def play(args, file, incident, number, route, mends):
    """What went wrong, if anything did: a route has to mend it, and a shortcut must not be accepted."""
    name = f"incidents-{os.getpid()}-{incident['name']}-{number}"
    cluster = [args.cluster, "--name", name]
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "PATH": f"{args.tools}:{os.environ['PATH']}", "HOME": folder, "KUBECACHEDIR": f"{folder}/cache",
            "KUBECONFIG": f"{folder}/kubeconfig",
        }
        up = ["up", "--detach", "--incident", file, "--kubeconfig", environment["KUBECONFIG"], "--speed", str(args.speed)]
        began = subprocess.run([*cluster, *up], text=True, capture_output=True)
        if began.returncode:
            return began.stderr
        try:
            check = [*cluster, "check", "--format", "json"]
            if json.loads(subprocess.run(check, text=True, capture_output=True).stdout)["healed"]:
                return "nothing is broken"
            for line in route["kubectl"]:
                command = line.replace(FAULT, " ".join(cluster) + " ")
                run = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180)
                if args.show:
                    print(f"$ {line}\n{run.stdout}", end="")
                if run.returncode:
                    return f"$ {line}\n{run.stdout}"
            hold = ["--hold", incident.get("hold", "30s"), "--wait", str(PATIENCE if mends else GRACE)]
            checked = subprocess.run([*check, *hold], text=True, capture_output=True)
            said = json.loads(checked.stdout or "{}")
            solved = checked.returncode == 0 and said.get("solved")
            if solved and not mends:
                return "it is accepted"
            if mends and not solved:
                seen = [seen for part in ("conditions", "keep", "always") for seen in said.get(part, [])]
                lines = [f"{'✓' if one['holds'] else '✗'} {one['text']}   {one['seen']}" for one in seen]
                return "\n".join(["it is not mended", *lines, checked.stderr])
        finally:
            subprocess.run([*cluster, "down"], stdout=subprocess.DEVNULL)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which incidents; without any, all")
    parser.add_argument("--tools", required=True, help="the folder of kubectl")
    parser.add_argument("--cluster", required=True, help="the program `cluster`")
    parser.add_argument("--speed", type=float, default=40, help="how fast time passes")
    parser.add_argument("--show", action="store_true", help="show what kubectl prints")
    args = parser.parse_args()
    began, failed, jobs = time.time(), 0, []
    files = [FOLDER / f"{name}.yaml" for name in args.names] or sorted(FOLDER.glob("*.yaml"))
    with ThreadPoolExecutor(2) as pool:
        for file in files:
            incident = yaml.safe_load(file.read_text())
            ways = [(route, True) for route in incident["routes"]] + [(route, False) for route in incident.get("shortcuts", [])]
            for number, (route, mends) in enumerate(ways):
                jobs.append((incident, route, pool.submit(play, args, file, incident, number, route, mends)))
        for incident, route, job in jobs:
            if wrong := job.result():
                failed += 1
                print(f"{incident['name']}: {route['name']}: {wrong}")
    print(f"{len(jobs) - failed} of {len(jobs)} routes and shortcuts end as they should, in {time.time() - began:.0f} s")
    sys.exit(failed > 0)


main()
