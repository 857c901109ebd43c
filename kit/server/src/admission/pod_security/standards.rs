//! The checks of the pod security standards, each with what it says of a pod that breaks it.
//!
//! Source: `pod-security-admission/policy/check_*.go`.

use serde_json::Value;
use std::collections::BTreeSet;

/// What is wrong with a pod: the reason, and the values that it is about.
pub struct Problem {
    pub reason: String,
    pub detail: String,
}

/// A pod, or the template of one.
#[derive(Clone, Copy)]
pub struct Pod<'a> {
    pub annotations: &'a Value,
    pub spec: &'a Value,
}

type Check = fn(Pod<'_>, u32) -> Option<Problem>;

/// The checks of the level `baseline`, in the order of their names.
const BASELINE: [(&str, Check); 11] = [
    ("appArmorProfile", app_armor),
    ("capabilities_baseline", added_capabilities),
    ("hostNamespaces", host_namespaces),
    ("hostPathVolumes", host_paths),
    ("hostPorts", host_ports),
    ("privileged", privileged),
    ("procMount", proc_mount),
    ("seLinuxOptions", se_linux),
    ("seccompProfile_baseline", seccomp),
    ("sysctls", sysctls),
    ("windowsHostProcess", host_process),
];

/// What `restricted` has beside: since which minor version, and which check of the other level it takes the place of.
const RESTRICTED: [(u32, &str, Check); 6] = [
    (8, "", escalation),
    (22, "capabilities_baseline", dropped_capabilities),
    (0, "hostPathVolumes", volumes),
    (0, "", non_root),
    (23, "", root),
    (19, "seccompProfile_baseline", seccomp_required),
];

/// All that is wrong with a pod by a level, as it was in a minor version.
pub fn problems(restricted: bool, version: u32, pod: Pod<'_>) -> Vec<Problem> {
    let mut stricter = RESTRICTED.to_vec();
    stricter.retain(|(since, ..)| restricted && version >= *since);
    let baseline = BASELINE.iter().filter(|(name, _)| !stricter.iter().any(|(_, instead, _)| instead == name));
    let checks = baseline.map(|(_, check)| check).chain(stricter.iter().map(|(.., check)| check));
    checks.filter_map(|check| check(pod, version)).collect()
}

fn problem(reason: &str, detail: impl Into<String>) -> Option<Problem> {
    Some(Problem { reason: reason.into(), detail: detail.into() })
}

fn items<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    of[field].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl<'a> Pod<'a> {
    fn containers(self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(move |list| items(self.spec, list))
    }

    /// The names of the containers whose security context is bad.
    fn bad(self, is: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        let bad = self.containers().filter(|container| is(&container["securityContext"]));
        bad.map(|container| text(&container["name"])).collect()
    }

    /// Who says something bad: the pod, and containers by name.
    fn setters(self, is: impl Fn(&Value) -> bool) -> Vec<String> {
        let pod = is(&self.spec["securityContext"]).then(|| "pod".to_string());
        pod.into_iter().chain(named("container", &self.bad(is))).collect()
    }

    fn is_windows(self) -> bool {
        self.spec["os"]["name"] == "windows"
    }
}

fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

fn many(word: &str, count: usize) -> String {
    if count == 1 { word.into() } else { format!("{word}s") }
}

/// `containers "a", "b"`; nothing if there are none.
fn named(word: &str, names: &[&str]) -> Option<String> {
    (!names.is_empty()).then(|| format!("{} {}", many(word, names.len()), quoted(names)))
}

fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

fn app_armor(pod: Pod<'_>, _: u32) -> Option<Problem> {
    const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
    let type_ = |context: &Value| {
        context.get("appArmorProfile").filter(|p| p.is_object()).map(|p| text(&p["type"]).to_string())
    };
    let is_bad =
        |context: &Value| type_(context).is_some_and(|t| !["RuntimeDefault", "Localhost"].contains(&t.as_str()));
    let mut setters = pod.setters(is_bad);
    let contexts = pod.containers().map(|container| &container["securityContext"]);
    let contexts = contexts.chain([&pod.spec["securityContext"]]).filter(|context| is_bad(context));
    let mut values: Vec<String> = contexts.filter_map(type_).collect::<BTreeSet<_>>().into_iter().collect();
    let fits = |value: &str| ["", "runtime/default"].contains(&value) || value.starts_with("localhost/");
    let annotations = pod.annotations.as_object().into_iter().flatten();
    let mut bad: Vec<String> = annotations
        .filter(|(name, value)| name.starts_with(ANNOTATION) && !fits(text(value)))
        .map(|(name, value)| format!("{name}={:?}", text(value)))
        .collect();
    if !bad.is_empty() {
        setters.push(many("annotation", bad.len()));
        bad.sort();
        values.append(&mut bad);
    }
    if setters.is_empty() {
        return None;
    }
    let detail = format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(&values));
    problem(&many("forbidden AppArmor profile", values.len()), detail)
}

