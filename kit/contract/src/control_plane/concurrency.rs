//! Optimistic concurrency: how a client changes an object that others change at the same time.
//!
//! There are no locks in the API. Each object has a `resourceVersion`, a write may say which version it was made from, and
//! the server refuses it with a conflict if that isn't the current one any more. Source: `util/retry/util.go` in client-go, and
//! `rest/update.go`, `rest/delete.go` and `endpoints/handlers/patch.go` in `k8s.io/apiserver`.
//!
//! The module is a client that has one thing to do. It says which request it sends, is told what a real API server answers, and so on
//! until it is done or gives up. Other clients write meanwhile.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

// ANCHOR: contract
contract! {
    /// A client with one intent, about one Deployment.
    pub trait Concurrency {
        /// A client with nothing to do yet.
        fn new(config: &ClientConfig) -> Self;

        /// What the client is to do, and the object as its cache has it; that may be old, or miss what is there since. The answer is its first
        /// move. This is asked once.
        fn begin(&mut self, intent: &Intent, cached: &Value) -> Move;

        /// What the server answered to the last request. The answer is the next move.
        ///
        /// Any requests will do, as long as
        ///
        /// - nothing of what others write is lost, and nothing is changed that isn't part of the intent;
        /// - the intent is carried out once, on the object as it is then, and not on what the cache believed;
        /// - a write that was refused with a conflict (409, `Conflict`) is made again from a fresh object, 10 ms later, unless the
        ///   intent itself says what a conflict means; no more than five writes are tried (`retry.DefaultRetry`), then it gives up with `Conflict`;
        /// - any other refusal is not tried again: it gives up with `NotFound` where there is no object (404), and else with `Refused`;
        /// - it takes no more requests than it needs. An apply is one request, without a read. Before each other
        ///   write there may be one read, also before the first one and before a delete. And the client may begin
        ///   with a write that is made from the cache, without a read.
        fn answered(&mut self, answer: &ServerAnswer) -> Move;
    }
}

/// Who the client is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// The name under which the server notes which fields it owns; it goes with every apply.
    pub field_manager: String,
}

/// What the client is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Intent {
    /// The annotation has this value, whatever it had.
    SetAnnotation {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The annotation is a whole number of 64 bits in decimal, less than 0 perhaps, and 0 if it isn't there: it is one more afterwards.
    Increment {
        /// Its name.
        annotation: String,
    },
    /// `metadata.finalizers` has this one, once. If it is there, there is nothing to do.
    AddFinalizer(String),
    /// `metadata.finalizers` doesn't have this one. If it isn't there, there is nothing to do.
    RemoveFinalizer(String),
    /// The container of the template with this name has this image. If there is no such container, it gives up with `Refused`.
    SetImage {
        /// Its name.
        container: String,
        /// Its image.
        image: String,
    },
    /// `spec.replicas` is `to`, if it is `from`. If it is neither, somebody else has decided: it gives up with `Changed`.
    Scale {
        /// What it must be.
        from: i64,
        /// What it is then.
        to: i64,
    },
    /// `status.conditions` has a condition of this type with this status, and the others as they are. Other fields of the condition don't matter.
    SetCondition {
        /// The type of the condition.
        #[serde(rename = "type")]
        kind: String,
        /// `True`, `False` or `Unknown`.
        status: String,
    },
    /// The fields of this object are as it says, and belong to the client: by server-side apply. The object has no `apiVersion`, `kind` and
    /// `metadata.name` yet. If other managers own them with other values (409), the client takes them away from them with `force`, and else
    /// gives up with `Conflict`, at once.
    Apply {
        /// What it is to say.
        fields: Value,
        /// Whether to take fields away.
        force: bool,
    },
    /// The object with this uid is gone, and no other one. If it is gone already, or another one has its name, there is nothing to do.
    Delete {
        /// Its uid.
        uid: String,
    },
    /// The object is gone, if it is still as the cache has it (by uid and version). If it is there and isn't, it gives up with `Changed`; also if another one has its name.
    DeleteUnchanged,
}

/// What the client does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// Send a request about the object.
    Send(ApiRequest),
    /// The intent is carried out, or there was nothing to do.
    Done,
    /// It can't be.
    GiveUp(Reason),
}

/// One request about the object; the path is that of the Deployment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiRequest {
    /// Which.
    pub verb: ApiVerb,
    /// Whether it goes to the subresource `status`.
    pub status: bool,
    /// The object to be put, the patch, or the options of a delete; null for a get.
    pub body: Value,
    /// Of an apply: whether to take fields away from other managers.
    pub force: bool,
    /// How many milliseconds the client waits before it sends this.
    pub after: i64,
}

/// What is requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiVerb {
    /// `GET`.
    #[default]
    Get,
    /// `PUT`: the whole object. Without a `resourceVersion` in it, it replaces whatever is there.
    Update,
    /// `PATCH` as `application/merge-patch+json` (RFC 7386): objects are merged, lists replaced, null takes away.
    MergePatch,
    /// `PATCH` as `application/json-patch+json` (RFC 6902): a list of operations, which may test.
    JsonPatch,
    /// `PATCH` as `application/strategic-merge-patch+json`: lists with a merge key are merged.
    StrategicPatch,
    /// `PATCH` as `application/apply-patch+yaml`, under the field manager's name.
    Apply,
    /// `DELETE`, with `DeleteOptions` as the body, or null.
    Delete,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerAnswer {
    /// The HTTP status.
    pub code: u32,
    /// The object, or a `Status` with its `reason` and `message` where something was refused.
    pub body: Value,
}

/// Why it can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Others were faster, too often; or they own the fields.
    Conflict,
    /// There is no such object.
    NotFound,
    /// It isn't any more what it had to be.
    Changed,
    /// The server does not want it, or it makes no sense.
    Refused,
}
// ANCHOR_END: contract

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig { field_manager: "shop-operator".into() }
    }
}

macro_rules! show {
    ($($t:ty)*) => {$(
        impl Show for $t {
            fn lines(&self) -> Vec<String> {
                vec![flow(self)]
            }
        }
    )*};
}
show!(ClientConfig Intent Move ServerAnswer Value);
