"""Prometheus and Alertmanager watch a live cluster: targets, rules, alerts, and a page at somebody on call.

Everything is scraped through the API server's proxy, with the labels and rules of relabelling that the discovery of Kubernetes
gives. Debian's Prometheus is built without it, so what it finds is asked from the API here and handed over in a file. The rules are
those of the book; only their times are short.
Usage: monitoring.py KUBECONFIG KUBECTL CLUSTER... (the program, with the arguments that name the cluster)
"""

import base64, http.server, json, os, re, shutil, socket, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request
from pathlib import Path

KUBECONFIG, KUBECTL = map(os.path.abspath, sys.argv[1:3])
CLUSTER = sys.argv[3:]
RULES = Path(__file__).parents[2] / "book/src/observability/alerts.yml"
SERVICES = {"kube-state-metrics": "http-metrics", "kube-scheduler": "https-metrics", "kube-controller-manager": "https-metrics"}
PAGES = ["metrics", "metrics/cadvisor", "metrics/resource", "metrics/probes"]
MANIFESTS = [
    {"kind": "Pod", "metadata": {"name": "leaky"}, "spec": {"nodeName": "node-1", "containers": [
        {"name": "app", "image": "app:1", "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}}]}},
    {"kind": "Pod", "metadata": {"name": "looping"}, "spec": {"nodeName": "node-1", "containers": [
        {"name": "app", "image": "busybox", "command": ["sh", "-c", "exit 1"]}]}},
    {"kind": "Pod", "metadata": {"name": "huge"}, "spec": {"containers": [
        {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "64"}}}]}},
    {"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "storageClassName": "none", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
]
# What must fire, and on which label's value.
EXPECTED = {
    "KubePodCrashLooping": ("pod", "looping"), "KubePodOOMKilled": ("pod", "leaky"), "KubePodNotReady": ("pod", "huge"),
    "KubePersistentVolumeClaimPending": ("persistentvolumeclaim", "data"), "KubeSchedulerPendingPods": ("job", "kube-scheduler"),
    "KubeNodeNotReady": ("node", "node-3"), "TargetDown": ("node", "node-3"),
}
events = []


def kubectl(*words, input=None):
    environment = {**os.environ, "KUBECONFIG": KUBECONFIG, "HOME": str(work), "KUBECACHEDIR": str(work / "cache")}
    done = subprocess.run([KUBECTL, *words], env=environment, text=True, check=True, stdout=subprocess.PIPE, input=input)
    return done.stdout


def cluster(*words):
    subprocess.run([*CLUSTER, *words], check=True, stdout=subprocess.DEVNULL)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Pager(http.server.BaseHTTPRequestHandler):
    """Events of PagerDuty, version 2."""

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        events.append(event)
        self.send_response(202)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}).encode())

    def log_message(self, *_):
        pass


def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def query(promql):
    return ask(f"query?query={urllib.parse.quote(promql)}")["result"]


def until(what, found, seconds=60):
    seen = None
    for _ in range(seconds * 5):
        try:
            seen = found()
        except OSError as error:
            seen = error
        if seen is True:
            return
        time.sleep(0.2)
    logs = "\n".join(path.read_text()[-1500:] for path in work.glob("*.log"))
    sys.exit(f"monitoring: {what}: {seen}\n{logs}")


def targets(server):
    """What the discovery of Kubernetes finds, with its labels: nodes, and endpoints of services."""
    nodes = [node["metadata"]["name"] for node in json.loads(kubectl("get", "nodes", "-o", "json"))["items"]]
    for name in nodes:
        yield "node", {"__meta_kubernetes_node_name": name}
    for service in json.loads(kubectl("-n", "kube-system", "get", "services", "-o", "json"))["items"]:
        name = service["metadata"]["name"]
        if name in SERVICES:
            port = next(port for port in service["spec"]["ports"] if port["name"] == SERVICES[name])
            yield "endpoints", {"__meta_kubernetes_namespace": "kube-system", "__meta_kubernetes_service_name": name,
                                "__meta_kubernetes_endpoint_port_name": str(port["port"])}


