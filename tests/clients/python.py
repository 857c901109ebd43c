"""What programs do with Python's `kubernetes`: typed and dynamic clients, every kind of patch, watches, errors."""

import datetime, sys, time
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException

SPACE = "python"


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    sys.exit(f"not within {seconds} s: {what.__doc__ or what}")


def refused(code, act, message=None):
    try:
        act()
    except ApiException as error:
        assert error.status == code, error
        assert message is None or message in error.body, error.body
        return
    sys.exit(f"no {code}")


def main():
    config.load_kube_config()
    core, apps, batch = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api()
    assert client.VersionApi().get_code().git_version.startswith("v1.33")
    assert len(core.list_node().items) == 3
    core.create_namespace({"metadata": {"name": SPACE}})

    # A Deployment, by the models of the library.
    labels = {"app": "web"}
    container = client.V1Container(name="web", image="nginx:1", resources=client.V1ResourceRequirements(requests={"cpu": "100m"}))
    meta, pod = client.V1ObjectMeta(labels=labels), client.V1PodSpec(containers=[container])
    template = client.V1PodTemplateSpec(metadata=meta, spec=pod)
    spec = client.V1DeploymentSpec(replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template)
    made = apps.create_namespaced_deployment(SPACE, client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec))
    assert isinstance(made.metadata.creation_timestamp, datetime.datetime) and made.spec.strategy.type == "RollingUpdate"

    # A watch shows the pods until both are ready, and ends in time.
    ready = set()
    for event in watch.Watch().stream(core.list_namespaced_pod, SPACE, label_selector="app=web", timeout_seconds=30):
        conditions = event["object"].status.conditions or []
        if any(c.type == "Ready" and c.status == "True" for c in conditions):
            ready.add(event["object"].metadata.name)
        if len(ready) == 2:
            break
    assert len(ready) == 2, ready
    begin = time.monotonic()
    assert list(watch.Watch().stream(core.list_namespaced_secret, SPACE, timeout_seconds=1)) == []
    assert time.monotonic() - begin < 10

    # Every kind of patch; the library sends strategic merges.
    apps.patch_namespaced_deployment("web", SPACE, {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:2"}]}}}})
    deployment = apps.read_namespaced_deployment("web", SPACE)
    assert deployment.spec.template.spec.containers[0].image == "nginx:2"
    assert deployment.spec.template.spec.containers[0].resources.requests == {"cpu": "100m"}
    apps.patch_namespaced_deployment_scale("web", SPACE, {"spec": {"replicas": 3}})
    until(lambda: apps.read_namespaced_deployment_status("web", SPACE).status.available_replicas == 3)
    core.create_namespaced_config_map(SPACE, {"metadata": {"name": "map"}, "data": {"a": "1"}})
    core.patch_namespaced_config_map("map", SPACE, [{"op": "add", "path": "/data/b", "value": "2"}])
    assert core.read_namespaced_config_map("map", SPACE).data == {"a": "1", "b": "2"}

    # Errors carry the Status.
    refused(404, lambda: core.read_namespaced_config_map("none", SPACE), '"reason":"NotFound"')
    refused(409, lambda: core.create_namespaced_config_map(SPACE, {"metadata": {"name": "map"}}), '"reason":"AlreadyExists"')
    old = core.read_namespaced_config_map("map", SPACE)
    core.patch_namespaced_config_map("map", SPACE, {"data": {"c": "3"}})
    old.data = {"a": "other"}
    refused(409, lambda: core.replace_namespaced_config_map("map", SPACE, old), "the object has been modified")
    refused(422, lambda: core.create_namespaced_service(SPACE, {"metadata": {"name": "bad"}, "spec": {"ports": [{"port": 0}]}}))

    # Pages.
    for number in range(7):
        core.create_namespaced_config_map(SPACE, {"metadata": {"name": f"page-{number}", "labels": {"page": "yes"}}})
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(SPACE, label_selector="page", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        if not (token := page.metadata._continue):
            break
    assert names == [f"page-{number}" for number in range(7)], names

    # The dynamic client finds resources by discovery, and applies on the server's side.
    resources = dynamic.DynamicClient(client.ApiClient())
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}}}}}],
        },
    }
    resources.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition").create(body=definition)
    custom = client.CustomObjectsApi()

    def served():
        """the kind of a definition is served"""
        try:
            return custom.list_namespaced_custom_object("example.com", "v1", SPACE, "widgets")["kind"] == "WidgetList"
        except ApiException:
            return False

    until(served)
    resources.resources.invalidate_cache()
    widgets = resources.resources.get(api_version="example.com/v1", kind="Widget")
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "one", "namespace": SPACE}, "spec": {"size": 2}}
    applied = resources.server_side_apply(widgets, body=widget, namespace=SPACE, field_manager="python-client")
    assert applied.spec.size == 2 and applied.metadata.managedFields[0].manager == "python-client"
    refused(422, lambda: widgets.create(body={**widget, "metadata": {"name": "two"}, "spec": {"size": 0}}, namespace=SPACE))

    # A manifest of several documents, and a binding and an eviction by hand.
    utils.create_from_dict(client.ApiClient(), {"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": labels, "ports": [{"port": 80}]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"}, "spec": {"schedulerName": "me", "containers": [{"name": "a", "image": "a"}]}},
    ]}, namespace=SPACE)
    body = client.V1Binding(metadata=client.V1ObjectMeta(name="mine"), target=client.V1ObjectReference(kind="Node", name="node-2"))
    core.create_namespaced_binding(SPACE, body, _preload_content=False)
    assert core.read_namespaced_pod("mine", SPACE).spec.node_name == "node-2"
    core.create_namespaced_pod_eviction("mine", SPACE, client.V1Eviction(metadata=client.V1ObjectMeta(name="mine")))
    until(lambda: "mine" not in [pod.metadata.name for pod in core.list_namespaced_pod(SPACE).items])

    # Someone with fewer rights, by a token of a service account.
    core.create_namespaced_service_account(SPACE, {"metadata": {"name": "reader"}})
    rbac = client.RbacAuthorizationV1Api()
    rbac.create_namespaced_role(SPACE, {"metadata": {"name": "reader"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]})
    rbac.create_namespaced_role_binding(SPACE, {
        "metadata": {"name": "reader"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": SPACE}]})
    token = core.create_namespaced_service_account_token("reader", SPACE, {"spec": {"expirationSeconds": 3600}}).status.token
    mine = client.Configuration.get_default_copy()
    mine.cert_file = mine.key_file = None
    mine.api_key, mine.api_key_prefix = {"authorization": token}, {"authorization": "Bearer"}
    reader = client.CoreV1Api(client.ApiClient(mine))
    assert len(reader.list_namespaced_pod(SPACE).items) >= 3
    refused(403, lambda: reader.list_namespaced_secret(SPACE), "cannot list resource")
    mine.api_key = {"authorization": token[:-4] + "AAAA"}
    refused(401, lambda: client.CoreV1Api(client.ApiClient(mine)).list_namespaced_pod(SPACE))

    core.delete_namespace(SPACE)
    until(lambda: SPACE not in [space.metadata.name for space in core.list_namespace().items])
    print("python kubernetes: everything as expected")


main()
