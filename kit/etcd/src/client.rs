//! etcd itself, over gRPC.

use etcd_client as client;
use kit_store::api::*;
use kit_store::{Bytes, Error, Kv, Result};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long a watch may be silent before [`Kv::poll`] takes it that nothing more is there.
const SILENCE: Duration = Duration::from_millis(10);
/// How long the answer to a watch request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest response: etcd sends as much as a watch missed at once, unless it asked for fragments.
const LONGEST: usize = 256 << 20;

/// The client of an etcd. All its watches share one stream.
///
/// Answers to watches come when they come: [`Kv::poll`] answers what has arrived, and a watch that begins in the past takes a
/// tenth of a second to catch up. Time passes by itself; [`Kv::pass`] waits for it.
pub struct Etcd {
    client: client::Client,
    stream: Option<client::WatchStream>,
    arrived: VecDeque<WatchResponse>,
    running: BTreeMap<i64, WatchRequest>,
    // Last, so that what needs it is dropped before.
    runtime: Runtime,
}

impl Etcd {
    /// Connects to a server, such as `http://127.0.0.1:2379`.
    ///
    /// # Errors
    ///
    /// If it can't be reached.
    pub fn connect(endpoint: &str) -> Result<Etcd> {
        Etcd::connect_any(&[endpoint])
    }

    /// Connects to whichever of a group's members answers.
    ///
    /// # Errors
    ///
    /// If none can be reached.
    pub fn connect_any(endpoints: &[&str]) -> Result<Etcd> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::Other(e.to_string()))?;
        let options = client::ConnectOptions::new().with_connect_timeout(PATIENCE).with_timeout(PATIENCE);
        let client = runtime.block_on(client::Client::connect(endpoints, Some(options))).map_err(refused)?;
        Ok(Etcd { client, stream: None, arrived: VecDeque::new(), running: BTreeMap::new(), runtime })
    }

    fn wait<T>(&self, answer: impl Future<Output = std::result::Result<T, client::Error>>) -> Result<T> {
        self.runtime.block_on(answer).map_err(refused)
    }

    /// The next response of any watch within a time.
    fn next(&mut self, within: Duration) -> Result<Option<client::WatchResponse>> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let next = self.runtime.block_on(async { tokio::time::timeout(within, stream.message()).await });
        let lost = match next {
            Err(_) => return Ok(None),
            Ok(Ok(Some(response))) => return Ok(Some(response)),
            Ok(Ok(None)) => Error::Other("etcd has closed the stream of the watches".into()),
            Ok(Err(e)) => refused(e),
        };
        // The next watch has a stream of its own.
        self.stream = None;
        self.running.clear();
        Err(lost)
    }

    /// Listens until so many events have come, or nothing comes for a while: how many came, and when the last of them did.
    ///
    /// # Errors
    ///
    /// If the watches end.
    pub fn poll_until(&mut self, events: usize) -> Result<(usize, Instant)> {
        let (mut came, mut last) = (0, Instant::now());
        while came < events
            && let Some(response) = self.next(PATIENCE)?
        {
            came += response.events().len();
            last = Instant::now();
        }
        Ok((came, last))
    }

    /// Waits for a certain response and keeps all others.
    fn expect(&mut self, wanted: impl Fn(&client::WatchResponse) -> bool) -> Result<client::WatchResponse> {
        loop {
            match self.next(PATIENCE)? {
                None => return Err(Error::Timeout),
                Some(response) if wanted(&response) => return Ok(response),
                Some(response) => self.keep(&response),
            }
        }
    }

    fn keep(&mut self, response: &client::WatchResponse) {
        if response.canceled() {
            self.running.remove(&response.watch_id());
        }
        self.arrived.push_back(WatchResponse {
            watch_id: response.watch_id(),
            revision: revision(response.header()),
            events: response.events().iter().map(event).collect(),
            fragment: response.0.fragment,
            canceled: response.canceled(),
            compact_revision: response.compact_revision(),
        });
    }
}

impl Kv for Etcd {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse> {
        let mut kv = self.client.kv_client();
        let answer = self.wait(kv.get(request.key.to_vec(), Some(get_options(request))))?;
        Ok(range_response(&answer))
    }

