//! The reference of `objects/quantity` and the quantities that the cluster counts with are two programs, and must agree.

use kit_api::Quantity;
use kit_contract::objects::Quantities;
use proptest::prelude::*;
use solutions::objects::quantity::Exercise;

/// A quantity as the contract allows it, in thousandths too less than 2^63; binary ones of at least a byte.
fn text() -> impl Strategy<Value = String> {
    let decimal = ("[-+]?(0|[1-9][0-9]{0,5})", "(\\.[0-9]{0,8})?", "[numkMG]?").prop_map(join);
    let great = ("[-+]?[1-8]", "(\\.[0-9]{0,6})?", "[TP]").prop_map(join);
    let binary = ("[-+]?[1-9][0-9]{0,4}", "(\\.[0-9]{0,6})?", "[KMG]i").prop_map(join);
    let exponent = ("[-+]?(0|[1-9][0-9]{0,5})", "(\\.[0-9]{0,6})?", "[eE](-?[0-9]|\\+[0-3])").prop_map(join);
    prop_oneof![decimal, great, binary, exponent]
}

fn join((number, fraction, suffix): (String, String, String)) -> String {
    number + &fraction + &suffix
}

fn parse(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn sum(a: &Quantity, b: &Quantity) -> Quantity {
    let mut sum = a.clone();
    sum.add(b);
    sum
}

fn difference(a: &Quantity, b: &Quantity) -> Quantity {
    let mut difference = a.clone();
    difference.sub(b);
    difference
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_count_alike(a in text(), b in text()) {
        let (first, second) = (parse(&a), parse(&b));
        // Adding nothing takes away the text that was parsed.
        prop_assert_eq!(Exercise.canonical(&a), Ok(sum(&first, &Quantity::default()).to_string()), "{}", a);
        prop_assert_eq!(Exercise.add(&a, &b), sum(&first, &second).to_string(), "{} + {}", a, b);
        prop_assert_eq!(Exercise.sub(&a, &b), difference(&first, &second).to_string(), "{} - {}", a, b);
        prop_assert_eq!(Exercise.compare(&a, &b), first.cmp(&second) as i32, "{} and {}", a, b);
        // Below zero, upstream's big decimals round up where its integers round away from zero.
        if first.sign() >= 0 {
            prop_assert_eq!(Exercise.value(&a), first.value(), "{}", a);
            prop_assert_eq!(Exercise.milli_value(&a), first.milli_value(), "{}", a);
        }
    }

    #[test]
    fn both_refuse_alike(text in "[-+]?[0-9]{1,2}\\.?[0-9]?[-+eEinumkKMGTPB. ]{0,2}[0-9]?") {
        prop_assert_eq!(Exercise.canonical(&text).is_ok(), text.parse::<Quantity>().is_ok(), "{:?}", text);
    }
}
