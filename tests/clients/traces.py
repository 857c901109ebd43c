"""OpenTelemetry's own messages read what a cluster sends: a collector of a few lines takes the place of a real one.

It comes after the cluster, which has kept its spans until then. Usage: traces.py PORT
"""

import base64, http.server, json, sys, threading, time
from google.protobuf import json_format
from kubernetes import client, config
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
spans, wrong = [], []


def with_bytes(value):
    """OTLP writes identifiers in hexadecimal digits, where JSON of protobuf has base64."""
    if isinstance(value, list):
        return [with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {key: base64.b64encode(bytes.fromhex(item)).decode() if key in ids else with_bytes(item) for key, item in value.items()}


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/json"), (self.path, self.headers)
            # What it doesn't know is an error.
            message = json_format.ParseDict(with_bytes(body), ExportTraceServiceRequest())
            for resource in message.resource_spans:
                service = {of.key: of.value.string_value for of in resource.resource.attributes}["service.name"]
                spans.extend((service, span) for scope in resource.scope_spans for span in scope.spans)
        except Exception as error:
            wrong.append(error)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


collector = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()
config.load_kube_config()
core = client.CoreV1Api()
core.api_client.set_default_header("traceparent", f"00-{TRACE}-{PARENT}-01")
# Its node may have the image already.
pod = {"metadata": {"name": "traced"}, "spec": {"containers": [{"name": "web", "image": "nginx:1", "imagePullPolicy": "Always"}]}}
core.create_namespaced_pod("default", pod)
for _ in range(300):
    mine = {(service, span.name): span for service, span in spans if span.trace_id.hex() == TRACE}
    if ("kubelet", "syncPod") in mine or wrong:
        break
    time.sleep(0.1)
assert not wrong, wrong
first = mine["kube-apiserver", "POST /api/v1/namespaces/{:namespace}/pods"]
assert (first.parent_span_id.hex(), first.kind) == (PARENT, first.SPAN_KIND_SERVER), first
etcd = mine["kube-apiserver", "Create etcd3"]
assert first.start_time_unix_nano <= etcd.start_time_unix_nano <= etcd.end_time_unix_nano <= first.end_time_unix_nano
assert abs(first.start_time_unix_nano / 1e9 - time.time()) < 60
for span in [("etcd", "etcdserverpb.KV/Txn"), ("default-scheduler", "scheduling attempt"), ("kubelet", "runtime.v1.ImageService/PullImage")]:
    assert span in mine, (span, sorted(mine))
ids = [span.span_id for _, span in spans]
assert len(ids) == len(set(ids)) and all(len(span.trace_id) == 16 and len(span.span_id) == 8 for _, span in spans)
# What was done before anybody listened has come, too.
assert any(span.trace_id.hex() != TRACE for _, span in spans)
core.delete_namespaced_pod("traced", "default")
print(f"traces: {len(spans)} spans, as expected")
