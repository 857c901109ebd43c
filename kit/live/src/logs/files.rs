//! The log files of nodes as real files, for agents that people know: `NODE/var/log/pods/…` with the names that the kubelet gives them, and a link for
//! each container in `NODE/var/log/containers`.
//!
//! A pump on the engine's thread sees what has changed in the [folders](Folder) of nodes; a thread of its own writes it. Nothing is written that the kubelet
//! would have removed, so that it is bounded as on a node: by `containerLogMaxSize` and `containerLogMaxFiles` for each container.
//! Sources: `pkg/kubelet/logs/container_log_manager.go` (names), `pkg/kubelet/kuberuntime/legacy.go` (links).

use crate::Door;
use flate2::Compression;
use flate2::write::GzEncoder;
use kit_node::kubelet::image;
use kit_node::kubelet::log::rotation::{Folder, LogFile};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// How often it is looked what has changed.
const LOOK: Duration = Duration::from_millis(50);
/// So many looks wait for the disk.
const AHEAD: usize = 8;

/// What is to be done on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    /// A node is new: what an earlier cluster has left there goes.
    Clear(String),
    Append(PathBuf, String),
    Compress(PathBuf, String),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    /// A link, and where it leads from its own folder.
    Link(PathBuf, PathBuf),
}

/// What is there of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct There {
    path: PathBuf,
    bytes: usize,
}

/// What is on the disk by now.
#[derive(Debug, Default)]
struct Mirror {
    nodes: BTreeSet<String>,
    files: BTreeMap<(String, u64), There>,
    links: BTreeMap<PathBuf, PathBuf>,
}

