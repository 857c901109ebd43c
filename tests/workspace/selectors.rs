//! The reference of `objects/selector` and the selectors that the cluster selects with are two programs, and must agree.

use kit_api::meta;
use kit_api::selector::{FieldSelector, Labels, Selector};
use kit_contract::objects::{LabelSelector, NotASelector, Selectors};
use kit_stages::fresh::{self, Fresh};
use serde_json::Value;
use solutions::objects::selector::Exercise;

/// What the cluster says of a fresh question.
fn cluster(call: &str, args: &Value) -> Result<bool, String> {
    let map = |name: &str| -> Labels { serde_json::from_value(args[name].clone()).expect("labels or fields") };
    let text = args["text"].as_str().unwrap_or_default();
    match call {
        "selects" => {
            let selector: Option<meta::LabelSelector> =
                serde_json::from_value(args["selector"].clone()).expect("a selector");
            Ok(Selector::try_from(selector.as_ref())?.matches(&map("labels")))
        }
        "labels" => Ok(text.parse::<Selector>()?.matches(&map("labels"))),
        _ => {
            let (selector, fields) = (text.parse::<FieldSelector>()?, map("fields"));
            match selector.terms.iter().find(|term| !fields.contains_key(&term.field)) {
                Some(term) => Err(format!("field label not supported: {}", term.field)),
                None => Ok(selector.matches(&fields)),
            }
        }
    }
}

fn reference(call: &str, args: &Value) -> Result<bool, NotASelector> {
    let map = |name: &str| -> Labels { serde_json::from_value(args[name].clone()).expect("labels or fields") };
    let text = args["text"].as_str().unwrap_or_default();
    match call {
        "selects" => {
            let selector: Option<LabelSelector> = serde_json::from_value(args["selector"].clone()).expect("a selector");
            Exercise.selects(&selector, &map("labels"))
        }
        "labels" => Exercise.labels(text, &map("labels")),
        _ => Exercise.fields(text, &map("fields")),
    }
}

#[test]
fn both_select_alike() {
    let (generator, _) = fresh::of("objects/selector", &solutions::modules()).expect("a generator");
    let (mut meant, mut refused) = (0, 0);
    for number in 1..=5000 {
        let scenario = Fresh::draw(&generator, "objects/selector", "both", number).expect("it draws").scenario();
        let step = scenario["steps"][0].as_object().expect("a step");
        let (call, args) = step.iter().next().expect("a call");
        let ours = cluster(call, args);
        assert_eq!(reference(call, args).ok(), ours.clone().ok(), "{call} {args}: {ours:?}");
        meant += u32::from(ours == Ok(true));
        refused += u32::from(ours.is_err());
    }
    // Corners are where answers change, so each kind of answer must be common.
    assert!(meant > 800 && refused > 800 && meant + refused < 4200, "{meant} meant, {refused} refused of 5000");
}