/// Capabilities that containers add beside these.
fn added<'a>(pod: Pod<'a>, allowed: &[&str]) -> (Vec<&'a str>, BTreeSet<&'a str>) {
    let mut all = BTreeSet::new();
    let mut bad = Vec::new();
    for container in pod.containers() {
        let list = items(&container["securityContext"]["capabilities"], "add").map(text);
        let mine: Vec<&str> = list.filter(|name| !allowed.contains(name)).collect();
        if !mine.is_empty() {
            bad.push(text(&container["name"]));
        }
        all.extend(mine);
    }
    (bad, all)
}

fn added_capabilities(pod: Pod<'_>, _: u32) -> Option<Problem> {
    const ALLOWED: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let (bad, all) = added(pod, &ALLOWED);
    let detail =
        format!("{} must not include {} in securityContext.capabilities.add", named("container", &bad)?, quoted(all));
    problem("non-default capabilities", detail)
}

fn dropped_capabilities(pod: Pod<'_>, version: u32) -> Option<Problem> {
    if version >= 25 && pod.is_windows() {
        return None;
    }
    let keeps = pod.bad(|context| !items(&context["capabilities"], "drop").any(|name| name == "ALL"));
    let (adds, all) = added(pod, &["NET_BIND_SERVICE"]);
    let keeps =
        named("container", &keeps).map(|who| format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    let adds = named("container", &adds)
        .map(|who| format!("{who} must not include {} in securityContext.capabilities.add", quoted(all)));
    let details: Vec<String> = keeps.into_iter().chain(adds).collect();
    if details.is_empty() { None } else { problem("unrestricted capabilities", details.join("; ")) }
}

fn host_namespaces(pod: Pod<'_>, _: u32) -> Option<Problem> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.spec[field] == true);
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    if shared.is_empty() { None } else { problem("host namespaces", shared.join(", ")) }
}

fn host_paths(pod: Pod<'_>, _: u32) -> Option<Problem> {
    let bad = items(pod.spec, "volumes").filter(|volume| volume["hostPath"].is_object());
    let bad: Vec<&str> = bad.map(|volume| text(&volume["name"])).collect();
    problem("hostPath volumes", named("volume", &bad)?)
}

fn host_ports(pod: Pod<'_>, _: u32) -> Option<Problem> {
    let of = |container: &Value| -> Vec<String> {
        let ports = items(container, "ports").filter_map(|port| port["hostPort"].as_i64());
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let bad: Vec<&Value> = pod.containers().filter(|container| !of(container).is_empty()).collect();
    let ports: BTreeSet<String> = bad.iter().flat_map(|container| of(container)).collect();
    let names: Vec<&str> = bad.iter().map(|container| text(&container["name"])).collect();
    let list = ports.iter().cloned().collect::<Vec<_>>().join(", ");
    let (who, uses, ports) = (named("container", &names)?, uses(names.len()), many("hostPort", ports.len()));
    problem("hostPort", format!("{who} {uses} {ports} {list}"))
}

fn privileged(pod: Pod<'_>, _: u32) -> Option<Problem> {
    let who = named("container", &pod.bad(|context| context["privileged"] == true))?;
    problem("privileged", format!("{who} must not set securityContext.privileged=true"))
}

fn proc_mount(pod: Pod<'_>, _: u32) -> Option<Problem> {
    let other = |context: &Value| context["procMount"].as_str().filter(|mount| *mount != "Default").map(str::to_string);
    let who = named("container", &pod.bad(|context| other(context).is_some()))?;
    let types: BTreeSet<String> =
        pod.containers().filter_map(|container| other(&container["securityContext"])).collect();
    problem("procMount", format!("{who} must not set securityContext.procMount to {}", quoted(types)))
}

fn se_linux(pod: Pod<'_>, version: u32) -> Option<Problem> {
    const ALLOWED: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let allowed = if version >= 31 { &ALLOWED[..] } else { &ALLOWED[..4] };
    let bad_type = |options: &Value| !allowed.contains(&text(&options["type"]));
    let has = |options: &Value, field: &str| !text(&options[field]).is_empty();
    let is_bad = |context: &Value| {
        let options = &context["seLinuxOptions"];
        bad_type(options) || has(options, "user") || has(options, "role")
    };
    let setters = pod.setters(is_bad);
    if setters.is_empty() {
        return None;
    }
    let contexts =
        pod.containers().map(|container| &container["securityContext"]).chain([&pod.spec["securityContext"]]);
    let options: Vec<&Value> = contexts.map(|context| &context["seLinuxOptions"]).collect();
    let types: BTreeSet<&str> = options.iter().filter(|o| bad_type(o)).map(|o| text(&o["type"])).collect();
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("{} {}", many("type", types.len()), quoted(types)));
    }
    let fields = ["user", "role"].into_iter().filter(|field| options.iter().any(|options| has(options, field)));
    data.extend(fields.map(|field| format!("{field} may not be set")));
    let (who, data) = (setters.join(" and "), data.join("; "));
    problem("seLinuxOptions", format!("{who} set forbidden securityContext.seLinuxOptions: {data}"))
}

