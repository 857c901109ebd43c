//! # Selectors: which objects are meant
//!
//! A Service finds its pods by a selector, a Deployment owns by one, a policy isolates by one, and `kubectl get -l` asks
//! with one. You decide which objects a selector means, and what one means that is empty, absent or no selector.
//!
//! About 30 minutes · builds on nothing · book: "Selectors: which objects are meant"
//! stuck? `cargo grade hint objects/selector`

use kit::objects::{Expression, Fields, LabelSelector, Labels, NotASelector, Selectors, is_key, is_value};

#[derive(Default)]
struct Exercise;

impl Selectors for Exercise {
    /// `spec.selector` of an object. None at all means no object; one without requirements means every object.
    ///
    /// All of `match_labels` and all of `match_expressions` must hold. `In` and `NotIn` have at least one value, `Exists` and
    /// `DoesNotExist` have none; there is no other operator. Keys and values are valid (`is_key`, `is_value`). Where
    /// any of this isn't so, it is `Err(NotASelector)`, whatever the labels are.
    fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector> {
        let _ = (selector, labels, is_key, is_value, Expression::default);
        todo!("decide what one requirement means for a label that may be missing, and begin with that")
    }

    /// A label selector as `kubectl get -l` takes it: `app in (api, web),tier!=db,!canary,generation>3`.
    ///
    /// Requirements with commas between them, all of which must hold; with none, every object is meant. A requirement is
    /// `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key>1` or `key<1`,
    /// with blanks (space, tab, newline, carriage return) wherever two of its parts meet.
    ///
    /// A value may be left out, which means the empty one, also in a list: `(a,)` has two values, `()` has one. After `>`
    /// and `<` stands an `i64`. `in` and `notin` are keys and values as any other word, where a key or a value stands.
    fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector> {
        let _ = (text, labels);
        todo!("cut the text into words and signs, and read requirements from those")
    }

    /// A field selector as `kubectl get --field-selector` takes it: `status.phase!=Running,spec.nodeName=`.
    ///
    /// `fields` has a value for each field that can be asked for; to ask for another is `Err(NotASelector)`.
    /// The first `=`, `==` or `!=` of a term ends its field, and all behind it is the value, blanks too; a term without any
    /// is an error. In a value a backslash stands before each `,`, `=` and `\` that is meant as such, and before nothing
    /// else; without it they are an error. Nothing between two commas is no term, and neither is an operator alone.
    fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector> {
        let _ = (text, fields);
        todo!("split at commas that aren't escaped, and each term at its first operator")
    }
}

kit::exercise!(Exercise: Selectors);
