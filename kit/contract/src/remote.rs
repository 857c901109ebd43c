//! The asking end: a remote implements a contract by sending questions to a worker.

use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::rc::Rc;

/// What carries questions to a worker: the grader's process, or the module itself in tests.
pub trait Transport {
    /// Sends one question and returns the answer's JSON, or `None` when the worker is lost; why it was
    /// lost stays with the transport.
    fn ask(&mut self, call: &str, args: &str) -> Option<String>;

    /// The last answer could not be decoded as the contract's type.
    fn reject(&mut self, reason: String);

    /// A transport to one more worker, where each module has one of its own; none where all share this one.
    fn another(&mut self) -> Option<Link> {
        None
    }
}

/// The private value with which a lost worker unwinds to the component's edge.
///
/// Traits of contracts are infallible, so that modules stay simple to write and to call.
pub struct Lost(());

/// Runs `f` and returns `None` if a worker was lost on the way. Other panics go on.
pub fn catch_lost<T>(f: impl FnOnce() -> T) -> Option<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Lost>() => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// A handle on a worker, shared by the modules that it serves.
#[derive(Clone)]
pub struct Link(Rc<RefCell<dyn Transport>>);

impl Link {
    /// A link over `transport`.
    pub fn new(transport: Rc<RefCell<dyn Transport>>) -> Self {
        Link(transport)
    }

    /// Asks one question and decodes the answer; unwinds with [`Lost`] if there is none.
    pub fn ask<T: DeserializeOwned>(&self, call: &str, args: &str) -> T {
        let mut transport = self.0.borrow_mut();
        if let Some(answer) = transport.ask(call, args) {
            match serde_json::from_str(&answer) {
                Ok(value) => return value,
                Err(e) => transport.reject(format!("the answer to `{call}` does not fit: {e}")),
            }
        }
        drop(transport);
        std::panic::resume_unwind(Box::new(Lost(())))
    }

    /// The link for one more module.
    pub fn another(&self) -> Link {
        let other = self.0.borrow_mut().another();
        other.unwrap_or_else(|| self.clone())
    }

    /// Asks for a new instance.
    pub fn start(&self, args: &str) {
        let serde::de::IgnoredAny = self.ask(crate::wire::NEW, args);
    }
}

/// An argument that can be written to the wire.
pub trait Encode {
    /// Appends the value's JSON.
    fn encode(&self, out: &mut Vec<u8>);
}

impl<T: serde::Serialize + ?Sized> Encode for T {
    fn encode(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("contract types have string keys and no failing serializers");
    }
}

/// The arguments of a call as one JSON object.
pub fn encode(args: &[(&str, &dyn Encode)]) -> String {
    let mut out = vec![b'{'];
    for (i, (name, value)) in args.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        name.encode(&mut out);
        out.push(b':');
        value.encode(&mut out);
    }
    out.push(b'}');
    String::from_utf8(out).expect("serde_json writes UTF-8")
}
