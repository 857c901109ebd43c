//! Rows of workloads, services and volumes.

use super::text::{age, human, labels, list_or_none, selector, word};
use kit_api::jiff::Timestamp;
use serde_json::Value;

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> + Clone {
    value[field].as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// The names and the images of a template's containers.
pub fn containers(spec: &Value) -> (String, String) {
    let of =
        |field: &str| list(spec, "containers").map(|container| word(&container[field])).collect::<Vec<_>>().join(",");
    (of("name"), of("image"))
}

fn wide(row: &mut Vec<Value>, object: &Value) {
    let (names, images) = containers(&object["spec"]["template"]["spec"]);
    row.push(names.into());
    row.push(images.into());
}

fn born(object: &Value, now: Timestamp) -> Value {
    age(&object["metadata"]["creationTimestamp"], now).into()
}

pub fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let counts =
        [&spec["replicas"], &status["replicas"], &status["readyReplicas"]].map(|count| Value::from(int(count)));
    let mut row = vec![object["metadata"]["name"].clone()];
    row.extend(counts);
    row.push(born(object, now));
    wide(&mut row, object);
    let plain = spec["selector"].get("matchLabels").is_none() && spec["selector"].get("matchExpressions").is_none();
    row.push(if plain { labels(&spec["selector"]).into() } else { selector(&spec["selector"]).into() });
    row
}

pub fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let counts = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut row = vec![object["metadata"]["name"].clone()];
    row.extend(counts.map(|count| Value::from(int(&status[count]))));
    row.push(labels(&object["spec"]["template"]["spec"]["nodeSelector"]).into());
    row.push(born(object, now));
    wide(&mut row, object);
    row.push(selector(&object["spec"]["selector"]).into());
    row
}

pub fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let mut row = vec![
        object["metadata"]["name"].clone(),
        format!("{}/{}", int(&status["readyReplicas"]), int(&object["spec"]["replicas"])).into(),
        int(&status["updatedReplicas"]).into(),
        int(&status["availableReplicas"]).into(),
        born(object, now),
    ];
    wide(&mut row, object);
    row.push(selector(&object["spec"]["selector"]).into());
    row
}

pub fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = format!("{}/{}", int(&object["status"]["readyReplicas"]), int(&object["spec"]["replicas"]));
    let mut row = vec![object["metadata"]["name"].clone(), ready.into(), born(object, now)];
    wide(&mut row, object);
    row
}

pub fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let done = int(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), spec["parallelism"].as_i64()) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, Some(parallel)) if parallel > 1 => format!("{done}/1 of {parallel}"),
        _ => format!("{done}/1"),
    };
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let duration = match (time(&status["startTime"]), time(&status["completionTime"])) {
        (None, _) => String::new(),
        (Some(start), end) => human(end.unwrap_or(now).as_second() - start.as_second()),
    };
    let has = |type_: &str| list(status, "conditions").any(|c| c["type"] == type_ && c["status"] == "True");
    let state = match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if object["metadata"]["deletionTimestamp"].is_string() => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let mut row =
        vec![object["metadata"]["name"].clone(), state.into(), completions.into(), duration.into(), born(object, now)];
    wide(&mut row, object);
    row.push(selector(&spec["selector"]).into());
    row
}

pub fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let last = match status["lastScheduleTime"].is_string() {
        true => age(&status["lastScheduleTime"], now),
        false => "<none>".into(),
    };
    let zone = spec["timeZone"].as_str().unwrap_or("<none>");
    let (names, images) = containers(&spec["jobTemplate"]["spec"]["template"]["spec"]);
    let selected = &spec["jobTemplate"]["spec"]["selector"];
    vec![
        object["metadata"]["name"].clone(),
        spec["schedule"].clone(),
        zone.into(),
        word(&spec["suspend"]).replace('t', "T").replace('f', "F").into(),
        list(status, "active").count().into(),
        last.into(),
        born(object, now),
        names.into(),
        images.into(),
        selector(selected).into(),
    ]
}

/// What each metric is and should be (`formatHPAMetrics`).
pub fn targets(object: &Value) -> String {
    let current: Vec<&Value> = list(&object["status"], "currentMetrics").collect();
    let metrics: Vec<&Value> = list(&object["spec"], "metrics").collect();
    let mut said: Vec<String> = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let type_ = word(&metric["type"]);
        let field = type_[..1.min(type_.len())].to_lowercase() + type_.get(1..).unwrap_or_default();
        let source = &metric[&field];
        let target = &source["target"];
        let now = current.get(index).map(|current| &current[&field]["current"]);
        let is = |kind: &str| now.and_then(|now| now.get(kind)).filter(|value| !value.is_null()).map(word);
        let name = word(&source["name"]);
        let text = match (target.get("averageUtilization"), target.get("averageValue")) {
            (Some(wanted), _) if !wanted.is_null() => {
                let is = is("averageUtilization").map_or_else(|| "<unknown>".into(), |value| format!("{value}%"));
                format!("{is}/{wanted}%")
            }
            (_, Some(wanted)) if !wanted.is_null() => {
                let average = is("averageValue").unwrap_or_else(|| "<unknown>".into());
                let tail = if ["object", "external"].contains(&field.as_str()) { " (avg)" } else { "" };
                format!("{average}/{}{tail}", word(wanted))
            }
            _ => format!("{}/{}", is("value").unwrap_or_else(|| "<unknown>".into()), word(&target["value"])),
        };
        said.push(if name.is_empty() { text } else { format!("{name}: {text}") });
    }
    match said.len() {
        0 => "<none>".into(),
        1 | 2 => said.join(", "),
        more => format!("{} + {} more...", said[..2].join(", "), more - 2),
    }
}