const PROFILES: [&str; 2] = ["Localhost", "RuntimeDefault"];

/// The type of a profile that is set and is none of those that are allowed.
fn bad_profile(context: &Value) -> Option<&str> {
    let profile = &context["seccompProfile"];
    Some(text(&profile["type"])).filter(|type_| profile.is_object() && !PROFILES.contains(type_))
}

fn seccomp_set(pod: Pod<'_>) -> Option<Problem> {
    let setters = pod.setters(|context| bad_profile(context).is_some());
    if setters.is_empty() {
        return None;
    }
    let contexts =
        pod.containers().map(|container| &container["securityContext"]).chain([&pod.spec["securityContext"]]);
    let values: BTreeSet<&str> = contexts.filter_map(bad_profile).collect();
    let who = setters.join(" and ");
    problem("seccompProfile", format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(values)))
}

fn seccomp(pod: Pod<'_>, version: u32) -> Option<Problem> {
    const OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    if version >= 19 {
        return seccomp_set(pod);
    }
    let fits = |value: &str| ["runtime/default", "docker/default"].contains(&value) || value.starts_with("localhost/");
    let of_containers = pod.containers().map(|container| format!("{OF_CONTAINER}{}", text(&container["name"])));
    let names = of_containers.chain([OF_POD.to_string()]);
    let bad: BTreeSet<String> = names
        .filter_map(|name| {
            let value = pod.annotations[&name].as_str()?;
            (!fits(value)).then(|| format!("{name}={value:?}"))
        })
        .collect();
    let list = bad.iter().cloned().collect::<Vec<_>>().join(", ");
    if bad.is_empty() {
        return None;
    }
    problem("seccompProfile", format!("forbidden {} {list}", many("annotation", bad.len())))
}

fn seccomp_required(pod: Pod<'_>, version: u32) -> Option<Problem> {
    if version >= 25 && pod.is_windows() {
        return None;
    }
    let whole = &pod.spec["securityContext"];
    let set = whole["seccompProfile"].is_object() && bad_profile(whole).is_none();
    seccomp_set(pod).or_else(|| {
        let silent = pod.bad(|context| !set && !context["seccompProfile"].is_object());
        let who = named("container", &silent)?;
        let what = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
        problem("seccompProfile", format!("pod or {who} {what}"))
    })
}

