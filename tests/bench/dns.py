#!/usr/bin/env python3
"""How fast the live cluster's DNS server answers over loopback, beside dnsmasq with the same names.

Usage: tests/bench/dns.py [--cluster PROGRAM] [--kubectl PROGRAM] [--services N] [--seconds N] [--rounds N] [--in-flight N]

A cluster gets N Services with a cluster IP and a named port. dnsmasq gets the same names and addresses in a hosts file, the
same SRV records, and nothing else to do. Both are asked the same questions in turn: by dnsperf with so many in flight, which
says how many answers a second there are, and one at a time, which says how long one takes. An answer that is missing or has another
code than it should ends the bench. Needs dnsmasq and dnsperf (packages dnsmasq-base and dnsperf), else only Python's standard library.
"""

import argparse, os, re, shutil, socket, statistics, struct, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ZONE = "bench.svc.cluster.local"
TYPES = {"A": 1, "SRV": 33}
# What is asked: the name in front of the number, the rest of it, the type, and the code of all answers.
KINDS = {
    "A": ("svc", f".{ZONE}", "A", "NOERROR"),
    "SRV": ("_http._tcp.svc", f".{ZONE}", "SRV", "NOERROR"),
    "NXDOMAIN": ("nobody", f".{ZONE}", "A", "NXDOMAIN"),
}
CODES = {"NOERROR": 0, "NXDOMAIN": 3}


def kubectl(program, kubeconfig, folder, *words, text=None):
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(folder / "cache"), "HOME": str(folder)}
    return subprocess.run([program, *words], env=environment, check=True, input=text, text=True, stdout=subprocess.PIPE).stdout


def services(count):
    manifest = "apiVersion: v1\nkind: Namespace\nmetadata: {name: bench}\n"
    for number in range(count):
        manifest += (
            f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: svc-{number:05}, namespace: bench}}\n"
            "spec: {ports: [{name: http, port: 80}]}\n"
        )
    return manifest


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def dnsmasq(folder, addresses):
    """A dnsmasq with the same names, and its port."""
    port = free_port()
    (folder / "hosts").write_text("".join(f"{ip} {name}.{ZONE}\n" for name, ip in addresses.items()))
    lines = [
        "no-resolv", "no-hosts", "no-poll", f"addn-hosts={folder}/hosts", f"port={port}", "listen-address=127.0.0.1", "bind-interfaces",
        "local=/cluster.local/", "local-ttl=30", "keep-in-foreground", "pid-file=", f"user={'root' if os.getuid() == 0 else ''}",
    ]
    lines += [f"srv-host=_http._tcp.{name}.{ZONE},{name}.{ZONE},80,0,100" for name in addresses]
    (folder / "dnsmasq.conf").write_text("\n".join(lines) + "\n")
    # The folder is its owner's alone, and dnsmasq may give up its rights.
    folder.chmod(0o755)
    return subprocess.Popen(["dnsmasq", f"--conf-file={folder}/dnsmasq.conf"]), port