pub fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let target = &spec["scaleTargetRef"];
    vec![
        object["metadata"]["name"].clone(),
        format!("{}/{}", word(&target["kind"]), word(&target["name"])).into(),
        targets(object).into(),
        spec["minReplicas"].as_i64().map_or_else(|| "<unset>".to_string(), |least| least.to_string()).into(),
        int(&spec["maxReplicas"]).into(),
        int(&object["status"]["currentReplicas"]).into(),
        born(object, now),
    ]
}

pub fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let type_ = word(&spec["type"]);
    let address = match spec["clusterIP"].as_str() {
        Some(address) if !address.is_empty() => address.to_string(),
        _ => "<none>".into(),
    };
    let external: Vec<String> = list(spec, "externalIPs").map(word).collect();
    let outside = match type_.as_str() {
        "ExternalName" => word(&spec["externalName"]),
        "LoadBalancer" => {
            let ingress = list(&status["loadBalancer"], "ingress")
                .map(|each| if each["ip"].is_string() { word(&each["ip"]) } else { word(&each["hostname"]) });
            let all: Vec<String> = ingress.chain(external).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        _ => list_or_none(&external),
    };
    let ports: Vec<String> = list(spec, "ports")
        .map(|port| match int(&port["nodePort"]) {
            0 => format!("{}/{}", port["port"], word(&port["protocol"])),
            node => format!("{}:{node}/{}", port["port"], word(&port["protocol"])),
        })
        .collect();
    vec![
        object["metadata"]["name"].clone(),
        type_.into(),
        address.into(),
        outside.into(),
        list_or_none(&ports).into(),
        born(object, now),
        labels(&spec["selector"]).into(),
    ]
}

pub fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let mut hosts: Vec<String> =
        list(spec, "rules").map(|rule| word(&rule["host"])).filter(|host| !host.is_empty()).collect();
    let more = hosts.len().saturating_sub(3);
    hosts.truncate(3);
    let hosts = match (hosts.is_empty(), more) {
        (true, _) => "*".into(),
        (false, 0) => hosts.join(","),
        (false, more) => format!("{} + {more} more...", hosts.join(",")),
    };
    let addresses: Vec<String> = list(&object["status"]["loadBalancer"], "ingress")
        .map(|each| if each["ip"].is_string() { word(&each["ip"]) } else { word(&each["hostname"]) })
        .collect();
    let ports = if list(spec, "tls").count() > 0 { "80, 443" } else { "80" };
    vec![
        object["metadata"]["name"].clone(),
        spec["ingressClassName"].as_str().unwrap_or("<none>").into(),
        hosts.into(),
        addresses.join(",").into(),
        ports.into(),
        born(object, now),
    ]
}

/// `formatEndpoints`: at most three, and how many more there are.
pub fn endpoints(object: &Value) -> String {
    let (mut shown, mut count) = (Vec::new(), 0);
    for subset in list(object, "subsets") {
        let ports: Vec<&Value> = list(subset, "ports").collect();
        for address in list(subset, "addresses") {
            let each: Vec<String> = match ports.is_empty() {
                true => vec![word(&address["ip"])],
                false => ports.iter().map(|port| format!("{}:{}", word(&address["ip"]), port["port"])).collect(),
            };
            count += each.len();
            shown.extend(each);
        }
    }
    shown.truncate(3);
    match count {
        0 => "<none>".into(),
        1..=3 => shown.join(","),
        more => format!("{} + {} more...", shown.join(","), more - 3),
    }
}

pub fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let some = |texts: Vec<String>| match texts.len() {
        0 => "<unset>".to_string(),
        1..=3 => texts.join(","),
        more => format!("{} + {} more...", texts[..3].join(","), more - 3),
    };
    let port = |port: &Value| match port["port"].as_i64() {
        Some(number) => number.to_string(),
        None => "*".into(),
    };
    let addresses = list(object, "endpoints").flat_map(|endpoint| list(endpoint, "addresses").map(word));
    vec![
        object["metadata"]["name"].clone(),
        object["addressType"].clone(),
        some(list(object, "ports").map(port).collect()).into(),
        some(addresses.collect()).into(),
        born(object, now),
    ]
}

fn modes(modes: &Value, field: &str) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteMany") => "RWX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    list(modes, field).map(short).collect::<Vec<_>>().join(",")
}

pub fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let claim = match spec["claimRef"].is_object() {
        true => format!("{}/{}", word(&spec["claimRef"]["namespace"]), word(&spec["claimRef"]["name"])),
        false => String::new(),
    };
    let phase = match object["metadata"]["deletionTimestamp"].is_string() {
        true => "Terminating".into(),
        false => word(&status["phase"]),
    };
    vec![
        object["metadata"]["name"].clone(),
        word(&spec["capacity"]["storage"]).into(),
        modes(spec, "accessModes").into(),
        word(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase.into(),
        claim.into(),
        word(&spec["storageClassName"]).into(),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
        word(&status["reason"]).into(),
        born(object, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>").into(),
    ]
}

pub fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = match object["metadata"]["deletionTimestamp"].is_string() {
        true => "Terminating".into(),
        false => word(&status["phase"]),
    };
    let bound = !word(&spec["volumeName"]).is_empty();
    let (capacity, access) = match bound {
        true => (word(&status["capacity"]["storage"]), modes(status, "accessModes")),
        false => Default::default(),
    };
    vec![
        object["metadata"]["name"].clone(),
        phase.into(),
        word(&spec["volumeName"]).into(),
        capacity.into(),
        access.into(),
        word(&spec["storageClassName"]).into(),
        spec["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into(),
        born(object, now),
        spec["volumeMode"].as_str().unwrap_or("<unset>").into(),
    ]
}
