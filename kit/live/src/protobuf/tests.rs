use super::decode::{MAX_MESSAGES, duration};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What kubectl 1.32 sent, and what `--dry-run=client -o json` of the same command prints (without the null
/// creation times); the last two have no dry run.
pub(crate) const CAPTURED: &[(&str, &str)] = &[
    (
        "azhzAAoPCgJ2MRIJQ29uZmlnTWFwEiQKEgoCY20SABoAIgAqADIAOABCABIGCgFhEgExEgYKAWISATIaACIA",
        r#"{"kind":"ConfigMap", "apiVersion":"v1", "metadata":{"name":"cm"}, "data":{"a":"1", "b":"2"}}"#,
    ),
    (
        "azhzAAoMCgJ2MRIGU2VjcmV0EioKEQoBcxIAGgAiACoAMgA4AEIAEhMKCHBhc3N3b3JkEgdodW50ZXIyGgAaACIA",
        r#"{"kind":"Secret", "apiVersion":"v1", "metadata":{"name":"s"}, "data":{"password":"aHVudGVyMg=="}}"#,
    ),
    (
        "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErgBCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEoYBCAMSDAoKCgNhcHAS\
         A3dlYhpsChwKABIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEkwSLgoFbmdpbngSBW5naW54KgAyCgoAEAAYUCIAKgBCAGoAcgCAAQCI\
         AQCQAQCiAQAaADIAQgBKAFIAWABgAGgAggEAigEAmgEAwgEAIgIKACgAOAAaDAgAEAAYACAAKAA4ABoAIgA=",
        r#"{"kind":"Deployment", "apiVersion":"apps/v1", "metadata":{"name":"web", "labels":{"app":"web"}},
        "spec":{"replicas":3, "selector":{"matchLabels":{"app":"web"}},
        "template":{"metadata":{"labels":{"app":"web"}}, "spec":{"containers":[{"name":"nginx",
        "image":"nginx", "ports":[{"containerPort":80}], "resources":{}}]}}, "strategy":{}}, "status":{}}"#,
    ),
    (
        "azhzAAoPCgJ2MRIJTmFtZXNwYWNlEhwKFAoEdGVhbRIAGgAiACoAMgA4AEIAEgAaAgoAGgAiAA==",
        r#"{"kind":"Namespace", "apiVersion":"v1", "metadata":{"name":"team"}, "spec":{}, "status":{}}"#,
    ),
    (
        "azhzAAofChRuZXR3b3JraW5nLms4cy5pby92MRIHSW5ncmVzcxJfChMKA2luZxIAGgAiACoAMgA4AEIAEkQSEgoHZm9vLmNvbRIHbXkt\
         Y2VydBouCgdmb28uY29tEiMKIQofCgQvYmFyEg8iDQoEc3ZjMRIFCgAQkD8aBlByZWZpeBoCCgAaACIA",
        r#"{"kind":"Ingress", "apiVersion":"networking.k8s.io/v1", "metadata":{"name":"ing"},
        "spec":{"tls":[{"hosts":["foo.com"], "secretName":"my-cert"}], "rules":[{"host":"foo.com",
        "http":{"paths":[{"path":"/bar", "pathType":"Prefix", "backend":{"service":{"name":"svc1",
        "port":{"number":8080}}}}]}}]}, "status":{"loadBalancer":{}}}"#,
    ),
    (
        "azhzAAoTCghiYXRjaC92MRIHQ3JvbkpvYhKkAQoSCgJjahIAGgAiACoAMgA4AEIAEosBCgsqLzEgKiAqICogKhoAKnoKEgoCY2oSABoA\
         IgAqADIAOABCABJkMmIKEAoAEgAaACIAKgAyADgAQgASThInCgJjahIHYnVzeWJveBoEZGF0ZSoAQgBqAHIAgAEAiAEAkAEAogEAGglP\
         bkZhaWx1cmUyAEIASgBSAFgAYABoAIIBAIoBAJoBAMIBABoAGgAiAA==",
        r#"{"kind":"CronJob", "apiVersion":"batch/v1", "metadata":{"name":"cj"},
        "spec":{"schedule":"*/1 * * * *", "jobTemplate":{"metadata":{"name":"cj"},
        "spec":{"template":{"metadata":{}, "spec":{"containers":[{"name":"cj", "image":"busybox",
        "command":["date"], "resources":{}}], "restartPolicy":"OnFailure"}}}}}, "status":{}}"#,
    ),
    (
        "azhzAAokChxyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvL3YxEgRSb2xlEigKEQoBchIAGgAiACoAMgA4AEIAEhMKA2dldAoEbGlzdBIA\
         GgRwb2RzGgAiAA==",
        r#"{"kind":"Role", "apiVersion":"rbac.authorization.k8s.io/v1", "metadata":{"name":"r"},
        "rules":[{"verbs":["get", "list"], "apiGroups":[""], "resources":["pods"]}]}"#,
    ),
    (
        "azhzAAoTCgJ2MRINUmVzb3VyY2VRdW90YRI0ChEKAXESABoAIgAqADIAOABCABIdCgoKA2NwdRIDCgExCg8KBm1lbW9yeRIFCgMxR2ka\
         ABoAIgA=",
        r#"{"kind":"ResourceQuota", "apiVersion":"v1", "metadata":{"name":"q"}, "spec":{"hard":{"cpu":"1",
        "memory":"1Gi"}}, "status":{}}"#,
    ),
    (
        "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSOAoRCgFwEgAaACIAKgAyADgAQgASFwoJCAEQABoDNTAlEgoKCAoD\
         YXBwEgF4GgoIABgAIAAoADAAGgAiAA==",
        r#"{"kind":"PodDisruptionBudget", "apiVersion":"policy/v1", "metadata":{"name":"p"},
        "spec":{"minAvailable":"50%", "selector":{"matchLabels":{"app":"x"}}},
        "status":{"disruptionsAllowed":0, "currentHealthy":0, "desiredHealthy":0, "expectedPods":0}}"#,
    ),
    (
        "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSNgoSCgJwMhIAGgAiACoAMgA4AEIAEhQSCgoICgNhcHASAXgaBggA\
         EAEaABoKCAAYACAAKAAwABoAIgA=",
        r#"{"kind":"PodDisruptionBudget", "apiVersion":"policy/v1", "metadata":{"name":"p2"},
        "spec":{"selector":{"matchLabels":{"app":"x"}}, "maxUnavailable":1},
        "status":{"disruptionsAllowed":0, "currentHealthy":0, "desiredHealthy":0, "expectedPods":0}}"#,
    ),
    (
        "azhzAAoNCgJ2MRIHU2VydmljZRJpCh8KA3N2YxIAGgAiACoAMgA4AEIAWgoKA2FwcBIDc3ZjEkIKGwoHODAtODA4MBIDVENQGFAiBwgA\
         EJA/GgAoABIKCgNhcHASA3N2YxoAIglDbHVzdGVySVA6AEIAUgBaAGAAaAAaAgoAGgAiAA==",
        r#"{"kind":"Service", "apiVersion":"v1", "metadata":{"name":"svc", "labels":{"app":"svc"}},
        "spec":{"ports":[{"name":"80-8080", "protocol":"TCP", "port":80, "targetPort":8080}],
        "selector":{"app":"svc"}, "type":"ClusterIP"}, "status":{"loadBalancer":{}}}"#,
    ),
    (
        "azhzAAopCg5hdXRvc2NhbGluZy92MhIXSG9yaXpvbnRhbFBvZEF1dG9zY2FsZXISXQoRCgFkEgAaACIAKgAyADgAQgASQgoYCgpEZXBs\
         b3ltZW50EgFkGgdhcHBzL3YxEAEYBSIiCghSZXNvdXJjZSIWCgNjcHUSDwoLVXRpbGl6YXRpb24gUBoEGAAgABoAIgA=",
        r#"{"kind":"HorizontalPodAutoscaler", "apiVersion":"autoscaling/v2", "metadata":{"name":"d"},
        "spec":{"scaleTargetRef":{"kind":"Deployment", "name":"d", "apiVersion":"apps/v1"}, "minReplicas":1,
        "maxReplicas":5, "metrics":[{"type":"Resource", "resource":{"name":"cpu",
        "target":{"type":"Utilization", "averageUtilization":80}}}]}, "status":{"desiredReplicas":0,
        "currentMetrics":null}}"#,
    ),
    (
        "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIdChAKABIAGgAiACoAMgA4AEIAEgMg2AQaBAoAEgAa\
         ACIA",
        r#"{"kind":"TokenRequest", "apiVersion":"authentication.k8s.io/v1", "metadata":{},
        "spec":{"audiences":null, "expirationSeconds":600, "boundObjectRef":null}, "status":{"token":"",
        "expirationTimestamp":null}}"#,
    ),
    (
        "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSQgoQCgASABoAIgAqADIAOABCABIk\
         CiIKB2RlZmF1bHQSBmNyZWF0ZRoAIgAqBHBvZHMyADoDbG9nGggIABIAGgAgABoAIgA=",
        r#"{"kind":"SelfSubjectAccessReview", "apiVersion":"authorization.k8s.io/v1", "metadata":{},
        "spec":{"resourceAttributes":{"namespace":"default", "verb":"create", "resource":"pods",
        "name":"log"}}, "status":{"allowed":false}}"#,
    ),
];

