//! What pods and containers may do, and on which operating system.
//!
//! Source: `validatePodSpecSecurityContext`, `ValidateSecurityContext`, `validateWindows` and `validateLinux` of
//! `pkg/apis/core/validation/validation.go`.

use super::volumes::relative;
use crate::field::{At, Errors, quoted, shown};
use crate::go;
use std::collections::BTreeSet;

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// The security context of a pod.
pub fn of_pod(e: &mut Errors, spec: &At<'_>) {
    let context = spec.get("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(e, &context.get(field));
    }
    context.get("supplementalGroups").items().iter().for_each(|group| id(e, group));
    let share = spec.get("shareProcessNamespace");
    if spec.get("hostPID").flag() && share.flag() {
        // This field is one of the context in the internal type.
        let at = share.as_path(format!("{}.shareProcessNamespace", context.path));
        e.invalid(&at, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    sysctls(e, spec, &context.get("sysctls"));
    known(e, &context.get("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]);
    seccomp(e, &context.get("seccompProfile"));
    windows_options(e, &context.get("windowsOptions"));
    app_armor(e, &context.get("appArmorProfile"));
    known(e, &context.get("supplementalGroupsPolicy"), &["Merge", "Strict"]);
    // Labels are mounted only with SELinuxMount, which is off (`AllowOnlyRecursiveSELinuxChangePolicy`).
    known(e, &context.get("seLinuxChangePolicy"), &["Recursive"]);
}

/// The security context of a container.
pub fn of_container(e: &mut Errors, context: &At<'_>, host_users: bool) {
    id(e, &context.get("runAsUser"));
    id(e, &context.get("runAsGroup"));
    let mount = context.get("procMount");
    known(e, &mount, &["Default", "Unmasked"]);
    if host_users && mount.text() == "Unmasked" {
        e.invalid(&mount, "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(e, &context.get("seccompProfile"));
    let escalation = context.get("allowPrivilegeEscalation");
    if escalation.is_set() && !escalation.flag() {
        let mut contradiction = |with: &str| {
            let shown = go::dump_named(context.value, "core.SecurityContext");
            e.invalid_as(context, &shown, &format!("cannot set `allowPrivilegeEscalation` to false and {with}"));
        };
        if context.get("privileged").flag() {
            contradiction("`privileged` to true");
        }
        for _ in context.at("capabilities.add").items().iter().filter(|item| item.text() == "CAP_SYS_ADMIN") {
            contradiction("`capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    windows_options(e, &context.get("windowsOptions"));
    app_armor(e, &context.get("appArmorProfile"));
}

/// The number of a user or a group.
fn id(e: &mut Errors, id: &At<'_>) {
    if id.int().is_some_and(|id| !(0..=i64::from(i32::MAX)).contains(&id)) {
        e.invalid(id, "must be between 0 and 2147483647, inclusive");
    }
}

/// A field that, if it is there, is one of some.
fn known(e: &mut Errors, at: &At<'_>, values: &[&str]) {
    if at.is_set() && !values.contains(&at.text()) {
        e.not_supported(at, values);
    }
}

fn sysctls(e: &mut Errors, spec: &At<'_>, list: &At<'_>) {
    let segment = |text: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = text.as_bytes();
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(b))
    };
    let mut names = BTreeSet::new();
    for sysctl in list.items() {
        let name = sysctl.get("name");
        let text = name.text();
        if text.is_empty() {
            e.required(&name, "");
        } else if text.len() > 253 || !text.split(['.', '/']).all(segment) {
            let regex = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            e.invalid(&name, &format!("must have at most 253 characters and match regex {regex}"));
        } else if names.contains(text) {
            e.duplicate(&name, &quoted(text));
        }
        names.insert(text);
        // Namespaces of the kernel (`component-helpers/node/utils/sysctl`).
        let text = text.replace('/', ".");
        let of_ipc = ["kernel.sem", "kernel.shm_rmid_forced"].contains(&text.as_str())
            || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| text.starts_with(prefix));
        for (held, field) in [(text.starts_with("net."), "hostNetwork"), (of_ipc, "hostIPC")] {
            if held && spec.get(field).flag() {
                e.invalid(&name, &format!("may not be specified when '{field}' is true"));
            }
        }
    }
}

fn seccomp(e: &mut Errors, profile: &At<'_>) {
    if !profile.is_set() {
        return;
    }
    let (type_, file) = (profile.get("type"), profile.get("localhostProfile"));
    match type_.text() {
        "" => e.required(&type_, "type is required when seccompProfile is set"),
        text if PROFILES.contains(&text) => {}
        _ => e.not_supported(&type_, &PROFILES),
    }
    match (type_.text(), file.is_set()) {
        ("Localhost", false) => e.required(&file, "must be set when seccomp type is Localhost"),
        ("Localhost", true) => relative(e, &file),
        (_, true) => {
            let shown = go::dump_named(profile.value, "core.SeccompProfile");
            e.invalid_as(&file, &shown, "can only be set when seccomp type is Localhost");
        }
        (_, false) => {}
    }
}

fn app_armor(e: &mut Errors, profile: &At<'_>) {
    if !profile.is_set() {
        return;
    }
    let (type_, file) = (profile.get("type"), profile.get("localhostProfile"));
    match type_.text() {
        "Localhost" if file.text().trim() != file.text() => e.invalid(&file, "must not be padded with whitespace"),
        "Localhost" if file.text().is_empty() => e.required(&file, "must be set when AppArmor type is Localhost"),
        "Localhost" if file.text().len() > 4095 => e.too_long(&file, 4095),
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" if file.is_set() => {
            e.invalid(&file, "can only be set when AppArmor type is Localhost");
        }
        "RuntimeDefault" | "Unconfined" => {}
        "" => e.required(&type_, "type is required when appArmorProfile is set"),
        _ => e.not_supported(&type_, &PROFILES),
    }
}

fn windows_options(e: &mut Errors, options: &At<'_>) {
    let name = options.get("gmsaCredentialSpecName");
    if name.is_set() {
        e.all_invalid(&name, kit_api::name::dns1123_subdomain(name.text()));
    }
    let spec = options.get("gmsaCredentialSpec");
    if spec.is_set() && spec.text().is_empty() {
        e.invalid(&spec, "gmsaCredentialSpec cannot be an empty string");
    } else if spec.text().len() > 64 * 1024 {
        e.invalid(&spec, "gmsaCredentialSpec size must be under 64 KiB");
    }
    if options.get("runAsUserName").is_set() {
        windows_user(e, &options.get("runAsUserName"));
    }
}

fn windows_user(e: &mut Errors, at: &At<'_>) {
    let parts: Vec<&str> = at.text().split('\\').collect();
    let (domain, user) = match parts[..] {
        _ if at.text().is_empty() => return e.invalid(at, "runAsUserName cannot be an empty string"),
        _ if at.text().chars().any(|c| c.is_ascii_control()) => {
            return e.invalid(at, "runAsUserName cannot contain control characters");
        }
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return e.invalid(at, "runAsUserName cannot contain more than one backslash"),
    };
    let label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        (1..=63).contains(&label.len())
            && edge(label.chars().next())
            && edge(label.chars().last())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let net_bios = |domain: &str| {
        (1..=15).contains(&domain.chars().count())
            && !domain.starts_with('.')
            && !domain.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|'])
    };
    if domain.is_some_and(|domain| domain.len() >= 256) {
        e.invalid(at, "runAsUserName's Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !net_bios(domain) && !domain.split('.').all(label)) {
        e.invalid(at, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        e.invalid(at, "runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        e.invalid(at, "runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        e.invalid(at, "runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        let why = r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#;
        e.invalid(at, why);
    }
}

/// Containers that are processes of a Windows node (`validateWindowsHostProcessPod`).
pub fn host_process(e: &mut Errors, spec: &At<'_>) {
    let option = |at: &At<'_>| at.at("securityContext.windowsOptions.hostProcess").value.as_bool();
    let of_pod = option(spec);
    let (mut all, mut host) = (0, 0);
    for container in containers(spec) {
        let own = option(&container);
        if let (Some(pod), Some(container_says)) = (of_pod, own)
            && pod != container_says
        {
            let why = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            e.invalid(&container.at("securityContext.windowsOptions.hostProcess"), &why);
        }
        all += 1;
        host += usize::from(own.or(of_pod).unwrap_or_default());
    }
    if host > 0 && host != all {
        let why = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        e.invalid_as(spec, "\"\"", why);
    }
    if host > 0 && !spec.get("hostNetwork").flag() {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        e.invalid_as(&spec.get("hostNetwork"), "false", why);
    }
}

fn containers<'a>(spec: &At<'a>) -> Vec<At<'a>> {
    ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|list| spec.get(list).items()).collect()
}

/// A pod with users of its own shares nothing with its node (`validateHostUsers`).
pub fn host_users(e: &mut Errors, spec: &At<'_>) {
    if spec.get("hostUsers").value.as_bool() != Some(false) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.get(field).flag() {
            let at = spec.get(field).as_path(format!("{}.{shown}", spec.path));
            e.forbidden(&at, "when `pod.Spec.HostUsers` is false");
        }
    }
}

/// Fields that make sense for one operating system alone.
pub fn operating_system(e: &mut Errors, spec: &At<'_>) {
    const POD: [&str; 15] = [
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "hostUsers",
        "hostPID",
        "hostIPC",
        "securityContext.seccompProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.sysctls",
        "shareProcessNamespace",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
        "securityContext.supplementalGroups",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.seLinuxChangePolicy",
    ];
    const CONTAINER: [&str; 10] = [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "capabilities",
        "readOnlyRootFilesystem",
        "privileged",
        "allowPrivilegeEscalation",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ];
    let (os, name) = (spec.get("os"), spec.at("os.name"));
    if !os.is_set() {
        return;
    }
    match name.text() {
        "" => e.required(&name, "cannot be empty"),
        "linux" => {
            let contexts = containers(spec).into_iter().map(|container| container.get("securityContext"));
            for context in std::iter::once(spec.get("securityContext")).chain(contexts) {
                if context.get("windowsOptions").is_set() {
                    e.forbidden(&context.get("windowsOptions"), "windows options cannot be set for a linux pod");
                }
            }
        }
        "windows" => {
            let mut forbid = |at: At<'_>| {
                // Flags that are false and empty lists of system settings say nothing.
                let silent = ["hostPID", "hostIPC"].iter().any(|field| at.path.ends_with(field)) && !at.flag();
                if at.is_set() && !silent && !(at.path.ends_with("sysctls") && at.is_empty()) {
                    e.forbidden(&at, "cannot be set for a windows pod");
                }
            };
            POD.iter().for_each(|field| forbid(spec.at(field)));
            for container in containers(spec) {
                CONTAINER.iter().for_each(|field| forbid(container.get("securityContext").get(field)));
            }
        }
        _ => e.not_supported_as(&os, &shown(name.value), &["linux", "windows"]),
    }
}