def question(number, name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", TYPES[kind], 1)


def ask(one, number, name, kind):
    """The code and the number of records of an answer."""
    one.send(question(number, name, kind))
    while True:
        answer = one.recv(4096)
        known, flags, _, records = struct.unpack(">4H", answer[:8])
        if known == number & 0xFFFF:
            return flags & 15, records


def connect(port):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(5)
    one.connect(("127.0.0.1", port))
    return one


def names(kind, count):
    first, rest, record, _ = KINDS[kind]
    return [f"{first}-{number:05}{rest}" for number in range(count)], record


def processor(pid):
    """Seconds of a processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one_at_a_time(port, kind, count, rounds=3000):
    """Microseconds from a question to its answer: the median, and what one in a hundred exceeds."""
    all_names, record = names(kind, count)
    times = []
    with connect(port) as one:
        for number in range(rounds):
            begin = time.perf_counter()
            ask(one, number, all_names[number % count], record)
            times.append(1e6 * (time.perf_counter() - begin))
    times.sort()
    return statistics.median(times), times[len(times) * 99 // 100]


def many_at_once(port, pid, kind, folder, args):
    """Answers a second, and microseconds of a processor for each."""
    before = processor(pid)
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(folder / kind), "-l", str(args.seconds), "-c", "4", "-q", str(args.in_flight)]
    said = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    used = processor(pid) - before
    field = lambda pattern: float(re.search(pattern, said).group(1))
    answered, lost = int(field(r"Queries completed:\s+(\d+)")), int(field(r"Queries lost:\s+(\d+)"))
    code = KINDS[kind][3]
    if lost or not re.search(rf"Response codes:\s+{code} {answered} \(100\.00%\)", said):
        sys.exit(f"port {port}, {kind}: {lost} answers are missing, or not all are {code}\n{said}")
    return field(r"Queries per second:\s+([\d.]+)"), 1e6 * used / max(answered, 1)


def figure(value):
    """So many digits as say something."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def agree(ports, addresses):
    """Both must say the same before it is of interest how fast they say it."""
    for kind, (_, _, _, code) in KINDS.items():
        all_names, record = names(kind, len(addresses))
        said = []
        for port in ports:
            with connect(port) as one:
                said.append([ask(one, number, name, record) for number, name in enumerate(all_names[:50])])
        wanted = (CODES[code], 0 if kind == "NXDOMAIN" else 1)
        if any(answers != [wanted] * len(answers) for answers in said):
            sys.exit(f"{kind}: {said[0][:3]} here and {said[1][:3]} of dnsmasq, not {wanted}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", help="without it, it is built")
    parser.add_argument("--kubectl", default=shutil.which("kubectl") or str(TARGET / "kubectl/1.32/kubectl"))
    parser.add_argument("--services", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=64)
    args = parser.parse_args()
    for needed in ["dnsmasq", "dnsperf", args.kubectl, *filter(None, [args.cluster])]:
        if not shutil.which(needed):
            sys.exit(f"there is no {needed}: see the beginning of this file")
    if not args.cluster:
        subprocess.run(["cargo", "build", "--quiet", "--package", "cluster"], cwd=ROOT, check=True)
    program, name = args.cluster or str(TARGET / "debug/cluster"), f"bench-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        kubeconfig = folder / "kubeconfig"
        command = [program, "--name", name, "up", "--nodes", "1", "--kubeconfig", kubeconfig]
        cluster = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        other = None
        try:
            port = None
            while "export KUBECONFIG" not in (line := cluster.stdout.readline()):
                if not line:
                    sys.exit("the cluster did not start")
                found = re.search(r"dns\s+127\.0\.0\.1:(\d+)", line)
                port = int(found.group(1)) if found else port
            if port is None:
                sys.exit("this cluster has no DNS server")
            kubectl(args.kubectl, kubeconfig, folder, "create", "--filename", "-", text=services(args.services))
            form = r'jsonpath={range .items[*]}{.metadata.name}{" "}{.spec.clusterIP}{"\n"}{end}'
            listed = kubectl(args.kubectl, kubeconfig, folder, "--namespace", "bench", "get", "services", "--output", form)
            addresses = dict(line.split() for line in listed.splitlines())
            other, other_port = dnsmasq(folder, addresses)
            time.sleep(1)
            if other.poll() is not None:
                sys.exit("dnsmasq did not start")
            servers = [(port, cluster.pid), (other_port, other.pid)]
            for kind in KINDS:
                all_names, record = names(kind, args.services)
                (folder / kind).write_text("".join(f"{one} {record}\n" for one in all_names))
            agree([port, other_port], addresses)
            print(f"{args.services} services, {args.in_flight} questions in flight, {args.rounds} rounds of {args.seconds} s, the median of each\n")
            print(f"{'':40} {'here':>9} {'dnsmasq':>9} {'ratio':>6}")
            for kind in KINDS:
                # In turn, so that what else the machine does meets both.
                rounds = [
                    [(*many_at_once(port, pid, kind, folder, args), *one_at_a_time(port, kind, args.services)) for port, pid in servers]
                    for _ in range(args.rounds)
                ]
                for at, what in enumerate(["answers/s", "processor for each, µs", "one at a time p50, µs", "one at a time p99, µs"]):
                    here, there = (statistics.median(run[server][at] for run in rounds) for server in (0, 1))
                    print(f"{kind + ', ' + what:40} {figure(here):>9} {figure(there):>9} {here / there:6.2f}")
        finally:
            for process in filter(None, [other, cluster]):
                process.terminate()
                process.wait(30)


main()
