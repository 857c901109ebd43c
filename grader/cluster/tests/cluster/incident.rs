//! `cluster up --incident` and `cluster check`: what has happened lies in the past, and what is mended is known.

use crate::client::{Client, Cluster};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../solutions/interviews/incidents/storefront-image.yaml");
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/web/deployments/storefront";
/// The file's: ten minutes that all was well, twenty seconds before them, and five minutes that it was not.
const PLAYED: i64 = 10 * 60 + 20 + 5 * 60;

fn check(name: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
    command.args(["--name", name, "check"]).args(args).output().expect("it runs")
}

fn verdict(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn seconds(time: &Value) -> i64 {
    let time = time.as_str().expect("a time").parse::<kit_api::jiff::Timestamp>();
    time.expect("a time of RFC 3339").as_second()
}

#[test]
fn it_has_happened_before_the_door_opens_and_is_mended_by_whoever_can() {
    let name = format!("incident-{}", std::process::id());
    let page = std::env::temp_dir().join(format!("{name}.html"));
    let html = page.to_string_lossy().into_owned();
    let cluster = Cluster::up(&name, &["--incident", FILE, "--speed", "20", "--html", &html]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let mut client = Client::connect(&cluster.kubeconfig());
    let (_, deployment) = client.ask("GET", DEPLOYMENT, &Value::Null).expect("an answer");
    let age = now - seconds(&deployment["metadata"]["creationTimestamp"]);
    assert!((PLAYED - 30..PLAYED + 60).contains(&age), "it is {age} s old");
    let (_, events) = client.ask("GET", "/api/v1/events", &Value::Null).expect("an answer");
    let events = events["items"].as_array().expect("events");
    let failed = events.iter().find(|event| event["reason"] == "Failed").expect("an image that can't be pulled");
    let first = now - seconds(&failed["firstTimestamp"]);
    assert!((240..400).contains(&first), "it failed first {first} s ago");

    let broken = check(&name, &["--format", "json"]);
    assert_eq!(broken.status.code(), Some(1));
    assert_eq!(verdict(&broken)["healed"], false);
    let said = String::from_utf8_lossy(&check(&name, &[]).stdout).into_owned();
    assert!(said.contains("✗ service/web/storefront endpoints >= 4   1"), "{said}");
    assert!(said.contains("✓ pods in web with app=storefront ready >= 1   1"), "{said}");
    let one = check(&name, &["service/web/storefront endpoints >= 1", "--hold", "10s"]);
    assert_eq!(one.status.code(), Some(0), "{one:?}");

    let (_, mut deployment) = client.ask("GET", DEPLOYMENT, &Value::Null).expect("an answer");
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("registry.example.com/web/storefront:1.9.0");
    assert_eq!(client.ask("PUT", DEPLOYMENT, &deployment).expect("an answer").0, 200);
    let mended = check(&name, &["--format", "json", "--hold", "30s", "--wait", "60"]);
    let said = verdict(&mended);
    assert_eq!(
        (mended.status.code(), &said["healed"], &said["kept"], &said["solved"]),
        (Some(0), &json!(true), &json!(true), &json!(true)),
        "{said}"
    );
    assert!(said["held"].as_f64().is_some_and(|held| held >= 30.0), "{said}");

    // From the whole of a Deployment to none of it: what is mended can be broken again, and is not forgiven.
    deployment = client.ask("GET", DEPLOYMENT, &Value::Null).expect("an answer").1;
    deployment["spec"]["replicas"] = json!(0);
    assert_eq!(client.ask("PUT", DEPLOYMENT, &deployment).expect("an answer").0, 200);
    let gone = check(&name, &["no deployment/web/storefront", "--wait", "1"]);
    assert_eq!(gone.status.code(), Some(1));
    let broken = verdict(&check(&name, &["--format", "json", "--hold", "1s"]));
    assert_eq!((&broken["kept"], &broken["solved"]), (&json!(false), &json!(false)), "{broken}");

    // All of it can be watched again, from the moment on in which the door opened.
    let mut down = Command::new(env!("CARGO_BIN_EXE_cluster"));
    assert!(down.args(["--name", &name, "down"]).status().expect("it runs").success());
    let text = std::fs::read_to_string(&page).expect("the cluster left a page behind");
    _ = std::fs::remove_file(&page);
    let recording = text.split_once("id=\"recording\">").and_then(|(_, rest)| rest.split_once("</script>"));
    let recording: Value = serde_json::from_str(recording.expect("a recording").0).expect("JSON");
    assert_eq!((&recording["live"], &recording["title"]), (&json!(false), &json!("storefront-image")));
    let from = recording["from"].as_i64().expect("where it begins") / 1000;
    assert!((PLAYED - 1..PLAYED + 60).contains(&from), "it begins at {from} s");
    let objects = recording["objects"].as_array().expect("objects");
    let storefront = objects.iter().position(|one| one["kind"] == "Deployment" && one["name"] == "storefront");
    let wanted = |change: &Value| {
        change[1].as_u64() == storefront.map(|id| id as u64)
            && change[3].get("want").is_some_and(|want| want.is_null() || want == 0)
    };
    assert!(recording["changes"].as_array().expect("changes").iter().any(wanted), "nobody scaled it down");
}

#[test]
fn what_can_not_be_asked_is_told_why() {
    let name = format!("plain-{}", std::process::id());
    let _cluster = Cluster::up(&name, &["--nodes", "1"]);
    for (args, why) in [
        (&[][..], "was started without an incident"),
        (&["web happy"][..], "`web happy` is no condition"),
        (&["nothing.yaml"][..], "nothing.yaml: No such file"),
        (&["web ready >= 1", "--hold", "soon"][..], "--hold: time: invalid duration"),
    ] {
        let refused = check(&name, args);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.yaml");
    std::fs::write(&file, "name: bad\nhealed: [web happy]\n").expect("a file");
    let refused =
        Cluster::command("bad", &["--incident", file.to_str().expect("a plain path")]).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("healed[0]: `web happy` is no condition"), "{said}");
}
