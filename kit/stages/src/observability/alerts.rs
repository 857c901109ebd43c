//! Fresh scenarios of `observability/alerts`: rules whose alerts come, go and come back at the times that matter; trees in which several
//! routes fit; groups of which some was told before.

use crate::fresh::{Generator, scenario, several, step};
use kit_contract::Slot;
use kit_contract::observability::Alerts;
use kit_contract::observability::alerts::{Alert, Labels, Rule};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};

/// Some clocks begin at 0, others in 1970.
const STARTS: [i64; 3] = [0, 1_000, 1_764_000_000_000];

const MATCHERS: [&str; 10] = [
    r#"severity="page""#,
    r#"team="db""#,
    r#"team=~"db|web""#,
    r#"team!="db""#,
    r#"team="""#,
    r#"severity!~"p.*""#,
    r#"alertname=~"D.*""#,
    r#"alertname="NodeDown""#,
    r#"pod=~".+""#,
    r#"team=~"d""#,
];

fn labels() -> impl Strategy<Value = Labels> {
    let label = |name: &'static str, values: &'static [&'static str]| {
        option::weighted(0.7, select(values)).prop_map(move |value| value.map(|value| (name, value)))
    };
    let some = (
        label("severity", &["page", "ticket", "info"]),
        label("team", &["db", "web", "dba"]),
        label("pod", &["a", "b"]),
        label("namespace", &["shop", "pay"]),
    );
    (select(vec!["Down", "NodeDown", "Slow"]), some).prop_map(|(name, (severity, team, pod, namespace))| {
        let pairs = [Some(("alertname", name)), severity, team, pod, namespace];
        pairs.into_iter().flatten().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    })
}

/// The alerts of one rule: they differ in one label, or in that one has it and the other has not.
fn of_rule(number: usize) -> Labels {
    let mut all = Labels::from([("alertname".into(), "Down".into())]);
    if number > 0 {
        all.insert("pod".into(), format!("web-{number}"));
    }
    all
}

/// One rule for some evaluations; what is known is what the reference answered.
fn history(reference: Slot<dyn Alerts>) -> impl Strategy<Value = Value> {
    let rule = (
        select(vec![0_i64, 30_000, 60_000, 300_000]),
        select(vec![0_i64, 0, 45_000, 60_000, 300_000]),
        select(vec![15_000_i64, 60_000, 120_000]),
        select(vec![60_000_i64, 60_000, 30_000]),
    );
    let few = prop_oneof![12 => 1..5_usize, 1 => 65..75_usize];
    let steps =
        vec((select(vec![15_000_i64, 30_000, 60_000, 120_000, 300_000, 900_000, 901_000]), any::<[bool; 5]>()), 1..9);
    (rule, few, select(STARTS.to_vec()), steps).prop_map(
        move |((for_ms, keep, interval, resend), few, start, steps)| {
            let rule = Rule { for_ms, keep_firing_for_ms: keep, interval_ms: interval, resend_delay_ms: resend };
            let module = reference.make(&());
            let (mut known, mut now, mut asked) = (Vec::<Alert>::new(), start, Vec::new());
            for (after, holds) in steps {
                let holding: Vec<Labels> = (0..few).filter(|number| holds[number % 5]).map(of_rule).rev().collect();
                asked.push(step("evaluate", json!({"rule": rule, "known": known, "holding": holding, "now_ms": now})));
                known = module.evaluate(&rule, &known, &holding, now);
                asked.push(step("send", json!({"rule": rule, "known": known, "now_ms": now})));
                for sent in module.send(&rule, &known, now) {
                    let known = known.iter_mut().filter(|alert| alert.labels == sent.labels);
                    known.for_each(|alert| alert.last_sent_at_ms = Some(now));
                }
                now += after;
            }
            scenario(json!({}), asked)
        },
    )
}

fn matchers() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![8 => subsequence(MATCHERS.to_vec(), 1), 3 => subsequence(MATCHERS.to_vec(), 2), 1 => Just(Vec::new())]
}