    fn put(&mut self, request: &PutRequest) -> Result<PutResponse> {
        let mut kv = self.client.kv_client();
        let (key, value) = (request.key.to_vec(), request.value.to_vec());
        let answer = self.wait(kv.put(key, value, Some(put_options(request))))?;
        Ok(put_response(&answer))
    }

    fn delete_range(&mut self, request: &DeleteRangeRequest) -> Result<DeleteRangeResponse> {
        let mut kv = self.client.kv_client();
        let answer = self.wait(kv.delete(request.key.to_vec(), Some(delete_options(request))))?;
        Ok(delete_response(&answer))
    }

    fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse> {
        let mut kv = self.client.kv_client();
        let answer = self.wait(kv.txn(txn(request)))?;
        Ok(txn_response(&answer))
    }

    fn txns(&mut self, requests: &[TxnRequest]) -> Vec<Result<TxnResponse>> {
        self.runtime.block_on(async {
            let asked = requests.iter().map(|request| {
                let (mut kv, txn) = (self.client.kv_client(), txn(request));
                async move { kv.txn(txn).await.map(|answer| txn_response(&answer)).map_err(refused) }
            });
            let tasks: Vec<_> = asked.map(tokio::spawn).collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.unwrap_or_else(|e| Err(Error::Other(e.to_string()))));
            }
            answers
        })
    }

    fn compact(&mut self, revision: i64) -> Result<i64> {
        let mut kv = self.client.kv_client();
        let answer = self.wait(kv.compact(revision, None))?;
        Ok(self::revision(answer.header()))
    }

    fn lease_grant(&mut self, id: i64, ttl: i64) -> Result<(i64, i64)> {
        let mut lease = self.client.lease_client();
        let options = client::LeaseGrantOptions::new().with_id(id);
        let answer = self.wait(lease.grant(ttl, Some(options)))?;
        Ok((answer.id(), answer.ttl()))
    }

    fn lease_revoke(&mut self, id: i64) -> Result<()> {
        let mut lease = self.client.lease_client();
        self.wait(lease.revoke(id)).map(drop)
    }

    fn lease_keep_alive(&mut self, id: i64) -> Result<i64> {
        let mut lease = self.client.lease_client();
        let answer = self.runtime.block_on(lease.keep_alive(id));
        match answer {
            Ok(_) => Ok(self.lease_time_to_live(id, false)?.granted_ttl),
            // The client's own word for an answer of 0 seconds.
            Err(client::Error::LeaseKeepAliveError(_)) => Ok(0),
            Err(e) => Err(refused(e)),
        }
    }

    fn lease_time_to_live(&mut self, id: i64, keys: bool) -> Result<LeaseStatus> {
        let mut lease = self.client.lease_client();
        let options = client::LeaseTimeToLiveOptions::new();
        let options = if keys { options.with_keys() } else { options };
        let answer = self.wait(lease.time_to_live(id, Some(options)))?;
        let mut keys: Vec<Bytes> = answer.keys().iter().map(|key| key.as_slice().into()).collect();
        // etcd keeps them in a hash map.
        keys.sort();
        Ok(LeaseStatus { ttl: answer.ttl(), granted_ttl: answer.granted_ttl(), keys })
    }

    fn leases(&mut self) -> Result<Vec<i64>> {
        let mut lease = self.client.lease_client();
        let answer = self.wait(lease.leases())?;
        let mut ids: Vec<i64> = answer.leases().iter().map(client::LeaseStatus::id).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn watch(&mut self, request: &WatchRequest) -> Result<WatchCreated> {
        let (key, options) = (request.key.to_vec(), Some(watch_options(request)));
        match &mut self.stream {
            Some(stream) => self.runtime.block_on(stream.watch(key, options)).map_err(refused)?,
            None => {
                let mut watch = self.client.watch_client().max_decoding_message_size(LONGEST);
                self.stream = Some(self.wait(watch.watch(key, options))?);
            }
        }
        let created = self.expect(client::WatchResponse::created)?;
        let watch_id = created.watch_id();
        if !created.canceled() {
            self.running.insert(watch_id, request.clone());
        }
        let cancel_reason = Some(created.cancel_reason().to_string()).filter(|reason| !reason.is_empty());
        Ok(WatchCreated { watch_id, revision: revision(created.header()), cancel_reason })
    }

    fn cancel(&mut self, watch_id: i64) -> Result<bool> {
        // etcd answers nothing about a watch that isn't running.
        let Some(stream) = self.stream.as_mut().filter(|_| self.running.contains_key(&watch_id)) else {
            return Ok(false);
        };
        self.runtime.block_on(stream.cancel(watch_id)).map_err(refused)?;
        self.expect(|response| response.watch_id() == watch_id && response.canceled())?;
        self.running.remove(&watch_id);
        self.arrived.retain(|response| response.watch_id != watch_id);
        Ok(true)
    }

    fn request_progress(&mut self) -> Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        self.runtime.block_on(stream.request_progress()).map_err(refused)
    }

    fn poll(&mut self) -> Result<Vec<WatchResponse>> {
        while let Some(response) = self.next(SILENCE)? {
            self.keep(&response);
        }
        Ok(self.arrived.drain(..).collect())
    }

    fn poll_within(&mut self, time: Duration) -> Result<Vec<WatchResponse>> {
        let mut time = time;
        while let Some(response) = self.next(time)? {
            self.keep(&response);
            time = Duration::ZERO;
        }
        Ok(self.arrived.drain(..).collect())
    }

    fn pass(&mut self, time: Duration) -> Result<()> {
        // Within the runtime, so that the connection lives meanwhile.
        self.runtime.block_on(async { tokio::time::sleep(time).await });
        Ok(())
    }
}