def jobs(server):
    """Jobs as in Prometheus' own example for Kubernetes (`documentation/examples/prometheus-kubernetes.yml`)."""
    common = {"scheme": "https", "scrape_interval": "1s", "honor_labels": True, "tls_config": {"ca_file": str(work / "ca.crt")},
              "authorization": {"credentials_file": str(work / "token")}}
    roles = {role: [of for kind, of in targets(server) if kind == role] for role in ("node", "endpoints")}
    for role, found in roles.items():
        (work / f"{role}.json").write_text(json.dumps([{"targets": [server], "labels": labels} for labels in found]))
    files = lambda role: [{"files": [str(work / f"{role}.json")]}]
    yield {**common, "job_name": "apiserver", "static_configs": [{"targets": [server]}]}
    for page in PAGES + [":9100"]:
        path = "metrics" if page == ":9100" else page
        name = "node-exporter" if page == ":9100" else f"kubelet-{page}"
        relabel = [
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"},
            {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "instance"},
            {"source_labels": ["__meta_kubernetes_node_name"], "regex": "(.+)", "target_label": "__metrics_path__",
             "replacement": f"/api/v1/nodes/${{1}}{page if page[0] == ':' else ''}/proxy/{path}"},
        ]
        yield {**common, "job_name": name, "file_sd_configs": files("node"), "relabel_configs": relabel}
    service = [
        {"source_labels": ["__meta_kubernetes_service_name"], "target_label": "job"},
        {"source_labels": ["__meta_kubernetes_service_name"], "target_label": "instance"},
        {"source_labels": ["__meta_kubernetes_namespace", "__meta_kubernetes_service_name", "__meta_kubernetes_endpoint_port_name"],
         "regex": "(.+);(.+);(.+)", "target_label": "__metrics_path__", "replacement": "/api/v1/namespaces/$1/services/$2:$3/proxy/metrics"},
    ]
    yield {**common, "job_name": "services", "file_sd_configs": files("endpoints"), "relabel_configs": service}


def series(text):
    """Samples of the text format, by name and labels."""
    found = {}
    for line in text.splitlines():
        if match := re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)', line):
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            key = (match[1], tuple(sorted((name, value) for name, value in labels.items() if value)))
            found[key] = float(match[3])
    return found


def agree():
    """What Prometheus has is what the endpoint says, for series that stand still."""
    text = kubectl("get", "--raw", "/api/v1/namespaces/kube-system/services/kube-state-metrics:8080/proxy/metrics")
    wanted = {key: value for key, value in series(text).items() if key[0] in ("kube_pod_info", "kube_pod_status_phase", "kube_node_spec_taint")}
    extra = {"__name__", "job", "instance"}
    found = {}
    for name in sorted({name for name, _ in wanted}):
        for sample in query(name):
            labels = {key: value for key, value in sample["metric"].items() if key not in extra}
            found[(name, tuple(sorted(labels.items())))] = float(sample["value"][1])
    return True if found == wanted and len(wanted) > 10 else sorted(set(found.items()) ^ set(wanted.items()))[:4]