fn route(below: BoxedStrategy<Vec<Value>>) -> impl Strategy<Value = Value> {
    let times = || option::weighted(0.4, select(vec![0_i64, 10_000, 30_000, 60_000, 300_000]));
    let group_by = option::weighted(
        0.4,
        prop_oneof![
            3 => subsequence(vec!["alertname", "namespace", "team"], 1..=2),
            1 => Just(vec!["..."]),
        ],
    );
    let receiver = option::weighted(0.7, select(vec!["page", "chat", "db", "web"]));
    (receiver, group_by, (times(), times(), times()), matchers(), any::<bool>(), below).prop_map(
        |(receiver, group_by, (wait, interval, repeat), matchers, goes_on, below)| {
            let mut route = json!({"matchers": matchers, "routes": below, "continue": goes_on});
            let fields = [
                ("receiver", receiver.map(Value::from)),
                ("group_by", group_by.map(Value::from)),
                ("group_wait_ms", wait.map(Value::from)),
                ("group_interval_ms", interval.map(Value::from)),
                ("repeat_interval_ms", repeat.map(Value::from)),
            ];
            for (name, value) in fields {
                if let Some(value) = value {
                    route[name] = value;
                }
            }
            route
        },
    )
}

fn tree() -> impl Strategy<Value = Value> {
    let leaves = vec(route(Just(Vec::new()).boxed()), 0..3).boxed();
    let middle = vec(route(leaves), 0..4).boxed();
    let top = vec(route(middle), 0..4).boxed();
    route(top).prop_map(|mut root| {
        (root["matchers"], root["continue"], root["receiver"]) = (json!([]), false.into(), "all".into());
        root
    })
}

fn joined() -> impl Strategy<Value = Value> {
    let wait = select(vec![30_000_i64, 0, 10_000, 60_000]);
    let ago = select(vec![0_i64, 5_000, 9_999, 10_000, 10_001, 30_000, 30_001, 60_000, 3_600_000]);
    let next = option::weighted(0.8, select(vec![0_i64, 1, 10_000, 300_000]));
    (wait, ago, next, any::<bool>(), select(STARTS.to_vec())).prop_map(|(wait, ago, next, flushed, start)| {
        let now = start + 3_600_000;
        let next = next.map(|after| now + after);
        let group = json!({"group_wait_ms": wait, "next_ms": next, "flushed": flushed && next.is_some()});
        json!({"group": group, "starts_at_ms": now - ago, "now_ms": now})
    })
}

fn muted() -> impl Strategy<Value = Value> {
    let silence = (matchers(), select(vec![-60_000_i64, 0, 1, 60_000]), select(vec![-1_i64, 0, 1, 60_000]))
        .prop_map(|(matchers, begin, end)| (matchers, begin.min(end), end));
    let rule = (matchers(), matchers(), subsequence(vec!["namespace", "team", "pod", "cluster"], 0..=2));
    let start = select(STARTS.to_vec());
    let silences = prop_oneof![2 => Just(Vec::new()), 1 => vec(silence, 1..3)];
    (silences, vec(rule, 0..3), vec(labels(), 0..4), labels(), any::<bool>(), start).prop_map(
        |(silences, rules, mut firing, labels, among, start)| {
            let now = start + 120_000;
            let silences: Vec<Value> = (silences.into_iter())
                .map(|(matchers, begin, end)| {
                    json!({"matchers": matchers, "starts_at_ms": now + begin, "ends_at_ms": now + end})
                })
                .collect();
            let rules: Vec<Value> = (rules.into_iter())
                .map(|(source, target, equal)| json!({"source": source, "target": target, "equal": equal}))
                .collect();
            if among && !firing.contains(&labels) {
                firing.push(labels.clone());
            }
            let quiet = json!({"silences": silences, "inhibit_rules": rules});
            json!({"quiet": quiet, "firing": firing, "labels": labels, "now_ms": now})
        },
    )
}

