//! Schemas hold for all that scenarios ask and all that the reference answers, and not for anything else.

use crate::verdict::scenario::Scenario;
use crate::workspace::Workspace;
use clap::Parser;
use jsonschema::Validator;
use kit_cluster::engine::Clock;
use kit_contract::remote::{Link, Transport};
use kit_contract::{Args, Player};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// So many questions of one kind in a scenario are held against the schema.
const HELD: usize = 40;

/// A worker in this process: what goes over the wire is kept.
struct Tap {
    reference: Box<dyn Player>,
    lines: Vec<(String, String, String)>,
}

impl Transport for Tap {
    fn ask(&mut self, call: &str, args: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(args).expect("arguments are JSON");
        let named: Args<'_> = serde_json::from_str(raw.get()).expect("arguments have names");
        let answer = match call {
            "new" => self.reference.start(&named).map(|()| "null".to_string()),
            _ => self.reference.ask(call, &named),
        };
        let answer = answer.expect("the reference answers");
        if self.lines.iter().filter(|(kept, ..)| kept == call).count() < HELD {
            self.lines.push((call.into(), args.into(), answer.clone()));
        }
        Some(answer)
    }
    fn reject(&mut self, reason: String) {
        panic!("{reason}");
    }
}

/// What a schema has against it: slower to find than that there is something.
fn problems(validator: &Validator, line: &Value) -> Vec<String> {
    validator.iter_errors(line).map(|e| format!("{} {e}", e.instance_path())).collect()
}

#[test]
fn all_that_is_asked_and_answered_fits() {
    let crate::Cli { settings, fresh, .. } = crate::Cli::parse_from(["cargo grade"]);
    let workspace =
        Workspace::find(settings.limits().expect("defaults are fine"), fresh).expect("the kit is around its grader");
    for entry in &workspace.catalog {
        let exercise = entry.name.as_str();
        let schema = schema::wire(&workspace.root, exercise).unwrap_or_else(|e| panic!("{exercise}: {e:#}"));
        let validator = jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{exercise}: {e}"));
        let fits = |line: &Value| {
            assert!(validator.is_valid(line), "{exercise}: {line}\n{:#?}", problems(&validator, line));
        };
        let mut of_calls: BTreeMap<String, Validator> = BTreeMap::new();
        for scenario in Scenario::load_all(&workspace.scenarios_dir(exercise)).expect("scenarios can be read") {
            let reference = solutions::modules().player(exercise).expect("the exercise has a contract");
            let tap = Rc::new(RefCell::new(Tap { reference, lines: Vec::new() }));
            let transport: Rc<RefCell<dyn Transport>> = tap.clone();
            let mut modules = solutions::modules();
            modules.replace(exercise, Link::new(transport));
            scenario
                .play(exercise, &modules, &solutions::modules(), &Clock::default())
                .expect("the scenario can be played");
            // Clusters ask the same again and again.
            let lines = std::mem::take(&mut tap.borrow_mut().lines);
            for (call, args, answer) in &lines.into_iter().collect::<BTreeSet<_>>() {
                let args: Value = serde_json::from_str(args).expect("arguments are JSON");
                let answer: Value = serde_json::from_str(answer).expect("answers are JSON");
                fits(&json!({"id": 1, "call": call, "args": args}));
                // The answer to just this call, not to any.
                let of_call = of_calls.entry(call.clone()).or_insert_with(|| {
                    let mut answers = schema.clone();
                    answers["oneOf"] = json!([{"$ref": format!("#/$defs/{call}.answer")}]);
                    jsonschema::validator_for(&answers).expect("the schema is a schema")
                });
                let problems = || problems(of_call, &answer);
                assert!(
                    of_call.is_valid(&answer),
                    "{exercise}, {}: {call} → {answer}\n{:#?}",
                    scenario.name,
                    problems()
                );
                fits(&json!({"id": 1, "answer": answer}));
            }
        }
        let wrong = [
            json!({"id": 1, "call": "nothing_like_it", "args": {}}),
            json!({"id": 1, "answer": {"Nonsense": 1}}),
            json!({"id": 1, "answer": null, "error": {"kind": "panic", "message": ""}}),
            json!({"id": 1}),
        ];
        for line in wrong {
            assert!(!validator.is_valid(&line), "{exercise} takes {line}");
        }
    }
}