with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    text = Path(KUBECONFIG).read_text()
    authority = re.search(r'certificate-authority-data"?:\s*"?([A-Za-z0-9+/=]+)', text).group(1)
    (work / "ca.crt").write_bytes(base64.b64decode(authority))
    server = re.search(r'server"?:\s*"?https://([^\s"]+)', text).group(1)
    kubectl("create", "serviceaccount", "prometheus")
    (work / "token").write_text(kubectl("create", "token", "prometheus").strip())
    # What Prometheus is given in a cluster: /metrics, and the proxies.
    kubectl("create", "clusterrolebinding", "monitoring", "--clusterrole=system:monitoring", "--serviceaccount=default:prometheus")
    kubectl("create", "clusterrole", "proxies", "--verb=get", "--resource=nodes/proxy,services/proxy,nodes/metrics")
    kubectl("create", "clusterrolebinding", "proxies", "--clusterrole=proxies", "--serviceaccount=default:prometheus")
    for manifest in MANIFESTS:
        kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", **manifest}))
    kubectl("-n", "kube-system", "rollout", "status", "deployment/kube-state-metrics", "--timeout=60s")
    rules = re.sub(r"for: \d+m", "for: 2s", RULES.read_text())
    (work / "rules.yml").write_text(rules)
    pager = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pager)
    threading.Thread(target=pager.serve_forever, daemon=True).start()
    port, manager = free_port(), free_port()
    receiver = {"name": "on-call", "pagerduty_configs": [
        {"routing_key": "secret", "url": f"http://127.0.0.1:{pager.server_port}/v2/enqueue", "severity": "{{ .CommonLabels.severity }}"}]}
    route = {"receiver": "on-call", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h"}
    (work / "alertmanager.yml").write_text(json.dumps({"global": {"resolve_timeout": "1m"}, "route": route, "receivers": [receiver]}))
    config = {
        "global": {"evaluation_interval": "1s"}, "rule_files": [str(work / "rules.yml")], "scrape_configs": list(jobs(server)),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{manager}"]}]}]},
    }
    (work / "prometheus.yml").write_text(json.dumps(config))
    subprocess.run(["promtool", "check", "config", str(work / "prometheus.yml")], check=True, stdout=subprocess.DEVNULL)
    started = []
    commands = {
        "prometheus": [f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data", f"--web.listen-address=127.0.0.1:{port}"],
        "prometheus-alertmanager": [f"--config.file={work}/alertmanager.yml", f"--storage.path={work}/alerts",
                                    f"--web.listen-address=127.0.0.1:{manager}", "--cluster.listen-address="],
    }
    for program, flags in commands.items():
        with open(work / f"{program}.log", "w") as log:
            started.append(subprocess.Popen([shutil.which(program), *flags], stdout=log, stderr=log))
    try:
        wanted = 1 + 3 * (len(PAGES) + 1) + len(SERVICES)
        healths = lambda: [target["health"] for target in ask("targets")["activeTargets"]]
        until("every target is up", lambda: healths() == ["up"] * wanted or [(t["scrapeUrl"], t["lastError"]) for t in ask("targets")["activeTargets"] if t["health"] != "up"])
        until("the same series", agree)
        has = lambda promql: bool(query(promql)) or promql
        for promql in [
            'kubelet_running_pods{node="node-1"} >= 2', 'container_spec_cpu_quota{pod="leaky"} == 50000',
            'rate(container_cpu_usage_seconds_total{pod="leaky",cpu="total"}[20s]) > 0',
            'node_memory_MemTotal_bytes{node="node-1"} > 0', 'sum(workqueue_adds_total) > 0',
            'histogram_quantile(0.99, sum by (le) (rate(apiserver_request_duration_seconds_bucket{verb!~"WATCH|CONNECT"}[20s]))) >= 0',
            'scheduler_pending_pods{queue="unschedulable"} == 1', 'kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} == 1',
        ]:
            until("a query", lambda: has(promql), 40)
        cluster("fault", "kill", "pod/leaky=137")
        cluster("fault", "crash", "node-3")
        until("the kill", lambda: has('kube_pod_container_status_last_terminated_reason{reason="OOMKilled",pod="leaky"} == 1'))
        firing = lambda: {(alert["labels"]["alertname"], tuple(alert["labels"].items())) for alert in ask("alerts")["alerts"] if alert["state"] == "firing"}
        missing = lambda: {name for name, label in EXPECTED.items() if not any(name == of and label in labels for of, labels in firing())}
        until("the alerts", lambda: sorted(missing()) or True)
        # One incident for each group, and each is told once.
        triggered = lambda: {event["payload"]["summary"] for event in events if event["event_action"] == "trigger"}
        until("the pages", lambda: not [name for name in EXPECTED if not any(name in summary for summary in triggered())] or sorted(triggered()))
        one = events[0]
        assert (one["routing_key"], one["payload"]["severity"]) == ("secret", "warning") and len(one["dedup_key"]) == 64, one
        cluster("fault", "restart", "node-3")
        kubectl("delete", "pvc", "data")
        resolved = lambda: {event["dedup_key"] for event in events if event["event_action"] == "resolve"}
        keys = lambda name: {event["dedup_key"] for event in events if event["event_action"] == "trigger" and name in event["payload"]["summary"]}
        ended = ["KubeNodeNotReady", "KubePersistentVolumeClaimPending", "TargetDown"]
        until("what is over is resolved", lambda: all(keys(name) and keys(name) <= resolved() for name in ended) or sorted(resolved()))
        print("monitoring: everything as expected")
    finally:
        for program in started:
            program.terminate()
        for program in started:
            program.wait(30)
        pager.shutdown()