fn captured() -> impl Iterator<Item = (Vec<u8>, Value)> {
    CAPTURED.iter().map(|(body, json)| {
        (STANDARD.decode(body).expect("base64"), serde_json::from_str(json).expect("the expected JSON"))
    })
}

/// A field that has a length, for bodies that no client sends.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
    out.extend_from_slice(bytes);
    out
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC, &field(1, &types), &field(2, raw)].concat()
}

#[test]
fn kubectl_bodies_become_the_json_of_a_dry_run() {
    for (body, json) in captured() {
        let decoded = decode(&body).expect("a body of kubectl");
        assert_eq!(decoded, json);
        assert_eq!(
            decoded.as_object().map(|object| object.keys().take(2).cloned().collect()),
            Some(vec!["apiVersion".to_owned(), "kind".to_owned()])
        );
    }
}

#[test]
fn a_body_cut_off_anywhere_does_not_panic() {
    for (body, json) in captured() {
        let read: Vec<Value> = (0..body.len()).filter_map(|length| decode(&body[..length]).ok()).collect();
        // Only a cut between two of the four fields of the envelope leaves something that can be read.
        assert!(read.len() <= 3, "{read:?}");
        assert!(read.iter().all(|value| value["kind"] == json["kind"]));
    }
}

#[test]
fn flipped_bytes_do_not_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits")
    };
    for (body, _) in captured() {
        for _ in 0..300 {
            let mut broken = body.clone();
            for _ in 0..=random() % 3 {
                let at = MAGIC.len() + random() % (broken.len() - MAGIC.len());
                broken[at] ^= 1 << (random() % 8);
            }
            let _ = decode(&broken);
        }
    }
}

