//! # Admission: what is filled in, and what is refused
//!
//! Between the request and the store stands a chain of plugins. First those that change the object, then those that only
//! check it; the last one counts what it costs. You write four of them: LimitRanger, Priority, DefaultTolerationSeconds and
//! ResourceQuota.
//!
//! About 45 minutes · builds on nothing · book: "Admission: what is filled in, and what is refused" · stuck? `cargo grade hint control_plane/admission`
//!
//! Given to you:
//!
//! - `Quantity::sign: fn(&Quantity) -> i32`
//! - `Quantity::add: fn(&mut Quantity, &Quantity)`
//! - `Quantity::sub: fn(&mut Quantity, &Quantity)`
//! - `Quantity::milli_value: fn(&Quantity) -> i64`

use kit::control_plane::Admission;
use kit::control_plane::admission::{
    AdmitRequest, Amounts, Charge, Container, Limit, Operation, Pod, Quantity, Quota, Toleration, ValidateRequest,
};

/// Every answer follows from its question alone.
#[derive(Default)]
struct Exercise;

impl Admission for Exercise {
    /// The pod as it goes on, or why it is refused. An update gets only the tolerations; a new pod everything:
    ///
    /// - **LimitRanger**: containers and init containers get what the limits of type `Container` have for it and they don't say:
    ///   requests from `default_request`, limits from `default`; the last limit that names a resource counts;
    /// - **Priority**: class, value and policy of the class that it names, or of the one with `global_default` (of several
    ///   the lowest value), or 0 and `PreemptLowerPriority`. Refused are an unknown class and another priority or policy than
    ///   this; the chapter has the words;
    /// - **DefaultTolerationSeconds**: for `node.kubernetes.io/not-ready` and then `node.kubernetes.io/unreachable` a toleration of
    ///   `NoExecute` for 300 seconds with operator `Exists`, unless one covers it by key and effect, where empty means all.
    fn admit(&self, request: &AdmitRequest) -> Result<Pod, String> {
        let _ = (request, Operation::Create, Toleration::default());
        todo!("fill in, then the priority, then the tolerations")
    }

    /// What is charged to which quotas, or why the object is refused: first the limits of type `Container` and
    /// `Pod`, if it is a pod, then all quotas. The chapter has the rules and the words of both.
    fn validate(&self, request: &ValidateRequest) -> Result<Vec<Charge>, String> {
        let _ = (request, check_limits, counted, charge);
        todo!("a refusal of the limits comes before that of the quotas")
    }
}

/// Holds a pod against the limits, in their order.
fn check_limits(pod: &Pod, limits: &[Limit]) -> Result<(), String> {
    let _ = (pod, limits, compare);
    todo!("range by range: containers one by one, and the pod as a whole; then one problem, or all of them in brackets")
}

/// Adds what is wrong with these amounts.
fn compare(problems: &mut Vec<String>, limit: &Limit, requests: &Amounts, limits: &Amounts) {
    let _ = (problems, limit, requests, limits, Container::default());
    todo!("min, then max, then the ratio, at most one problem for each resource of each")
}

/// The resources of one quota that count here; none if it isn't about the object. Or why it refuses: not all is said, or
/// not all is known. All quotas are asked this before any is asked for room.
fn counted<'a>(quota: &'a Quota, request: &ValidateRequest) -> Result<Vec<&'a str>, String> {
    let _ = (quota, request);
    todo!("is it about the object? is everything said? is the usage known?")
}

/// What the object adds to one quota, of the resources that count, or why there is no room for it.
fn charge(quota: &Quota, counted: &[&str], request: &ValidateRequest) -> Result<Charge, String> {
    let _ = (quota, counted, request, Quantity::default());
    todo!("how much more than before is it, and is there room for that?")
}

kit::exercise!(Exercise: kit::control_plane::Admission);
