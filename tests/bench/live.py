#!/usr/bin/env python3
"""What the live cluster does beside what a real kube-apiserver 1.33 with etcd did: 10,000 pods of 2 kB on two cores.

Usage: tests/bench/live.py [--pods N] [--watches N] [--kubectl PROGRAM] [-- FLAGS OF `cluster up`]

Prints a table with the measured value, the value of the real one, and the ratio. Needs only Python's standard library, and
kubectl for the rows that it asks. The clients are Python, and take a good part of the two cores themselves.
"""

import argparse, http.client, json, os, re, shutil, ssl, statistics, subprocess, sys, tempfile, threading, time
from base64 import b64decode
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Measured on a machine of this kind: see the book's page on speed.
REAL = {
    "ready, s": 5.0, "list raw, s": 0.24, "kubectl get pods, s": 2.6, "get one p50, ms": 1.3, "patch one p50, ms": 3.3,
    "8 clients create, pods/s": 491, "resident, MB": 880 + 131,
}


class Server:
    def __init__(self, kubeconfig, folder):
        text = Path(kubeconfig).read_text()
        field = lambda name: b64decode(re.search(name + r"\"?:\s*\"?([A-Za-z0-9+/=]+)", text).group(1))
        for name in ["certificate-authority-data", "client-certificate-data", "client-key-data"]:
            (folder / name).write_bytes(field(name))
        self.context = ssl.create_default_context(cafile=folder / "certificate-authority-data")
        self.context.load_cert_chain(folder / "client-certificate-data", folder / "client-key-data")
        self.host, self.port = re.search(r"server\"?:\s*\"?https://([^:\s\"]+):(\d+)", text).groups()

    def connect(self):
        return http.client.HTTPSConnection(self.host, int(self.port), context=self.context, timeout=120)


def ask(connection, method, path, body=None, media="application/json"):
    body = json.dumps(body) if body is not None else None
    connection.request(method, path, body, {"Content-Type": media} if body else {})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {text[:300]}")
    return text


def pod(number):
    # About 2 kB as it is stored: who owns which field takes a good part of that.
    env = [{"name": f"SETTING_{at}", "value": "x" * 180} for at in range(2)]
    spec = {"schedulerName": "nobody", "containers": [{"name": "app", "image": "registry.example/app:1", "env": env}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number:05}", "labels": {"app": "bench"}}, "spec": spec}


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def pages(connection, path):
    """What `kubectl get` asks for, without what kubectl makes of it."""
    token = ""
    while token is not None:
        connection.request("GET", f"{path}?limit=500&continue={token}", headers={"Accept": TABLE})
        # The token stands at the beginning: Python need not read all of it.
        found = re.search(rb'"continue":"([^"]+)"', connection.getresponse().read()[:1000])
        token = found.group(1).decode() if found else None


def timed(rounds, act):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        act()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def create(server, numbers):
    connection = server.connect()
    for number in numbers:
        ask(connection, "POST", "/api/v1/namespaces/default/pods", pod(number))


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--watches", type=int, default=1_000)
    parser.add_argument("--kubectl", default=shutil.which("kubectl"))
    parser.add_argument("flags", nargs="*")
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--package", "cluster"], cwd=ROOT, check=True)
    program, name = TARGET / "debug/cluster", f"bench-{os.getpid()}"
    rows = []

    def row(what, value):
        rows.append((what, value, REAL.get(what)))

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        kubeconfig = folder / "kubeconfig"
        begin = time.perf_counter()
        command = [program, "--name", name, "up", "--nodes", "3", "--kubeconfig", kubeconfig, *args.flags]
        cluster = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            while "export KUBECONFIG" not in (line := cluster.stdout.readline()):
                if not line:
                    sys.exit("the cluster did not start")
            if args.kubectl:
                environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(folder / "cache"), "HOME": str(folder)}
                kubectl = lambda *words: subprocess.run([args.kubectl, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
                kubectl("get", "nodes")
                row("start to the first `kubectl get nodes`, s", time.perf_counter() - begin)
            else:
                row("ready, s", time.perf_counter() - begin)
            server = Server(kubeconfig, folder)
            shares = [range(first, args.pods, 8) for first in range(8)]
            threads = [threading.Thread(target=create, args=(server, share)) for share in shares]
            begin = time.perf_counter()
            [thread.start() for thread in threads], [thread.join() for thread in threads]
            row("8 clients create, pods/s", args.pods / (time.perf_counter() - begin))
            row("resident, MB", resident(cluster.pid))
            connection = server.connect()
            one = "/api/v1/namespaces/default/pods/pod-00042"
            patch = lambda: ask(connection, "PATCH", one, {"metadata": {"labels": {"at": str(time.time_ns())}}}, "application/merge-patch+json")

            def reads(with_watches=""):
                row("list raw, s" + with_watches, timed(5, lambda: ask(connection, "GET", "/api/v1/pods")))
                row("get one p50, ms" + with_watches, 1e3 * timed(500, lambda: ask(connection, "GET", one)))
                row("patch one p50, ms" + with_watches, 1e3 * timed(300, patch))

            reads()
            if args.kubectl:
                row("kubectl get pods, s", timed(3, lambda: kubectl("get", "pods")))
            row("of that the server's pages, s", timed(3, lambda: pages(connection, "/api/v1/namespaces/default/pods")))
            if args.watches:
                open_ones = []
                version = json.loads(ask(connection, "GET", "/api/v1/namespaces/default/pods?limit=1"))["metadata"]["resourceVersion"]
                for _ in range(args.watches):
                    watching = server.connect()
                    watching.request("GET", f"/api/v1/namespaces/default/pods?watch=1&resourceVersion={version}&fieldSelector=metadata.name=pod-00007")
                    open_ones.append((watching, watching.getresponse()))
                reads(f" with {args.watches} watches")
                begin = time.perf_counter()
                ask(server.connect(), "PATCH", "/api/v1/namespaces/default/pods/pod-00007", {"metadata": {"labels": {"seen": "1"}}}, "application/merge-patch+json")
                for _, answer in open_ones:
                    answer.readline()
                row(f"one change seen by {args.watches} watches, s", time.perf_counter() - begin)
                row(f"resident with {args.watches} watches, MB", resident(cluster.pid))
        finally:
            cluster.terminate()
            cluster.wait(30)
    print(f"{'':48} {'here':>9} {'real':>9} {'ratio':>6}")
    for what, value, real in rows:
        print(f"{what:48} {value:9.3g} " + (f"{real:9.3g} {value / real:6.2f}" if real else ""))


main()