fn flushed() -> impl Strategy<Value = Value> {
    // Of each alert: when it ends, whether it is muted, and what was told of it last.
    let ends = select(vec![60_000_i64, 240_000, 1, 0, -1, -60_000]);
    let member = (ends, prop::bool::weighted(0.2), 0..3_usize);
    let numbers = prop_oneof![12 => subsequence((0..5).collect::<Vec<usize>>(), 0..=5), 1 => Just((0..70).collect())];
    let members = (numbers, vec(member, 70));
    let gone = vec((5..7_usize, any::<bool>()), 0..2);
    let interval = select(vec![300_000_i64, 10_000, 60_000]);
    let repeat = select(vec![14_400_000_i64, 300_000, 600_000, 60_000]);
    let since = option::weighted(0.8, select(vec![300_000_i64, 60_000, 10_000, 60_001, 600_000, 600_001, 14_400_001]));
    let start = select(STARTS.to_vec());
    (members, gone, interval, repeat, since, prop::bool::weighted(0.7), start, any::<Index>()).prop_map(
        |((numbers, members), gone, interval, repeat, since, send_resolved, start, turn)| {
            let now = start + 86_400_000;
            let members: Vec<_> = numbers.into_iter().zip(members).collect();
            let last = since.map(|since| {
                let told = |wanted: usize| -> Vec<Labels> {
                    let of = members.iter().filter(|(_, (_, _, told))| *told == wanted).map(|(number, _)| *number);
                    let old = gone.iter().filter(|(_, fired)| *fired == (wanted == 1)).map(|(number, _)| 100 + number);
                    of.chain(old).map(of_rule).collect()
                };
                json!({"at_ms": now - since, "firing": told(1), "resolved": told(2)})
            });
            let mut alerts: Vec<Value> = (members.iter())
                .map(|(number, (ends, muted, _))| {
                    json!({"labels": of_rule(*number), "ends_at_ms": now + ends, "muted": muted})
                })
                .collect();
            if !alerts.is_empty() {
                let turn = turn.index(alerts.len());
                alerts.rotate_left(turn);
            }
            let group = json!({"alerts": alerts, "last": last, "group_interval_ms": interval,
                "repeat_interval_ms": repeat, "send_resolved": send_resolved});
            json!({"group": group, "now_ms": now})
        },
    )
}

/// The life of a rule's alerts, or a few questions about routes, groups and quiet.
pub fn fresh(reference: Slot<dyn Alerts>) -> Generator {
    let one = |call: &'static str, args: BoxedStrategy<Value>| {
        args.prop_map(move |args| scenario(json!({}), vec![step(call, args)])).boxed()
    };
    let routed = (tree(), labels()).prop_map(|(tree, labels)| json!({"tree": tree, "labels": labels})).boxed();
    let question = prop_oneof![
        4 => one("route", routed),
        1 => one("join", joined().boxed()),
        4 => one("mutes", muted().boxed()),
        4 => one("flush", flushed().boxed()),
    ];
    let why = |mut drawn: Value, why: &str, read: &str| {
        (drawn["why"], drawn["read"]) = (why.into(), read.into());
        drawn
    };
    let lives = history(reference).prop_map(move |drawn| {
        why(
            drawn,
            "An alert is what it was before, and what its labels say of now: nothing else counts.",
            "pending-and-firing",
        )
    });
    let groups = several(question, 4).prop_map(move |drawn| {
        why(drawn, "Whom an alert is sent to, with which others and when, follows from the configuration and from what was told before.", "how-it-works")
    });
    prop_oneof![1 => lives, 2 => groups].boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;

    #[test]
    fn each_kind_of_answer_is_common() {
        let modules = solutions::modules();
        let generator = fresh(modules.alerts.clone());
        let mut player = modules.player("observability/alerts").expect("a contract");
        let mut seen = String::new();
        for number in 1..200 {
            let drawn = Fresh::draw(&generator, "observability/alerts", "a", number).expect("it draws").scenario();
            player.start(&Default::default()).expect("it starts");
            for step in drawn["steps"].as_array().into_iter().flatten() {
                let (call, args) = step.as_object().and_then(|step| step.iter().next()).expect("a call");
                let args: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
                    serde_json::from_value(args.clone()).expect("arguments");
                let args = args.iter().map(|(name, raw)| (&name[..], &**raw)).collect();
                let answer = player.ask(call, &args).expect("a valid question");
                seen += &format!("{call} {}\n", player.show_answer(call, &answer).expect("an answer").join("; "));
            }
        }
        for (word, least) in [
            ("Pending", 30),
            ("Firing", 30),
            ("kept since", 10),
            ("Inactive", 8),
            ("nothing is sent", 8),
            ("mutes true", 4),
            ("mutes false", 20),
            ("flush sends nothing", 5),
            ("sends: resolved", 3),
            ("the root →", 3),
            ("; route ", 1),
        ] {
            assert!(seen.matches(word).count() >= least, "{word}: {}", seen.matches(word).count());
        }
    }
}
