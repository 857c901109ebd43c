//! Warm-up questions: a minute each, and answered by choosing, counting or sorting.
//!
//! A file `warmups/scheduler/taints.yaml` is a list of them, all about the page `book/src/scheduler/taints.md`:
//!
//! ```yaml
//! - id: two-taints                      # once in the file
//!   level: senior
//!   source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
//!   read: matching                      # a heading of the page, as an anchor
//!   ask: A node has the taints a:NoSchedule and b:NoExecute. Which pods may run there?
//!   one:                                # or `several`, `number`, `order`, `next`
//!     - {text: Those that tolerate both, right: true, why: Each taint is looked at by itself.}
//!     - {text: Those that tolerate one of them, why: The other taint still keeps the pod away.}
//! ```

use crate::content::Choice;
use crate::content::Level;
use crate::content::check::Shown;
use kit_cluster::timeline::Timeline;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// One question.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// Its name among those of the file.
    pub id: String,
    /// For whom it is.
    pub level: Level,
    /// Where the fact stands: a page of the documentation, or a file of upstream's code.
    pub source: String,
    /// The heading of the page where it is explained, as an anchor; without it, the page's beginning.
    #[serde(default)]
    pub read: Option<String>,
    /// The question.
    pub ask: String,
    /// One right option of several.
    #[serde(default)]
    pub one: Option<Vec<Choice>>,
    /// Any number of right options, at least one.
    #[serde(default)]
    pub several: Option<Vec<Choice>>,
    /// A number.
    #[serde(default)]
    pub number: Option<Number>,
    /// Things to be put in order.
    #[serde(default)]
    pub order: Option<Order>,
    /// What happens next, after what the engine shows.
    #[serde(default)]
    pub next: Option<Next>,
}

/// A number is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The right one.
    pub is: f64,
    /// How far from it an answer is right, too.
    #[serde(default)]
    pub give: f64,
    /// What it counts: `s`, `pods`.
    #[serde(default)]
    pub unit: String,
    /// Why it is that.
    pub why: String,
    /// Numbers that people think of, and why they are wrong.
    pub wrong: Vec<WrongNumber>,
}

/// A number that is not right.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongNumber {
    /// The number.
    pub is: f64,
    /// What is wrong with it.
    pub why: String,
}

/// Things in their right order; they are shown in another one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// First things first.
    pub first_to_last: Vec<String>,
    /// Why this is the order.
    pub why: String,
    /// What people take for the right order in two of them: `[the one they put first, the other, why it comes later]`.
    pub wrong: Vec<[String; 3]>,
}

/// What happens next. The engine plays it, shows all but the end, and is the judge of the right option.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Questions to the reference of one exercise; what it answers to the last is asked for.
    #[serde(default)]
    pub play: Option<Questions>,
    /// A cluster; what an observer sees after the last step is asked for.
    #[serde(default)]
    pub cluster: Option<Timeline>,
    /// The options. The right one is what the engine shows, its lines joined by ` · `.
    pub options: Vec<Choice>,
    /// What came of playing it: a page that follows a session shows it every second.
    #[serde(skip)]
    pub(super) played: OnceLock<Result<Shown, String>>,
}

/// Questions to a module.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    /// `chapter/exercise`.
    pub exercise: String,
    /// What the module is made with.
    #[serde(default)]
    pub new: Map<String, Value>,
    /// The questions, each `{call: {argument: value, …}}`, as in the exercise's scenarios.
    pub steps: Vec<Map<String, Value>>,
}

/// The kind of an answer.
#[derive(Debug, Clone)]
pub enum Kind<'a> {
    /// One option.
    One(&'a [Choice]),
    /// Some options.
    Several(&'a [Choice]),
    /// A number.
    Number(&'a Number),
    /// An order.
    Order(&'a Order),
}

impl Warmup {
    /// How it is answered.
    ///
    /// # Errors
    ///
    /// If it says several ways, or none.
    pub fn kind(&self) -> Result<Kind<'_>, String> {
        let Warmup { one, several, number, order, next, .. } = self;
        let kinds = [
            one.as_deref().map(Kind::One),
            several.as_deref().map(Kind::Several),
            number.as_ref().map(Kind::Number),
            order.as_ref().map(Kind::Order),
            next.as_ref().map(|next| Kind::One(&next.options)),
        ];
        let mut kinds = kinds.into_iter().flatten();
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(kind),
            _ => Err("a question has exactly one of `one`, `several`, `number`, `order` and `next`".into()),
        }
    }
}
