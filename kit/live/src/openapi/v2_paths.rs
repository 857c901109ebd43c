//! `/openapi/v2` in protobuf, as kubectl wants it: the paths, without any schema.
//!
//! kubectl asks for it where the third version has no answer, as for a `List` of objects, and then only whether PATCH
//! knows `fieldValidation` (`kubectl/pkg/util/openapi`, `k8s.io/cli-runtime/pkg/resource/query_param_verifier.go`). The
//! numbers of the fields are those of `openapiv2/OpenAPIv2.proto` of gnostic-models.

use kit_apimachinery::resource::Resource;

/// The form that kubectl names in `Accept`.
pub const ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// How the answer calls it: an `@` has no place in a media type (`kube-openapi/pkg/handler`).
pub const MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// What PATCH takes in its query (`metav1.PatchOptions`).
const PARAMETERS: [(&str, &str); 5] = [
    ("pretty", "string"),
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
    ("force", "boolean"),
];

/// The document.
pub fn paths(served: &[&Resource]) -> Vec<u8> {
    let mut paths = Vec::new();
    for resource in served.iter().filter(|resource| resource.verbs.iter().any(|verb| verb == "patch")) {
        let item = message(&[(8, &patch(resource))]);
        paths.extend(field(2, &message(&[(1, path(resource).as_bytes()), (2, &item)])));
    }
    let info = message(&[(1, b"Kubernetes"), (2, b"v1.33.0")]);
    message(&[(1, b"2.0"), (2, &info), (8, &paths)])
}

fn path(resource: &Resource) -> String {
    let namespace = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("/{}{namespace}/{}/{{name}}", resource.root(), resource.plural)
}

fn patch(resource: &Resource) -> Vec<u8> {
    let Resource { group, version, kind, .. } = resource;
    let mut operation = Vec::new();
    for (name, of) in PARAMETERS {
        let query = message(&[(2, b"query"), (4, name.as_bytes()), (6, of.as_bytes())]);
        let parameter = message(&[(2, &message(&[(3, &query)]))]);
        operation.extend(field(8, &message(&[(1, &parameter)])));
    }
    for (name, yaml) in [
        ("x-kubernetes-action", "patch\n".to_string()),
        ("x-kubernetes-group-version-kind", format!("group: \"{group}\"\nkind: {kind}\nversion: {version}\n")),
    ] {
        let any = message(&[(2, yaml.as_bytes())]);
        operation.extend(field(13, &message(&[(1, name.as_bytes()), (2, &any)])));
    }
    operation
}

fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    fields.iter().flat_map(|(number, bytes)| field(*number, bytes)).collect()
}

/// A field of bytes: its number and wire type 2, its length as a varint, and the bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}
