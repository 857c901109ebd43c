"""A real Prometheus scrapes the API server as it does inside of a cluster: as a service account with a token and a role.

Debian's Prometheus is built without the discovery of Kubernetes, so the target is written down here.
Usage: prometheus.py KUBECONFIG KUBECTL
"""

import base64, json, os, re, shutil, socket, subprocess, sys, tempfile, time, urllib.parse, urllib.request
from pathlib import Path

KUBECONFIG, KUBECTL = map(os.path.abspath, sys.argv[1:3])


def kubectl(*words):
    environment = {**os.environ, "KUBECONFIG": KUBECONFIG, "HOME": str(work), "KUBECACHEDIR": str(work / "cache")}
    return subprocess.run([KUBECTL, *words], env=environment, text=True, check=True, stdout=subprocess.PIPE).stdout


def query(promql):
    url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(promql)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return [sample["value"][1] for sample in json.load(answer)["data"]["result"]]


def until(promql, wanted, seconds=60):
    seen = None
    for _ in range(seconds * 5):
        try:
            seen = query(promql)
        except OSError as error:
            seen = error
        if seen == wanted:
            return
        time.sleep(0.2)
    sys.exit(f"prometheus: {promql}: {seen}, and not {wanted}\n{(work / 'log').read_text()[-2000:]}")


with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    text = Path(KUBECONFIG).read_text()
    authority = re.search(r'certificate-authority-data"?:\s*"?([A-Za-z0-9+/=]+)', text).group(1)
    (work / "ca.crt").write_bytes(base64.b64decode(authority))
    server = re.search(r'server"?:\s*"?https://([^\s"]+)', text).group(1)
    kubectl("create", "serviceaccount", "prometheus")
    (work / "token").write_text(kubectl("create", "token", "prometheus").strip())
    job = {
        "job_name": "apiserver", "scheme": "https", "scrape_interval": "1s", "tls_config": {"ca_file": str(work / "ca.crt")},
        "authorization": {"credentials_file": str(work / "token")}, "static_configs": [{"targets": [server]}],
    }
    (work / "config.yml").write_text(json.dumps({"scrape_configs": [job]}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [f"--config.file={work}/config.yml", f"--storage.tsdb.path={work}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with open(work / "log", "w") as log:
        prometheus = subprocess.Popen([shutil.which("prometheus"), *flags], stdout=log, stderr=log)
    try:
        # Without the role it is forbidden.
        until('up{job="apiserver"}', ["0"])
        kubectl("create", "clusterrolebinding", "prometheus", "--clusterrole=system:monitoring", "--serviceaccount=default:prometheus")
        until('up{job="apiserver"}', ["1"])
        kubectl("get", "pods")
        until('sum(apiserver_request_total{verb="LIST",resource="pods",code="200"}) > bool 0', ["1"])
        until('histogram_quantile(0.99, sum by (le) (apiserver_request_duration_seconds_bucket{verb="LIST"})) < bool 60', ["1"])
        until('apiserver_storage_objects{resource="nodes"}', ["3"])
        until('count(apiserver_request_total{verb="GET",code="403"}) > bool 0', ["1"])
        print("prometheus: everything as expected")
    finally:
        prometheus.terminate()
        prometheus.wait(30)
