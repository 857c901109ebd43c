"""A real Prometheus finds what there is in the cluster by all its roles, follows changes, and scrapes the API server.

Usage: prometheus.py KUBECONFIG KUBECTL
"""

import base64, json, os, re, shutil, socket, subprocess, sys, tempfile, time, urllib.parse, urllib.request
from pathlib import Path

ROLES = ["node", "service", "pod", "endpoints", "endpointslice", "ingress"]
KUBECONFIG, KUBECTL = map(os.path.abspath, sys.argv[1:3])
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: prom-web}
spec:
  replicas: 2
  selector: {matchLabels: {app: prom-web}}
  template:
    metadata: {labels: {app: prom-web}}
    spec: {containers: [{name: web, image: nginx, ports: [{name: http, containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: prom-web}
spec: {selector: {app: prom-web}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: prom-web}
spec:
  rules:
  - host: shop.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: prom-web, port: {number: 80}}}}]}
"""


def kubectl(*words, stdin=None):
    environment = {**os.environ, "KUBECONFIG": KUBECONFIG, "HOME": str(work), "KUBECACHEDIR": str(work / "cache")}
    subprocess.run([KUBECTL, *words], env=environment, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)


def ask(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def until(what, wanted, seconds=60):
    seen = None
    for _ in range(seconds * 5):
        try:
            seen = what()
        except OSError as error:
            seen = error
        if seen == wanted:
            return
        time.sleep(0.2)
    sys.exit(f"prometheus: {seen}, and not {wanted}")


def found(role, label):
    targets = ask("/api/v1/targets?state=active")["activeTargets"]
    mine = [t["discoveredLabels"] for t in targets if t["scrapePool"] == role]
    return sorted({t[label] for t in mine if label in t and ("prom-web" in t[label] or role == "node")})


with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    text = Path(KUBECONFIG).read_text()
    for name in ["certificate-authority-data", "client-certificate-data", "client-key-data"]:
        data = re.search(name + r'"?:\s*"?([A-Za-z0-9+/=]+)', text).group(1)
        (work / name).write_bytes(base64.b64decode(data))
    server = re.search(r'server"?:\s*"?https://([^\s"]+)', text).group(1)
    tls = {"ca_file": str(work / "certificate-authority-data"), "cert_file": str(work / "client-certificate-data"), "key_file": str(work / "client-key-data")}
    discover = lambda role: {"job_name": role, "kubernetes_sd_configs": [{"role": role, "kubeconfig_file": KUBECONFIG}]}
    scrape = {"job_name": "apiserver", "scheme": "https", "tls_config": tls, "scrape_interval": "1s", "static_configs": [{"targets": [server]}]}
    (work / "config.yml").write_text(json.dumps({"scrape_configs": [*map(discover, ROLES), scrape]}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [shutil.which("prometheus"), f"--config.file={work}/config.yml", f"--storage.tsdb.path={work}/data", f"--web.listen-address=127.0.0.1:{port}"]
    kubectl("apply", "-f", "-", stdin=WEB)
    kubectl("rollout", "status", "deployment/prom-web", "--timeout=60s")
    with open(work / "log", "w") as log:
        prometheus = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: found("node", "__meta_kubernetes_node_name"), ["node-1", "node-2", "node-3"])
        until(lambda: found("service", "__meta_kubernetes_service_name"), ["prom-web"])
        until(lambda: found("ingress", "__meta_kubernetes_ingress_name"), ["prom-web"])
        until(lambda: len(found("pod", "__meta_kubernetes_pod_name")), 2)
        until(lambda: len(found("endpoints", "__meta_kubernetes_pod_name")), 2)
        until(lambda: len(found("endpointslice", "__meta_kubernetes_pod_name")), 2)
        kubectl("scale", "deployment/prom-web", "--replicas=3")
        until(lambda: len(found("endpoints", "__meta_kubernetes_pod_name")), 3)
        query = urllib.parse.quote('count(apiserver_request_total{verb="LIST",resource="pods",code="200"}) > bool 0')
        until(lambda: [sample["value"][1] for sample in ask(f"/api/v1/query?query={query}")["result"]], ["1"])
        kubectl("delete", "-f", "-", stdin=WEB)
        until(lambda: found("endpoints", "__meta_kubernetes_pod_name"), [])
        refused = [line for line in (work / "log").read_text().splitlines() if "level=error" in line]
        if refused:
            sys.exit("\n".join(refused[:5]))
        print("prometheus: everything as expected")
    finally:
        prometheus.terminate()
        prometheus.wait(30)
