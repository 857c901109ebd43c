"""Elastic's own client for Python against the index of logs: what agents have shipped, writes in bulk, searches, counts, errors.

Usage: logs.py KUBECONFIG KUBECTL ADDRESS
"""

import json, os, subprocess, sys, tempfile, time
from elasticsearch import ConflictError, Elasticsearch, NotFoundError, helpers

KUBECONFIG, KUBECTL, ADDRESS = sys.argv[1:4]
LINE = 'echo "{\\"level\\":\\"error\\",\\"code\\":503,\\"msg\\":\\"cannot reach payments\\"}"; echo plain >&2; sleep 600'
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shipped", "labels": {"app": "shop"}},
       "spec": {"containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", LINE]}]}}


def until(what, found, seconds=30):
    for _ in range(seconds * 10):
        if seen := found():
            return seen
        time.sleep(0.1)
    sys.exit(f"logs: {what}")


def refused(kind, act):
    try:
        act()
    except kind as error:
        return error
    sys.exit(f"logs: no {kind.__name__}")


with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "KUBECONFIG": KUBECONFIG, "HOME": folder, "KUBECACHEDIR": folder}
    kubectl = lambda *words, input=None: subprocess.run(
        [KUBECTL, *words], env=environment, text=True, check=True, input=input, stdout=subprocess.PIPE).stdout
    kubectl("apply", "-f", "-", input=json.dumps(POD))
    es = Elasticsearch(ADDRESS)
    assert es.ping() and es.info()["version"]["number"].startswith("9."), es.info()
    assert es.cluster.health()["status"] == "green"

    # An agent has shipped what the container wrote, with what the API server knows of the pod.
    query = {"bool": {"filter": [{"term": {"kubernetes.pod_name.keyword": "shipped"}}, {"range": {"@timestamp": {"gte": "now-1h"}}}]}}
    search = lambda **more: es.search(index="logstash-*", query=query, sort="@timestamp", **more)["hits"]
    hits = until("what the agent ships", lambda: (found := search())["total"]["value"] == 2 and found["hits"])
    said = {hit["_source"]["stream"]: hit["_source"] for hit in hits}
    assert said["stdout"]["log_processed"] == {"level": "error", "code": 503, "msg": "cannot reach payments"}, said
    assert (said["stderr"]["log"], said["stderr"]["kubernetes"]["labels"]) == ("plain", {"app": "shop"}), said
    # The API server passes on, too.
    path = "/api/v1/namespaces/logging/services/elasticsearch:9200/proxy/_count?q=log_processed.code:%3E%3D500"
    assert json.loads(kubectl("get", "--raw", path))["count"] == 1

    # A shipper of its own.
    lines = [{"_index": "mine", "_id": str(n), "@timestamp": f"2025-06-01T12:{n:02}:00Z", "level": "warn" if n % 5 == 0 else "info"} for n in range(60)]
    assert helpers.bulk(es, lines) == (60, [])
    again = list(helpers.streaming_bulk(es, [{**lines[0], "_op_type": "create"}], raise_on_error=False))
    assert [(ok, item["create"]["status"]) for ok, item in again] == [(False, 409)], again
    es.index(index="mine", document={"level": "warn"}, refresh=True)
    counted = es.search(index="mine", size=0, query={"query_string": {"query": "level:warn OR level:info"}}, aggs={
        "levels": {"terms": {"field": "level.keyword"}},
        "time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "15m"}, "aggs": {"levels": {"terms": {"field": "level"}}}},
    })["aggregations"]
    assert [(b["key"], b["doc_count"]) for b in counted["levels"]["buckets"]] == [("info", 48), ("warn", 13)], counted
    assert [b["doc_count"] for b in counted["time"]["buckets"]] == [15] * 4, counted
    assert es.count(index="mine", query={"match": {"level": "warn"}})["count"] == 13
    assert es.get(index="mine", id="7")["_source"]["level"] == "info"
    assert [row["docs.count"] for row in es.cat.indices(index="mine", format="json")] == ["61"]
    assert "no such index [none]" in str(refused(NotFoundError, lambda: es.search(index="none")))
    refused(ConflictError, lambda: es.create(index="mine", id="7", document={}))
    es.indices.delete(index="mine")
    assert not es.indices.exists(index="mine")
    kubectl("delete", "pod", "shipped", "--now")
    print("logs: everything as expected")
