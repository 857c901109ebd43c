//! What a module is asked and what it answers.
//!
//! Each exercise is one trait, declared with [`contract!`] under the exercise's own name
//! (`scheduler/taints` is [`scheduler::taints`]). From the trait the macro derives the two ends of the
//! wire: the [`worker`] that runs a module in its own process, and the remote that implements the same
//! trait by asking a worker. [`Modules`] holds one slot for each contract; the cluster and the grader
//! take their modules from there and never know which end they talk to.

// What is compiled there for a text need not be compiled here once more.
use kit_codec as _;

#[macro_use]
mod macros;
pub mod control_plane;
pub mod design;
pub mod failure;
mod modules;
pub mod network;
pub mod node;
pub mod objects;
pub mod observability;
pub mod remote;
pub mod scheduler;
mod show;
pub mod storage;
pub mod wire;
pub mod worker;
pub mod workloads;

pub use kit_api as api;
pub use modules::{EXERCISES, Modules, Player, Slot, serve};
/// For contracts about objects of any form.
pub use serde_json;
pub use show::{Show, flow};

use remote::Link;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The arguments of one call, by name, not yet decoded.
pub type Args<'a> = BTreeMap<&'a str, &'a RawValue>;

/// What [`contract!`] derives for the trait object `dyn Trait`.
///
/// Everything goes through `dyn Trait`, never generically over the learner's type, so that the JSON code
/// is compiled once in the kit and not again with each edit of an exercise.
pub trait Contract {
    /// What `new` takes; `()` where modules are made with `Default`.
    type Config: ?Sized;

    /// Where the contract stands in this crate, which tells the exercise: `kit_contract::scheduler::taints`.
    const MODULE: &'static str;

    /// The calls that a module answers, in the order of the trait.
    const CALLS: &'static [&'static str];

    /// Decodes the arguments of `call`, asks the module and encodes its answer.
    fn dispatch(module: &mut Self, call: &str, args: &Args<'_>) -> Result<String, String>;

    /// A module that asks the worker behind `link`. Its first question is `new`.
    fn remote(link: Link, config: &Self::Config) -> Box<Self>;

    /// The configuration in the arguments of a `new` question.
    fn config(args: &Args<'_>) -> Result<Box<Self::Config>, String>;

    /// The lines in which people read an answer.
    fn show_answer(call: &str, answer: &str) -> Result<Vec<String>, String>;

    /// Whether two answers to `call` mean the same, by [`Show::meaning`].
    fn same(call: &str, one: &str, other: &str) -> Result<bool, String>;

    /// The arguments of a call as people read them: name and lines.
    fn show_args(call: &str, args: &Args<'_>) -> Result<Vec<(&'static str, Vec<String>)>, String>;
}

/// How a learner's type is made from the configuration.
pub trait Make<C: Contract + ?Sized> {
    /// A new module.
    fn make(config: &C::Config) -> Box<C>;
}

#[doc(hidden)]
pub mod __private {
    pub use crate::remote::encode;
    pub use serde_json;

    /// The owned form of an argument: what `&[T]`, `&str`, `&T` and small values are decoded into.
    pub trait Argument<'a>: Copy {
        type Owned: serde::de::DeserializeOwned;
        fn lend(owned: &'a Self::Owned) -> Self;
    }
    impl<'a, T: serde::de::DeserializeOwned> Argument<'a> for &'a T {
        type Owned = T;
        fn lend(owned: &'a T) -> Self {
            owned
        }
    }
    impl<'a, T: serde::de::DeserializeOwned> Argument<'a> for &'a [T] {
        type Owned = Vec<T>;
        fn lend(owned: &'a Vec<T>) -> Self {
            owned
        }
    }
    impl<'a, T: serde::de::DeserializeOwned> Argument<'a> for Option<&'a T> {
        type Owned = Option<T>;
        fn lend(owned: &'a Option<T>) -> Self {
            owned.as_ref()
        }
    }
    impl<'a> Argument<'a> for &'a str {
        type Owned = String;
        fn lend(owned: &'a String) -> Self {
            owned
        }
    }
    macro_rules! small {
        ($($t:ty)*) => {$(
            impl<'a> Argument<'a> for $t {
                type Owned = $t;
                fn lend(owned: &'a $t) -> Self { *owned }
            }
        )*};
    }
    small!(bool i32 i64 u32 u64 f64);

    /// Decodes one argument, or says which one is wrong and how.
    pub fn argument<T: serde::de::DeserializeOwned>(
        args: &crate::Args<'_>,
        call: &str,
        name: &str,
    ) -> Result<T, String> {
        let raw = args.get(name).map_or("null", |raw| raw.get());
        serde_json::from_str(raw).map_err(|e| format!("argument `{name}` of `{call}`: {e}"))
    }
}