#[test]
fn malformed_bodies_are_refused_with_their_place() {
    let spec = |bytes: &[u8]| body("v1", "Pod", &field(2, bytes));
    let error = |body: &[u8]| decode(body).expect_err("a refusal");
    assert_eq!(error(&spec(&[0x8a, 0x06, 0])), "unknown field 97 in core.PodSpec");
    assert_eq!(error(&spec(&[0x20])), "a varint in core.PodSpec is cut off");
    assert_eq!(error(&spec(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f])), "field 2 in core.PodSpec is cut off");
    assert_eq!(
        error(&spec(&[0x18, 1])),
        "wrong wire type in core.PodSpec.restartPolicy: a varint where a length and bytes belongs"
    );
    assert_eq!(error(&spec(&[0x1a, 1, 0xff])), "core.PodSpec.restartPolicy is not valid UTF-8");
    assert_eq!(error(&spec(&[0x1b])), "wire type 3 of field 3 in core.PodSpec is not supported");
    assert_eq!(
        error(&spec(&[&[0x20][..], &[0xff; 9], &[0x7f]].concat())),
        "a varint in core.PodSpec has more than 64 bits"
    );
    assert_eq!(error(b"{}"), "the body does not start with the protobuf prefix k8s\\0");
    assert_eq!(
        error(&body("v1", "Sandwich", b"")),
        "no protobuf message is known for kind \"Sandwich\" of version \"v1\""
    );
    assert!(error(&body("v1", "PodSpec", b"")).starts_with("no protobuf message is known"));
    assert_eq!(error(&[body("v1", "Pod", b""), vec![0]].concat()), "0 is no field number in runtime.Unknown");
}

