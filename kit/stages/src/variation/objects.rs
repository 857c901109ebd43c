//! Variations of the chapter `objects`.

use super::{Kind, Param, around};
use kit_contract::objects::{
    Expression, Fields, LabelSelector, Labels, NotAQuantity, NotASelector, Quantities, Selectors,
};

pub const KINDS: &[Kind] = &[
    Kind {
        exercise: "objects/quantity",
        name: "rounding",
        minutes: 15,
        params: &[Param::word("to", &["zero", "nearest"])],
        rule: |values| {
            match values.word("to") {
            "zero" => "`value` and `milli_value` round towards zero: what is cut off is lost. 1.9 has the value 1, -1.9 has the \
                value -1, and 1999u is one thousandth. Amounts finer than a nano are still taken for the next nano away from zero \
                first, and `canonical`, `compare`, `add` and `sub` stay as they are."
                .into(),
            _ => "`value` and `milli_value` round to the nearest whole number, halves away from zero: 1.4 has the value 1, 1.5 \
                has the value 2, and -1.5 has the value -2. Amounts finer than a nano are still taken for the next nano away from \
                zero first, and `canonical`, `compare`, `add` and `sub` stay as they are."
                .into(),
        }
        },
        apply: |values, modules| {
            let nearest = values.word("to") == "nearest";
            around(&mut modules.quantity, move |inner| Box::new(Rounded { inner, nearest }));
        },
    },
    Kind {
        exercise: "objects/selector",
        name: "one-is-enough",
        minutes: 10,
        params: &[Param::word("of", &["labels", "expressions", "both"])],
        rule: |values| {
            let of = match values.word("of") {
                "labels" => "`match_labels`",
                "expressions" => "`match_expressions`",
                _ => "`match_labels`, and one of `match_expressions`",
            };
            format!(
                "In the selector of an object (`selects`), one requirement of {of} is enough; an empty list still asks for \
                 nothing. With the two labels `app: web` and `tier: db` a list of which one is enough means every object that has \
                 either. A list that isn't named here must hold as a whole, both lists must be satisfied, no selector at all still \
                 means no object, and what is no selector is still an error. Selectors that are texts stay as they are."
            )
        },
        apply: |values, modules| {
            let of = values.word("of");
            around(&mut modules.selector, move |inner| Box::new(OneIsEnough { inner, of }));
        },
    },
    Kind {
        exercise: "objects/selector",
        name: "absence",
        minutes: 10,
        params: &[Param::word("operator", &["NotIn", "In", "both"])],
        rule: |values| {
            let rule = match values.word("operator") {
                "NotIn" => {
                    "`NotIn` holds only where the label is there: `tier NotIn (db)` no longer means objects without the \
                    label `tier`"
                }
                "In" => {
                    "`In` also holds where the label isn't there: `tier In (db)` means objects without the label `tier`, too"
                }
                _ => {
                    "`In` also holds where the label isn't there, and `NotIn` only where it is: `tier In (db)` means objects \
                    without the label `tier`, too, and `tier NotIn (db)` doesn't"
                }
            };
            format!(
                "In `match_expressions` of an object's selector (`selects`), {rule}. A label with an empty value is there. \
                 `match_labels`, the other operators, what counts as an error, and selectors that are texts stay as they are."
            )
        },
        apply: |values, modules| {
            let operator = values.word("operator");
            around(&mut modules.selector, move |inner| Box::new(Absence { inner, operator }));
        },
    },
];

/// `value` and `milli_value` by another rounding.
struct Rounded {
    inner: Box<dyn Quantities>,
    nearest: bool,
}

impl Rounded {
    /// `away` is the amount in the unit, rounded away from zero; `below` is the suffix of a thousandth of the unit.
    fn round(&self, text: &str, away: i64, unit: &str, below: &str) -> i64 {
        if self.inner.compare(text, &format!("{away}{unit}")) == 0 {
            return away;
        }
        let sign = away.signum();
        let half = (2 * i128::from(away) - i128::from(sign)) * 500;
        let beside = self.inner.compare(text, &format!("{half}{below}"));
        let is_far = self.nearest && i64::from(beside) * sign >= 0;
        if is_far { away } else { away - sign }
    }
}

impl Quantities for Rounded {
    fn canonical(&self, text: &str) -> Result<String, NotAQuantity> {
        self.inner.canonical(text)
    }
    fn value(&self, text: &str) -> i64 {
        self.round(text, self.inner.value(text), "", "m")
    }
    fn milli_value(&self, text: &str) -> i64 {
        self.round(text, self.inner.milli_value(text), "m", "u")
    }
    fn compare(&self, a: &str, b: &str) -> i32 {
        self.inner.compare(a, b)
    }
    fn add(&self, a: &str, b: &str) -> String {
        self.inner.add(a, b)
    }
    fn sub(&self, a: &str, b: &str) -> String {
        self.inner.sub(a, b)
    }
}

/// One label or one expression of a selector is enough.
struct OneIsEnough {
    inner: Box<dyn Selectors>,
    of: &'static str,
}

impl Selectors for OneIsEnough {
    fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector> {
        // What is wrong with it is wrong with all of it.
        let all = self.inner.selects(selector, labels)?;
        let Some(LabelSelector { match_labels, match_expressions }) = selector else { return Ok(all) };
        let holds = |match_labels: Labels, match_expressions: Vec<Expression>| {
            self.inner.selects(&Some(LabelSelector { match_labels, match_expressions }), labels)
        };
        let one_label =
            match_labels.iter().map(|(key, value)| holds([(key.clone(), value.clone())].into(), Vec::new()));
        let one_expression = match_expressions.iter().map(|expression| holds(Labels::new(), vec![expression.clone()]));
        let labels_hold = match self.of {
            "expressions" => holds(match_labels.clone(), Vec::new())?,
            _ => match_labels.is_empty() || one_label.collect::<Result<Vec<_>, _>>()?.contains(&true),
        };
        let expressions_hold = match self.of {
            "labels" => holds(Labels::new(), match_expressions.clone())?,
            _ => match_expressions.is_empty() || one_expression.collect::<Result<Vec<_>, _>>()?.contains(&true),
        };
        Ok(labels_hold && expressions_hold)
    }
    fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector> {
        self.inner.labels(text, labels)
    }
    fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector> {
        self.inner.fields(text, fields)
    }
}

/// `In` and `NotIn` judge a label that isn't there otherwise.
struct Absence {
    inner: Box<dyn Selectors>,
    operator: &'static str,
}

impl Selectors for Absence {
    fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector> {
        self.inner.selects(selector, labels)?;
        let Some(mut selector) = selector.clone() else { return self.inner.selects(&None, labels) };
        let means = |expression: &Expression| {
            matches!(expression.operator.as_str(), "In" | "NotIn")
                && (self.operator == "both" || self.operator == expression.operator)
        };
        for expression in selector.match_expressions.iter_mut().filter(|expression| means(expression)) {
            if !labels.contains_key(&expression.key) {
                let operator = if expression.operator == "In" { "DoesNotExist" } else { "Exists" };
                *expression = Expression { key: expression.key.clone(), operator: operator.into(), values: Vec::new() };
            }
        }
        self.inner.selects(&Some(selector), labels)
    }
    fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector> {
        self.inner.labels(text, labels)
    }
    fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector> {
        self.inner.fields(text, fields)
    }
}
