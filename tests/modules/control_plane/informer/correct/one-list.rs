//! Passes: a list of objects that is searched from end to end, indexes that are computed when they are asked for, and a request that is remembered as it was sent.

use kit::control_plane::{
    CachedObject, Index, Informer, InformerConfig, InformerEvent, InformerOutput, RequestFailure, WatchEventType,
};

struct Exercise {
    config: InformerConfig,
    objects: Vec<CachedObject>,
    version: Option<String>,
    refused: bool,
    synced: bool,
    next_resync: i64,
    /// What was asked for last, or is to be asked for after the pause.
    request: Option<InformerOutput>,
    asked_at: i64,
    events: u32,
    pause_ends: Option<i64>,
    pauses: u32,
    last_pause: i64,
}

impl Exercise {
    fn ask(&mut self, request: InformerOutput, now: i64) -> InformerOutput {
        self.request = Some(request.clone());
        self.asked_at = now;
        self.events = 0;
        self.pause_ends = None;
        request
    }

    fn list_request(&self) -> InformerOutput {
        let version = self.version.clone().unwrap_or("0".into());
        InformerOutput::List(if self.refused { String::new() } else { version })
    }

    fn watch_request(&self) -> InformerOutput {
        InformerOutput::Watch(self.version.clone().unwrap_or_default())
    }

    fn pause(&mut self, then: InformerOutput, now: i64) -> InformerOutput {
        if now > self.last_pause + 2 * 60 * 1000 {
            self.pauses = 0;
        }
        let millis = (800_i64 << self.pauses.min(10)).min(30_000);
        self.pauses += 1;
        self.last_pause = now;
        self.pause_ends = Some(now + millis);
        self.request = Some(then);
        InformerOutput::Pause(millis)
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.objects.iter().position(|object| object.key() == key)
    }

    fn put(&mut self, object: &CachedObject, initial: bool, out: &mut Vec<InformerOutput>) {
        let Some(at) = self.place(&object.key()) else {
            self.objects.push(object.clone());
            return out.push(InformerOutput::Added { object: object.clone(), initial });
        };
        let old = std::mem::replace(&mut self.objects[at], object.clone());
        if old.resource_version != object.resource_version {
            out.push(InformerOutput::Updated { old, new: object.clone() });
        }
    }

    fn sorted(&self) -> Vec<CachedObject> {
        let mut objects = self.objects.clone();
        objects.sort_by_key(CachedObject::key);
        objects
    }
}

impl Informer for Exercise {
    fn new(config: &InformerConfig) -> Self {
        Exercise {
            config: *config,
            objects: Vec::new(),
            version: None,
            refused: false,
            synced: false,
            next_resync: 0,
            request: None,
            asked_at: 0,
            events: 0,
            pause_ends: None,
            pauses: 0,
            last_pause: 0,
        }
    }

    fn step(&mut self, event: &InformerEvent, now: i64) -> Vec<InformerOutput> {
        let mut out = Vec::new();
        match event {
            InformerEvent::Start => {
                let list = self.list_request();
                out.push(self.ask(list, now));
            }
            InformerEvent::Listed { resource_version, items } => {
                for item in items {
                    self.put(item, !self.synced, &mut out);
                }
                for last in self.sorted() {
                    if items.iter().all(|item| item.key() != last.key()) {
                        self.objects.retain(|object| object.key() != last.key());
                        out.push(InformerOutput::Deleted { last, unknown: true });
                    }
                }
                if !self.synced {
                    self.synced = true;
                    self.next_resync = now + self.config.resync;
                }
                self.refused = false;
                self.version = Some(resource_version.clone());
                let watch = self.watch_request();
                out.push(self.ask(watch, now));
            }
            InformerEvent::ListFailed(failure) => {
                let version_matters = matches!(failure, RequestFailure::Expired | RequestFailure::TooLarge);
                let from_newest = self.request == Some(InformerOutput::List(String::new()));
                self.refused |= version_matters;
                let list = self.list_request();
                let next = match version_matters && !from_newest {
                    true => self.ask(list, now),
                    false => self.pause(list, now),
                };
                out.push(next);
            }
            InformerEvent::Watched { kind, object } => {
                self.events += 1;
                self.version = Some(object.resource_version.clone());
                if *kind != WatchEventType::Deleted {
                    self.put(object, false, &mut out);
                } else if let Some(at) = self.place(&object.key()) {
                    self.objects.remove(at);
                    out.push(InformerOutput::Deleted { last: object.clone(), unknown: false });
                }
            }
            InformerEvent::Bookmark(version) => {
                self.events += 1;
                self.version = Some(version.clone());
            }
            InformerEvent::WatchFailed(failure) => {
                let then = match failure {
                    RequestFailure::Unavailable => self.watch_request(),
                    _ => self.list_request(),
                };
                out.push(self.pause(then, now));
            }
            InformerEvent::WatchClosed => {
                let (list, watch) = (self.list_request(), self.watch_request());
                let too_short = self.events == 0 && now < self.asked_at + 1000;
                out.push(if too_short { self.pause(list, now) } else { self.ask(watch, now) });
            }
            InformerEvent::Tick => {
                if self.synced && self.config.resync > 0 && now >= self.next_resync {
                    self.next_resync = now + self.config.resync;
                    for object in self.sorted() {
                        out.push(InformerOutput::Updated { old: object.clone(), new: object });
                    }
                }
                if self.pause_ends.is_some_and(|end| now >= end)
                    && let Some(request) = self.request.clone()
                {
                    out.push(self.ask(request, now));
                }
            }
        }
        out
    }

    fn has_synced(&mut self) -> bool {
        self.synced
    }

    fn get(&mut self, key: &str) -> Option<CachedObject> {
        Some(self.objects[self.place(key)?].clone())
    }

    fn by_index(&mut self, index: &Index, value: &str) -> Vec<String> {
        let under = |object: &CachedObject| match index {
            Index::Namespace => object.namespace == value,
            Index::Node => !object.node.is_empty() && object.node == value,
        };
        self.sorted().iter().filter(|object| under(object)).map(CachedObject::key).collect()
    }
}

kit::exercise!(Exercise: Informer);
