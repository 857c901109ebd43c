//! Selectors: which objects a controller, a policy or a query means.
//!
//! Source: `staging/src/k8s.io/apimachinery/pkg/labels/selector.go` and `pkg/fields/selector.go` there, and
//! `LabelSelectorAsSelector` in `pkg/apis/meta/v1/helpers.go`.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

// ANCHOR: contract
contract! {
    /// Says which objects a selector means, in each of the three forms that Kubernetes has for one.
    ///
    /// Each call answers whether one object is meant, or that the selector is none. What is no selector is an error whatever the
    /// object looks like. The labels of an object are always valid: `is_key` and `is_value` hold for all of them.
    pub trait Selectors {
        /// `spec.selector` of an object. None at all means no object; one without requirements means every object.
        ///
        /// All of `match_labels` and all of `match_expressions` must hold, of which `In` and `NotIn` have at least one
        /// value, and `Exists` and `DoesNotExist` have none. There is no other operator, and case matters. An error where this,
        /// a key or a value isn't so.
        fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector>;

        /// A label selector as a text, as `kubectl get -l` takes it: `app in (api, web),tier!=db,!canary,generation>3`.
        ///
        /// Requirements with commas between them, all of which must hold; with none, every object is meant. A requirement is
        /// `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key>1` or
        /// `key<1`, with blanks (space, tab, newline, carriage return) wherever two of its parts meet. A value may be left out,
        /// which means the empty one, also in a list: `(a,)` has two values, `()` has one. After `>` and `<` stands an
        /// `i64`. `in` and `notin` are keys and values as any other word, where a key or a value stands.
        fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector>;

        /// A field selector as a text, as `kubectl get --field-selector` takes it: `status.phase!=Running,spec.nodeName=`.
        ///
        /// `fields` has a value for each field that can be asked for in this kind of object; to ask for another is an error.
        /// The first `=`, `==` or `!=` of a term ends its field, and all behind it is the value, blanks too. A term
        /// without any is an error. In a value a backslash stands before each `,`, `=` and `\` that is meant as such, and before
        /// nothing else; without it they are an error. Nothing between two commas is no term, and neither is an operator alone.
        fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector>;
    }
}

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// The fields of an object that can be selected by, with their values; a field that isn't set has the empty value.
pub type Fields = BTreeMap<String, String>;

/// A selector in a manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub match_labels: Labels,
    /// What else must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Expression>,
}

/// One requirement on one label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Expression {
    /// The label's key.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, or what isn't allowed here.
    pub operator: String,
    /// What the label's value is compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What was asked for is no selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotASelector;

/// Whether a label may have this key: a name of at most 63 characters, perhaps with a domain and `/` before it.
pub fn is_key(text: &str) -> bool {
    kit_api::name::qualified_name(text).is_empty()
}

/// Whether a label may have this value: nothing, or a word of at most 63 characters.
pub fn is_value(text: &str) -> bool {
    kit_api::name::label_value(text).is_empty()
}
// ANCHOR_END: contract

impl Show for NotASelector {
    fn lines(&self) -> Vec<String> {
        vec!["not a selector".into()]
    }
}

impl Show for LabelSelector {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for Labels {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}