/// Writes the log files of a cluster's nodes into a folder from now on, until the cluster ends.
///
/// # Errors
///
/// If the folder can't be made, or there is no thread to be had.
pub fn write(door: &Door, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let (tell, acts) = sync_channel::<Vec<Act>>(AHEAD);
    let folder = folder.to_path_buf();
    std::thread::Builder::new().name("log files".into()).spawn(move || keep(&acts, &folder))?;
    door.request(move |driver| {
        let mut mirror = Mirror::default();
        let (mut looked, mut waiting) = (None::<Instant>, Vec::new());
        driver.pump(move |engine| {
            if looked.is_some_and(|at| at.elapsed() < LOOK) {
                return true;
            }
            looked = Some(Instant::now());
            if waiting.is_empty() {
                waiting = engine.logging().map(|logging| mirror.look(logging.folders())).unwrap_or_default();
            }
            if waiting.is_empty() {
                return true;
            }
            match tell.try_send(std::mem::take(&mut waiting)) {
                Ok(()) => true,
                Err(TrySendError::Full(acts)) => {
                    waiting = acts;
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
    });
    Ok(())
}

impl Mirror {
    fn look<'a>(&mut self, folders: impl Iterator<Item = (&'a str, &'a Folder)>) -> Vec<Act> {
        let (mut renames, mut writes) = (Vec::new(), Vec::new());
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        for (node, folder) in folders {
            if self.nodes.insert(node.into()) {
                renames.push(Act::Clear(node.into()));
            }
            for file in folder.files() {
                let path = PathBuf::from(format!("{node}{}", name(file)));
                let key = (node.to_string(), file.inode);
                let before = self.files.get(&key);
                match before {
                    Some(there) if there.path != path => renames.push(Act::Rename(there.path.clone(), path.clone())),
                    _ => {}
                }
                let bytes = before.map_or(0, |there| there.bytes);
                let more = file.text.get(bytes..).unwrap_or_default();
                match before {
                    None if file.compressed => writes.push(Act::Compress(path.clone(), file.text.clone())),
                    Some(_) if more.is_empty() => {}
                    _ => writes.push(Act::Append(path.clone(), more.to_string())),
                }
                if let (None, Some((link, to))) = (&file.rotated, link(node, &file.log)) {
                    links.insert(link, to);
                }
                files.insert(key, There { path, bytes: file.text.len() });
            }
        }
        // What goes makes room for what comes, which may be called the same.
        let gone = self.files.iter().filter(|(key, _)| !files.contains_key(*key));
        let gone =
            gone.map(|(_, there)| &there.path).chain(self.links.keys().filter(|link| !links.contains_key(*link)));
        let gone: Vec<Act> = gone.cloned().map(Act::Remove).collect();
        let new = links.iter().filter(|(link, _)| !self.links.contains_key(*link));
        let new: Vec<Act> = new.map(|(link, to)| Act::Link(link.clone(), to.clone())).collect();
        let acts = renames.into_iter().chain(gone).chain(writes).chain(new).collect();
        (self.files, self.links) = (files, links);
        acts
    }
}

/// What a file is called now.
fn name(file: &LogFile) -> String {
    let rotated = file.rotated.as_ref().map_or(String::new(), |time| format!(".{time}"));
    format!("{}{rotated}{}", file.log, if file.compressed { ".gz" } else { "" })
}

/// The link to a container's log: `PODNAME_NAMESPACE_CONTAINER-ID.log`.
fn link(node: &str, log: &str) -> Option<(PathBuf, PathBuf)> {
    let rest = log.strip_prefix("/var/log/pods/")?;
    let mut parts = rest.split('/');
    let (pod, container, run) = (parts.next()?, parts.next()?, parts.next()?);
    let mut names = pod.splitn(3, '_');
    let (namespace, name, uid) = (names.next()?, names.next()?, names.next()?);
    let id = image::hash(uid, container, run.strip_suffix(".log")?.parse().ok()?);
    let link = format!("{node}/var/log/containers/{name}_{namespace}_{container}-{id}.log");
    Some((link.into(), format!("../pods/{rest}").into()))
}

fn keep(acts: &Receiver<Vec<Act>>, folder: &Path) {
    let mut failed = false;
    for act in acts.iter().flatten() {
        if let Err(error) = done(&act, folder) {
            // Once is enough: a disk that is full stays so.
            if !std::mem::replace(&mut failed, true) {
                tracing::warn!("a log file can't be written in {}: {error}", folder.display());
            }
        }
    }
}

fn done(act: &Act, folder: &Path) -> io::Result<()> {
    let made = |path: &Path| {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all).map(|()| path)
    };
    match act {
        Act::Clear(node) => {
            for part in ["pods", "containers"] {
                let part = folder.join(node).join("var/log").join(part);
                if part.exists() {
                    fs::remove_dir_all(&part)?;
                }
                fs::create_dir_all(&part)?;
            }
            Ok(())
        }
        Act::Append(path, text) => {
            OpenOptions::new().append(true).create(true).open(made(path)?)?.write_all(text.as_bytes())
        }
        Act::Compress(path, text) => {
            let mut file = GzEncoder::new(fs::File::create(made(path)?)?, Compression::fast());
            file.write_all(text.as_bytes())?;
            file.finish().map(|_| ())
        }
        Act::Rename(from, to) => fs::rename(folder.join(from), folder.join(to)),
        Act::Remove(path) => {
            let path = folder.join(path);
            fs::remove_file(&path)?;
            // Folders of a pod go with its last file.
            path.ancestors()
                .skip(1)
                .take(2)
                .take_while(|above| !above.ends_with("pods") && !above.ends_with("containers"))
                .for_each(|above| {
                    _ = fs::remove_dir(above);
                });
            Ok(())
        }
        Act::Link(link, to) => std::os::unix::fs::symlink(to, made(link)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit_node::kubelet::log::rotation::Limits;
    use std::io::Read;

    const LOG: &str = "/var/log/pods/shop_web-1_u1/app/0.log";

    #[test]
    fn files_lie_as_on_a_node() {
        let root = tempfile::tempdir().expect("a folder");
        let (mut mirror, mut folder) = (Mirror::default(), Folder::default());
        let limits = Limits { max_size: 4, max_files: 3 };
        let mut look = |text: &str, time: &str, keeps: bool| {
            if keeps {
                folder.write(LOG, text);
                folder.rotate(LOG, limits, time);
            } else {
                folder.retain(|_| false);
            }
            for act in mirror.look([("node-1", &folder)].into_iter()) {
                done(&act, root.path()).unwrap_or_else(|error| panic!("{act:?}: {error}"));
            }
            let mut found = Vec::new();
            let folder = root.path().join("node-1/var/log/pods/shop_web-1_u1/app");
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (name, mut text) = (entry.file_name().to_string_lossy().into_owned(), String::new());
                match fs::File::open(entry.path()) {
                    Ok(file) if name.ends_with(".gz") => {
                        flate2::read::GzDecoder::new(file).read_to_string(&mut text).map(|_| ())
                    }
                    Ok(mut file) => file.read_to_string(&mut text).map(|_| ()),
                    Err(error) => Err(error),
                }
                .expect("it can be read");
                found.push(format!("{name}={text}"));
            }
            found.sort();
            found.join(" ")
        };
        assert_eq!(look("one", "a", true), "0.log=one");
        assert_eq!(look("1", "b", true), "0.log.b=one1 0.log=");
        assert_eq!(look("two22", "c", true), "0.log.b.gz=one1 0.log.c=two22 0.log=");
        assert_eq!(look("three", "d", true), "0.log.c.gz=two22 0.log.d=three 0.log=");
        assert_eq!(look("4", "e", true), "0.log.c.gz=two22 0.log.d=three 0.log=4");
        let links = root.path().join("node-1/var/log/containers");
        let link = fs::read_dir(&links).expect("links").flatten().next().expect("one").file_name();
        let link = link.to_string_lossy();
        assert!(link.starts_with("web-1_shop_app-") && link.len() == "web-1_shop_app-.log".len() + 64, "{link}");
        assert_eq!(fs::read_to_string(links.join(&*link)).ok().as_deref(), Some("4"), "it leads to the log");
        assert_eq!(look("", "", false), "");
        assert_eq!(fs::read_dir(links).map(Iterator::count).ok(), Some(0));
        assert!(!root.path().join("node-1/var/log/pods/shop_web-1_u1").exists());
    }
}