fn refused(error: client::Error) -> Error {
    match error {
        client::Error::GRpcStatus(status) => Error::from_text(status.message()),
        error => Error::Other(error.to_string()),
    }
}

fn revision(header: Option<&client::ResponseHeader>) -> i64 {
    header.map_or(0, client::ResponseHeader::revision)
}

fn key_value(kv: &client::KeyValue) -> KeyValue {
    KeyValue {
        key: kv.key().into(),
        value: kv.value().into(),
        create_revision: kv.create_revision(),
        mod_revision: kv.mod_revision(),
        version: kv.version(),
        lease: kv.lease(),
    }
}

fn event(event: &client::Event) -> Event {
    Event {
        kind: match event.event_type() {
            client::EventType::Put => EventKind::Put,
            client::EventType::Delete => EventKind::Delete,
        },
        kv: event.kv().map(key_value).unwrap_or_default(),
        prev_kv: event.prev_kv().map(key_value),
    }
}

fn get_options(request: &RangeRequest) -> client::GetOptions {
    let mut options = client::GetOptions::new()
        .with_range(request.range_end.to_vec())
        .with_limit(request.limit)
        .with_revision(request.revision)
        .with_min_mod_revision(request.min_mod_revision)
        .with_max_mod_revision(request.max_mod_revision)
        .with_min_create_revision(request.min_create_revision)
        .with_max_create_revision(request.max_create_revision);
    let order = match request.sort_order {
        SortOrder::None => client::SortOrder::None,
        SortOrder::Ascend => client::SortOrder::Ascend,
        SortOrder::Descend => client::SortOrder::Descend,
    };
    let target = match request.sort_target {
        SortTarget::Key => client::SortTarget::Key,
        SortTarget::Version => client::SortTarget::Version,
        SortTarget::Create => client::SortTarget::Create,
        SortTarget::Mod => client::SortTarget::Mod,
        SortTarget::Value => client::SortTarget::Value,
    };
    options = options.with_sort(target, order);
    if request.serializable {
        options = options.with_serializable();
    }
    if request.keys_only {
        options = options.with_keys_only();
    }
    if request.count_only {
        options = options.with_count_only();
    }
    options
}

fn put_options(request: &PutRequest) -> client::PutOptions {
    let mut options = client::PutOptions::new().with_lease(request.lease);
    if request.prev_kv {
        options = options.with_prev_key();
    }
    if request.ignore_value {
        options = options.with_ignore_value();
    }
    if request.ignore_lease {
        options = options.with_ignore_lease();
    }
    options
}

