//! How a volume manager's questions and answers look to people.

use super::{
    Change, Directory, Entry, EntryKind, File, Files, GroupPolicy, Late, Look, Missing, Mode, Node, Operation,
    Ownership, Payload, Projection, Source, SourceKind, Volume,
};
use crate::show::unordered;
use crate::{Show, flow};
use std::collections::BTreeMap;
use std::fmt;

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SourceKind::ConfigMap => "configmap",
            SourceKind::Secret => "secret",
            SourceKind::Kubelet => "the kubelet's own",
        })
    }
}

/// A line of what is so, or none.
fn traits(of: &[(bool, &str)]) -> String {
    of.iter().filter(|(is_so, _)| *is_so).map(|(_, text)| format!(", {text}")).collect()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

impl Volume {
    fn said(&self) -> String {
        traits(&[
            (self.attach, "to be attached"),
            (self.device, "with a device"),
            (self.block, "Block"),
            (self.single, "for a single pod"),
        ])
    }
}

impl Show for Node {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for pod in &self.pods {
            let volumes = pod.volumes.iter().map(|it| {
                let behind = it.volume.as_deref().unwrap_or("nothing known");
                format!("{} is {behind}{}", it.name, traits(&[(it.read_only, "read-only")]))
            });
            let ending = traits(&[(pod.ending, "ending")]);
            lines.push(format!("pod {}{ending}: {}", pod.name, list(&volumes.collect::<Vec<_>>())));
        }
        for (name, volume) in &self.volumes {
            let attached = self.attached.get(name).map(|path| match path.as_str() {
                "" => ", attached".to_string(),
                path => format!(", attached as {path}"),
            });
            let reported = traits(&[(self.reported.contains(name), "reported in use")]);
            lines.push(format!("volume {name}{}{}{reported}", volume.said(), attached.unwrap_or_default()));
        }
        for (name, device) in &self.devices {
            lines.push(format!("device of {name} is mounted{}", if device.sure { "" } else { ", or not" }));
        }
        for mount in &self.mounts {
            let unsure = traits(&[(!mount.sure, "or not"), (mount.remount, "to be done again")]);
            lines.push(format!("{} is in pod {}{unsure}", mount.volume, mount.pod));
        }
        for (name, failure) in &self.failures {
            let (kind, times, at) = (failure.kind, failure.times, failure.at_ms);
            let times = if times == 1 { "once".into() } else { format!("{times} times") };
            lines.push(format!("{name}: {kind:?} has failed {times}, at {at} ms"));
        }
        if lines.is_empty() {
            lines.push("nothing".into());
        }
        lines
    }
}

impl Show for Operation {
    fn lines(&self) -> Vec<String> {
        let device = |path: &String| if path.is_empty() { String::new() } else { format!(" ({path})") };
        vec![match self {
            Operation::MountDevice { volume, device: path } => format!("MountDevice {volume}{}", device(path)),
            Operation::SetUp { pod, volume, read_only } => {
                format!("SetUp {volume} in {pod}{}", traits(&[(*read_only, "read-only")]))
            }
            Operation::Map { pod, volume, device: path } => format!("Map {volume} in {pod}{}", device(path)),
            Operation::TearDown { pod, volume } => format!("TearDown {volume} in {pod}"),
            Operation::UnmountDevice { volume } => format!("UnmountDevice {volume}"),
        }]
    }
}

impl Show for Look {
    fn lines(&self) -> Vec<String> {
        let mut operations: Vec<&Operation> = self.operations.iter().collect();
        operations.sort();
        let mut lines: Vec<String> = operations.into_iter().flat_map(Show::lines).collect();
        if lines.is_empty() {
            lines.push("nothing to do".into());
        }
        lines.extend(self.again_ms.map(|at| format!("again at {at} ms")));
        lines.push(format!("in use: {}", list(&self.in_use.iter().cloned().collect::<Vec<_>>())));
        lines
    }

    fn meaning(&self) -> String {
        format!("{} {:?} {:?}", unordered(&self.operations), self.in_use, self.again_ms)
    }
}

impl Show for Late {
    fn lines(&self) -> Vec<String> {
        let line = |what: &str, names: &[String]| format!("{what}: {}", list(names));
        vec![
            line("unmounted", &self.unmounted),
            line("unattached", &self.unattached),
            line("failed to process", &self.unprocessed),
        ]
    }
}

