#!/usr/bin/env python3
"""Make openapi-1.33.json.gz: the schemas of Kubernetes 1.33 which the API server publishes.

Usage: openapi.py DOCUMENTS API OUTPUT

DOCUMENTS  OpenAPI v3 documents of 1.33: api/v1.json, apis/apps/v1.json, ... as kubernetes-sigs/kubectl-validate has
           them in pkg/openapiclient/builtins/1.33 (kubernetes has the same ones in api/openapi-spec/v3).
API        a checkout of kubernetes/api at a tag v0.33.*, for the enums: the published documents lack them
           (hack/update-openapi-spec.sh turns OpenAPIEnums off), the server has them.
OUTPUT     the file to write: sorted lines `name TAB group/version/Kind,... TAB schema`, compressed.

Same inputs, same output. Paths are left out: openapi/paths.rs makes them from the resources that are served.
"""

import gzip
import json
import re
import sys
from pathlib import Path

# The group versions of resources.txt.
GROUPS = """
api/v1 apis/apps/v1 apis/authentication.k8s.io/v1 apis/authorization.k8s.io/v1 apis/autoscaling/v1 apis/autoscaling/v2
apis/batch/v1 apis/networking.k8s.io/v1 apis/policy/v1 apis/rbac.authorization.k8s.io/v1 apis/storage.k8s.io/v1
apis/scheduling.k8s.io/v1 apis/coordination.k8s.io/v1 apis/discovery.k8s.io/v1 apis/node.k8s.io/v1
apis/apiextensions.k8s.io/v1 apis/events.k8s.io/v1 apis/admissionregistration.k8s.io/v1
apis/apiregistration.k8s.io/v1 apis/certificates.k8s.io/v1 apis/flowcontrol.apiserver.k8s.io/v1
""".split()


def comments_above(lines, index):
    """The comment that ends right above a line, without its slashes."""
    block = []
    while index > 0 and lines[index - 1].strip().startswith("//"):
        index -= 1
        block.insert(0, lines[index].strip()[2:].strip())
    return block


def enums_of(text):
    """Types marked +enum, each with its values and what is said of them (kube-openapi/pkg/generators/enum.go)."""
    lines = text.split("\n")
    enums = {}
    for index, line in enumerate(lines):
        named = re.match(r"type (\w+) string$", line.split("//")[0].rstrip())
        if named and any(re.match(r"\+enum\b", c) for c in comments_above(lines, index)):
            enums[named[1]] = {}
    for index, line in enumerate(lines):
        value = re.match(r'(?:const )?\s*(\w+)\s+(\w+)\s+=\s+"([^"]*)"', line)
        if value and value[2] in enums:
            said = " ".join(comments_above(lines, index)).strip().removeprefix(value[1]).strip()
            enums[value[2]][value[3]] = re.sub(r"\s+", " ", said)
    return {name: values for name, values in enums.items() if values}


def fields_of(text):
    """Each struct's fields: (struct, name in JSON, Go type)."""
    struct = None
    for line in text.split("\n"):
        if opened := re.match(r"type (\w+) struct \{", line):
            struct = opened[1]
        elif line.startswith("}"):
            struct = None
        elif struct and (field := re.match(r'\s+\w+\s+(\S+)\s+`.*json:"([^",]+)', line)):
            yield struct, field[2], field[1]


def add_enums(schemas, api):
    """Write each field's enum into its schema, as the server's generator does."""
    sources = {}
    for path in sorted(api.glob("*/v*/types.go")):
        sources.setdefault(".".join(path.parent.parts[-2:]), path.read_text())
    enums = {package: enums_of(text) for package, text in sources.items()}
    count = 0
    for package, text in sources.items():
        imports = {"v1": "core.v1"}
        for line in re.finditer(r'^\s+(\w+ )?"k8s\.io/api/(\w+)/(\w+)"', text, re.M):
            imports[(line[1] or line[3]).strip()] = f"{line[2]}.{line[3]}"
        for struct, name, go in fields_of(text):
            inner = go.removeprefix("[]").removeprefix("*")
            home, _, kind = inner.rpartition(".")
            values = enums.get(imports.get(home, "") if home else package, {}).get(kind)
            schema = schemas.get(f"io.k8s.api.{package}.{struct}")
            field = schema and schema.get("properties", {}).get(name)
            if not values or not field:
                continue
            count += 1
            if go.startswith("[]"):
                field["items"]["enum"] = sorted(values)
                continue
            field["enum"] = sorted(values)
            said = sorted(f' - `{json.dumps(value)}` {text}'.rstrip() for value, text in values.items())
            field["description"] = "\n".join([field.get("description", ""), "", "Possible enum values:", *said]).strip()
    return count


def main():
    """Read, add, cut and write."""
    documents, api, output = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    schemas = {}
    for group in GROUPS:
        schemas.update(json.loads((documents / f"{group}.json").read_text())["components"]["schemas"])
    added = add_enums(schemas, api)
    rows = []
    for name, schema in sorted(schemas.items()):
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        gvks = [f'{k["group"]}/{k["version"]}/{k["kind"]}' for k in kinds] if len(kinds) == 1 else []
        rows.append(f'{name}\t{",".join(gvks)}\t{json.dumps(schema, separators=(",", ":"), sort_keys=True)}\n')
    text = "".join(rows).encode()
    output.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{len(rows)} schemas, {added} enums, {len(text)} bytes, {output.stat().st_size} compressed")


if __name__ == "__main__":
    main()