fn delete_options(request: &DeleteRangeRequest) -> client::DeleteOptions {
    let options = client::DeleteOptions::new().with_range(request.range_end.to_vec());
    if request.prev_kv { options.with_prev_key() } else { options }
}

fn watch_options(request: &WatchRequest) -> client::WatchOptions {
    let mut options = client::WatchOptions::new()
        .with_range(request.range_end.to_vec())
        .with_start_revision(request.start_revision)
        .with_watch_id(request.watch_id);
    let filters = request.filters.iter().map(|kind| match kind {
        EventKind::Put => client::WatchFilterType::NoPut,
        EventKind::Delete => client::WatchFilterType::NoDelete,
    });
    options = options.with_filters(filters.collect::<Vec<_>>());
    if request.prev_kv {
        options = options.with_prev_key();
    }
    if request.progress_notify {
        options = options.with_progress_notify();
    }
    if request.fragment {
        options = options.with_fragment();
    }
    options
}

fn compare(compare: &Compare) -> client::Compare {
    let result = match compare.result {
        CompareResult::Equal => client::CompareOp::Equal,
        CompareResult::Greater => client::CompareOp::Greater,
        CompareResult::Less => client::CompareOp::Less,
        CompareResult::NotEqual => client::CompareOp::NotEqual,
    };
    let key = compare.key.to_vec();
    let of = match &compare.target {
        Target::Version(n) => client::Compare::version(key, result, *n),
        Target::CreateRevision(n) => client::Compare::create_revision(key, result, *n),
        Target::ModRevision(n) => client::Compare::mod_revision(key, result, *n),
        Target::Lease(n) => client::Compare::lease(key, result, *n),
        Target::Value(value) => client::Compare::value(key, result, value.to_vec()),
    };
    of.with_range(compare.range_end.to_vec())
}

fn txn(request: &TxnRequest) -> client::Txn {
    let ops = |ops: &[Op]| ops.iter().map(op).collect::<Vec<_>>();
    client::Txn::new()
        .when(request.compare.iter().map(compare).collect::<Vec<_>>())
        .and_then(ops(&request.success))
        .or_else(ops(&request.failure))
}

fn op(op: &Op) -> client::TxnOp {
    match op {
        Op::Range(request) => client::TxnOp::get(request.key.to_vec(), Some(get_options(request))),
        Op::Put(request) => {
            client::TxnOp::put(request.key.to_vec(), request.value.to_vec(), Some(put_options(request)))
        }
        Op::DeleteRange(request) => client::TxnOp::delete(request.key.to_vec(), Some(delete_options(request))),
        Op::Txn(request) => client::TxnOp::txn(txn(request)),
    }
}

fn range_response(answer: &client::GetResponse) -> RangeResponse {
    RangeResponse {
        revision: revision(answer.header()),
        kvs: answer.kvs().iter().map(key_value).collect(),
        more: answer.more(),
        count: answer.count(),
    }
}

fn put_response(answer: &client::PutResponse) -> PutResponse {
    PutResponse { revision: revision(answer.header()), prev_kv: answer.prev_key().map(key_value) }
}

fn delete_response(answer: &client::DeleteResponse) -> DeleteRangeResponse {
    DeleteRangeResponse {
        revision: revision(answer.header()),
        deleted: answer.deleted(),
        prev_kvs: answer.prev_kvs().iter().map(key_value).collect(),
    }
}

fn txn_response(answer: &client::TxnResponse) -> TxnResponse {
    let responses = answer.op_responses().into_iter().map(|response| match response {
        client::TxnOpResponse::Get(answer) => OpResponse::Range(range_response(&answer)),
        client::TxnOpResponse::Put(answer) => OpResponse::Put(put_response(&answer)),
        client::TxnOpResponse::Delete(answer) => OpResponse::DeleteRange(delete_response(&answer)),
        client::TxnOpResponse::Txn(answer) => OpResponse::Txn(txn_response(&answer)),
    });
    TxnResponse { revision: revision(answer.header()), succeeded: answer.succeeded(), responses: responses.collect() }
}