impl Entry {
    fn said(&self, path: &str) -> String {
        let kind = match self.kind {
            EntryKind::File => "file",
            EntryKind::Directory => "directory",
            EntryKind::Link => "link",
        };
        let path = if path.is_empty() { "the root" } else { path };
        format!("{path}: {kind} {}, group {}", self.mode, self.gid)
    }
}

fn entries(all: &BTreeMap<String, Entry>) -> impl Iterator<Item = String> {
    all.iter().map(|(path, entry)| entry.said(path))
}

impl Show for Files {
    fn lines(&self) -> Vec<String> {
        let group = self.fs_group.map_or("no fsGroup".into(), |group| format!("fsGroup {group}"));
        let read_only = traits(&[(self.read_only, "read-only")]);
        let mut lines = vec![format!("{group}, {:?}{read_only}", self.policy)];
        lines.extend(self.driver.as_ref().map(|driver| {
            let policy = match driver.policy {
                GroupPolicy::None => "None".into(),
                policy => format!("{policy:?}"),
            };
            let fs = if driver.fs_type.is_empty() { "no fsType".into() } else { format!("fsType {}", driver.fs_type) };
            let modes: Vec<String> = driver.access_modes.iter().map(|mode| format!("{mode:?}")).collect();
            let mounts = traits(&[(driver.mounts_group, "mounts with a group")]);
            format!("driver with fsGroupPolicy {policy}{mounts}, {fs}, access modes {}", list(&modes))
        }));
        lines.extend(entries(&self.entries));
        lines
    }
}

impl Show for Ownership {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.told.map(|group| format!("the driver is told group {group}")).into_iter().collect();
        lines.extend(entries(&self.changed));
        if self.changed.is_empty() {
            lines.push("no file is changed".into());
        }
        lines
    }
}

impl Show for Source {
    fn lines(&self) -> Vec<String> {
        let optional = traits(&[(self.optional, "optional")]);
        let mut lines = vec![match &self.data {
            None => format!("{} {}{optional}: isn't there", self.kind, self.name),
            Some(data) => format!("{} {}{optional}: {}", self.kind, self.name, flow(data)),
        }];
        lines.extend(self.items.iter().map(|item| {
            let mode = item.mode.map(|mode| format!(", mode {mode}")).unwrap_or_default();
            format!("  key {} at {}{mode}", flow(&item.key), flow(&item.path))
        }));
        lines
    }
}

impl Show for Projection {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.sources.iter().flat_map(Show::lines).collect();
        lines.push(format!("defaultMode {}", self.default_mode));
        lines
    }
}

impl Show for Payload {
    fn lines(&self) -> Vec<String> {
        if self.is_empty() {
            return vec!["no files".into()];
        }
        let line = |(path, file): (&String, &File)| format!("{path} {}: {}", file.mode, flow(&file.text));
        self.iter().map(line).collect()
    }
}

impl Show for Missing {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Missing::Object { kind, name } => format!("{kind} {name} isn't there"),
            Missing::Key { kind, key } => format!("a {kind} has no key {key}"),
        }]
    }
}

impl Show for Directory {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.data.as_ref().map_or("there is no ..data".into(), |to| format!("..data → {to}"))];
        let in_data = self.data.as_deref().unwrap_or_default();
        lines.extend(self.files.iter().map(|(path, text)| format!("{in_data}/{path}: {}", flow(text))));
        lines.extend(self.links.iter().map(|name| format!("{name} → ..data/{name}")));
        lines
    }
}

impl Show for Change {
    fn lines(&self) -> Vec<String> {
        match self {
            Change::Write { directory, files } => {
                let into = files.lines().into_iter().map(|line| format!("  {line}"));
                [format!("write into {directory}")].into_iter().chain(into).collect()
            }
            Change::Link { name, to } => vec![format!("link {name} → {to}")],
            Change::Rename { from, to } => vec![format!("rename {from} to {to}")],
            Change::Unlink { name } => vec![format!("unlink {name}")],
            Change::Remove { directory } => vec![format!("remove {directory}")],
        }
    }
}
