//! A client that writes numbered rows, and remembers which of them were acknowledged.

use super::instance::{Instance, Peer};
use super::reach;
use crate::kubelet::processes::{Process, Running};
use kit_client::database::State;
use kit_client::disk::Disks;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The uids of the pods that are ready behind each Service, by namespace and name.
pub type View = Rc<BTreeMap<(String, String), Vec<String>>>;

/// What is known of the rows of one database.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// How many rows were written.
    pub written: u64,
    /// Which of them were acknowledged.
    pub acknowledged: BTreeSet<u64>,
}

/// One client.
#[derive(Debug, Clone)]
pub struct Client {
    pub process: Process,
    /// The instance that it is connected to.
    connection: Option<Peer>,
    /// Rows that it has sent and that weren't acknowledged, and where the log ends with them.
    waits: Option<(Vec<u64>, usize)>,
    /// Who has acknowledged something in the last second.
    pub acknowledged_by: Option<String>,
}

impl Client {
    /// One that has just begun.
    pub fn begin(process: &Process) -> Client {
        let process = process.clone();
        Client { process, connection: None, waits: None, acknowledged_by: None }
    }

    /// The Service that it asks for: the first argument, without what stands behind a dot or a colon.
    fn service(&self) -> (String, String) {
        let host = self.process.args.first().map(String::as_str).unwrap_or_default();
        let name = host.split(['.', ':']).next().unwrap_or_default();
        (self.process.pod.namespace.to_string(), name.to_string())
    }

    /// Loses its connection if that is at its end, and looks for another one. What it was waiting for may be written or not.
    pub fn connect(&mut self, instances: &BTreeMap<String, Instance>, running: &Running, view: &View) {
        let serves = |uid: &str| instances.get(uid).filter(|instance| instance.state == State::Primary);
        let hears = |node: &str| reach(running, &self.process.node, node);
        if let Some(peer) = self.connection.take() {
            let is_heard = hears(&peer.node);
            self.connection = match serves(&peer.uid) {
                Some(_) if is_heard => Some(Peer { silent: 0, ..peer }),
                _ => peer.unheard(is_heard),
            };
        }
        if self.connection.is_some() {
            return;
        }
        self.waits = None;
        let endpoints = view.get(&self.service()).into_iter().flatten();
        let mut open = endpoints.filter_map(|uid| Some((uid, serves(uid)?))).filter(|(_, it)| hears(&it.process.node));
        let found = open.next().map(|(uid, it)| Peer { uid: uid.clone(), node: it.process.node.clone(), silent: 0 });
        self.connection = found;
    }

    /// Writes so many rows, unless it still waits for an answer.
    pub fn write(
        &mut self,
        rows: u64,
        instances: &mut BTreeMap<String, Instance>,
        books: &mut BTreeMap<(String, String), Book>,
        disks: &mut Disks,
    ) {
        let heard = self.connection.as_ref().filter(|peer| peer.silent == 0 && self.waits.is_none());
        let Some(instance) = heard.and_then(|peer| instances.get_mut(&peer.uid)) else { return };
        let book = books.entry(instance.database.clone()).or_default();
        let new: Vec<u64> = (book.written + 1..=book.written + rows).collect();
        book.written += rows;
        let timeline = instance.timeline();
        new.iter().for_each(|row| instance.write(Some(*row), timeline, disks));
        self.waits = Some((new, instance.log.len()));
    }

    /// Hears of its rows as far as the primary may confirm them: `confirmed` says up to where.
    pub fn hear(
        &mut self,
        instances: &BTreeMap<String, Instance>,
        confirmed: &BTreeMap<String, usize>,
        books: &mut BTreeMap<(String, String), Book>,
    ) {
        self.acknowledged_by = None;
        let Some(Peer { uid, .. }) = self.connection.as_ref().filter(|peer| peer.silent == 0) else { return };
        let (Some(instance), Some(up_to)) = (instances.get(uid), confirmed.get(uid)) else { return };
        if let Some((rows, _)) = self.waits.take_if(|(_, end)| *end <= *up_to) {
            books.entry(instance.database.clone()).or_default().acknowledged.extend(rows);
            self.acknowledged_by = Some(instance.name().to_string());
        }
    }
}