#[test]
fn nesting_and_the_number_of_messages_have_a_limit() {
    let schema = |bytes: &[u8]| {
        let version = field(4, &field(1, bytes));
        body("apiextensions.k8s.io/v1", "CustomResourceDefinition", &field(2, &field(7, &version)))
    };
    let mut deep = Vec::new();
    for _ in 0..80 {
        // `not`, field 28.
        deep = [&[0xe2, 0x01][..], &field(1, &deep)[1..]].concat();
    }
    let error = decode(&schema(&deep)).expect_err("too deep");
    assert_eq!(error, "messages are nested more than 64 deep at apiextensions.JSONSchemaProps");
    let many = field(2, &[]).repeat(MAX_MESSAGES);
    assert!(decode(&body("v1", "PodList", &many)).expect_err("too many").contains("more than 100000 messages"));
}

#[test]
fn times_and_options_have_their_json_form() {
    let time = |seconds: &[u8], nanos: &[u8]| [&[8], seconds, &[16], nanos].concat();
    // 2024-02-29T12:34:56.000001Z: 1709210096 seconds and 1000 nanoseconds.
    let lease = field(2, &field(4, &time(&[0xf0, 0xf3, 0x81, 0xaf, 0x06], &[0xe8, 0x07])));
    let lease = decode(&body("coordination.k8s.io/v1", "Lease", &lease)).expect("a lease");
    assert_eq!(lease["spec"], serde_json::json!({ "renewTime": "2024-02-29T12:34:56.000001Z" }));
    // Any API version has these options, that of a custom resource too. A pointer keeps its zero.
    let options = decode(&body("example.com/v1", "DeleteOptions", &[8, 0])).expect("options");
    assert_eq!(
        options,
        serde_json::json!({ "apiVersion": "example.com/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0 })
    );
    // Lists that are not omitted when empty are null in Go.
    let role = decode(&body("rbac.authorization.k8s.io/v1", "Role", b"")).expect("a role");
    assert_eq!(role["rules"], Value::Null);
}

#[test]
fn durations_read_as_in_go() {
    for (nanos, text) in [
        (0, "0s"),
        (15, "15ns"),
        (1_500, "1.5µs"),
        (20_000_000, "20ms"),
        (-1_500_000_000, "-1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_500_000_000, "1h0m0.5s"),
    ] {
        assert_eq!(duration(nanos), text);
    }
}

#[test]
fn the_media_type_is_known() {
    assert!(is_protobuf("application/vnd.kubernetes.protobuf"));
    assert!(is_protobuf("Application/vnd.kubernetes.Protobuf; charset=utf-8"));
    assert!(!is_protobuf("application/json"));
    assert!(!is_protobuf("application/vnd.kubernetes.protobuf.stream"));
}