fn sysctls(pod: Pod<'_>, version: u32) -> Option<Problem> {
    const ALLOWED: [(u32, &str); 12] = [
        (0, "kernel.shm_rmid_forced"),
        (0, "net.ipv4.ip_local_port_range"),
        (0, "net.ipv4.tcp_syncookies"),
        (0, "net.ipv4.ping_group_range"),
        (0, "net.ipv4.ip_unprivileged_port_start"),
        (27, "net.ipv4.ip_local_reserved_ports"),
        (29, "net.ipv4.tcp_keepalive_time"),
        (29, "net.ipv4.tcp_fin_timeout"),
        (29, "net.ipv4.tcp_keepalive_intvl"),
        (29, "net.ipv4.tcp_keepalive_probes"),
        (32, "net.ipv4.tcp_rmem"),
        (32, "net.ipv4.tcp_wmem"),
    ];
    let allowed = |name: &str| ALLOWED.iter().any(|(since, known)| version >= *since && name == *known);
    let bad = items(&pod.spec["securityContext"], "sysctls").map(|sysctl| text(&sysctl["name"]));
    let bad: Vec<&str> = bad.filter(|name| !allowed(name)).collect();
    if bad.is_empty() { None } else { problem("forbidden sysctls", bad.join(", ")) }
}

fn host_process(pod: Pod<'_>, _: u32) -> Option<Problem> {
    let setters = pod.setters(|context| context["windowsOptions"]["hostProcess"] == true);
    let who = setters.join(" and ");
    let what = "must not set securityContext.windowsOptions.hostProcess=true";
    if setters.is_empty() { None } else { problem("hostProcess", format!("{who} {what}")) }
}

fn escalation(pod: Pod<'_>, version: u32) -> Option<Problem> {
    if version >= 25 && pod.is_windows() {
        return None;
    }
    let who = named("container", &pod.bad(|context| context["allowPrivilegeEscalation"] != false))?;
    let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
    problem("allowPrivilegeEscalation != false", detail)
}

fn volumes(pod: Pod<'_>, _: u32) -> Option<Problem> {
    const ALLOWED: [&str; 9] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let type_ = |volume: &Value| {
        let fields = volume.as_object().into_iter().flatten().filter(|(name, of)| *name != "name" && of.is_object());
        fields.map(|(name, _)| name.clone()).next().unwrap_or_else(|| "unknown".into())
    };
    let bad = items(pod.spec, "volumes").filter(|volume| !ALLOWED.contains(&type_(volume).as_str()));
    let bad: Vec<&Value> = bad.collect();
    let types: BTreeSet<String> = bad.iter().map(|volume| type_(volume)).collect();
    let names: Vec<&str> = bad.iter().map(|volume| text(&volume["name"])).collect();
    let (who, uses) = (named("volume", &names)?, uses(names.len()));
    let what = many("restricted volume type", types.len());
    problem("restricted volume types", format!("{who} {uses} {what} {}", quoted(types)))
}

fn non_root(pod: Pod<'_>, _: u32) -> Option<Problem> {
    const REASON: &str = "runAsNonRoot != true";
    let setters = pod.setters(|context| context["runAsNonRoot"] == false);
    if !setters.is_empty() {
        return problem(REASON, format!("{} must not set securityContext.runAsNonRoot=false", setters.join(" and ")));
    }
    let set = pod.spec["securityContext"]["runAsNonRoot"] == true;
    let silent = pod.bad(|context| !set && !context["runAsNonRoot"].is_boolean());
    problem(REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", named("container", &silent)?))
}

fn root(pod: Pod<'_>, _: u32) -> Option<Problem> {
    let setters = pod.setters(|context| context["runAsUser"] == 0);
    let who = setters.join(" and ");
    if setters.is_empty() { None } else { problem("runAsUser=0", format!("{who} must not set runAsUser=0")) }
}
