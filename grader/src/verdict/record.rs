//! What a module was asked in the course of a timeline, and where its answers part from the reference's.

use crate::module::process::Session;
use crate::verdict::scenario::question;
use kit_contract::remote::{Link, Transport};
use kit_contract::{Args, Player, wire};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::cell::RefCell;
use std::rc::Rc;

/// More questions than this are not remembered.
const REMEMBERED: usize = 20_000;
/// And no more than so many bytes of them: an answer may be long.
const BYTES: usize = 64 << 20;

/// Carries questions to the session and remembers them.
pub struct Recorder {
    session: Rc<RefCell<Session>>,
    pub questions: Vec<Asked>,
    /// Of the questions that are remembered.
    bytes: usize,
}

/// One question and its answer.
pub struct Asked {
    call: String,
    args: String,
    answer: String,
}

/// The first question to which the reference has another answer, after the same questions before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurningPoint {
    /// How many questions came before it.
    pub number: usize,
    /// It, as lines.
    pub asked: Vec<String>,
    /// The reference's answer, as lines.
    pub expected: Vec<String>,
    /// The module's answer, as lines.
    pub yours: Vec<String>,
}

impl Recorder {
    pub fn new(session: Rc<RefCell<Session>>) -> Self {
        Recorder { session, questions: Vec::new(), bytes: 0 }
    }

    /// Asks the reference the same questions, until it answers one of them otherwise.
    pub fn turning_point(&self, exercise: &str) -> Option<TurningPoint> {
        let mut reference = solutions::modules().player(exercise)?;
        self.questions.iter().enumerate().find_map(|(number, asked)| asked.turns(number, reference.as_mut()))
    }
}

impl Asked {
    fn turns(&self, number: usize, reference: &mut dyn Player) -> Option<TurningPoint> {
        let raw: &RawValue = serde_json::from_str(&self.args).ok()?;
        let args: Args<'_> = serde_json::from_str(raw.get()).ok()?;
        if self.call == wire::NEW {
            reference.start(&args).ok()?;
            return None;
        }
        let expected = reference.ask(&self.call, &args).ok()?;
        let expected = reference.show_answer(&self.call, &expected).ok()?;
        let yours = reference.show_answer(&self.call, &self.answer).ok()?;
        if expected == yours {
            return None;
        }
        let asked = question(&self.call, &reference.show_args(&self.call, &args).ok()?);
        Some(TurningPoint { number, asked, expected, yours })
    }
}

impl Transport for Recorder {
    fn ask(&mut self, call: &str, args: &str) -> Option<String> {
        let answer = self.session.borrow_mut().ask(call, args)?;
        if self.questions.is_empty() {
            self.bytes = 0;
        }
        self.bytes += args.len() + answer.len();
        if self.questions.len() < REMEMBERED && self.bytes <= BYTES {
            let (call, args, answer) = (call.to_string(), args.to_string(), answer.clone());
            self.questions.push(Asked { call, args, answer });
        }
        Some(answer)
    }

    fn reject(&mut self, reason: String) {
        self.session.borrow_mut().reject(reason);
    }

    fn another(&mut self) -> Option<Link> {
        self.session.borrow_mut().another()
    }
}
