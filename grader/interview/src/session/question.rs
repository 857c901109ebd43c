//! A question that has one right answer, as a session asks it.

use crate::content::Choice;
use crate::content::Incident;
use crate::content::warmup::{Kind, Warmup};
use crate::session::event::Answer;
use crate::session::plan::Draw;
use serde::{Deserialize, Serialize};

/// What a candidate sees of a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The question.
    pub ask: String,
    /// What the engine shows before it.
    pub transcript: Vec<String>,
    /// How it is answered.
    pub kind: ShownKind,
    /// What can be chosen, or what is to be sorted.
    pub options: Vec<String>,
    /// What a number counts.
    pub unit: String,
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownKind {
    /// One option.
    One,
    /// Some options.
    Several,
    /// A number.
    Number,
    /// All options, in an order.
    Order,
}

/// A question, with its options in the order in which they are shown.
pub struct Question<'a> {
    name: &'a str,
    ask: &'a str,
    read: Option<(&'a str, Option<&'a str>)>,
    transcript: Vec<String>,
    kind: Kind<'a>,
    options: Vec<&'a Choice>,
    things: Vec<&'a String>,
}

impl<'a> Question<'a> {
    /// A warm-up question; none if it can't be asked, which the check of the content finds.
    pub fn of_warmup(name: &'a str, warmup: &'a Warmup, draw: &Draw) -> Option<Question<'a>> {
        let kind = warmup.kind().ok()?;
        let transcript = match &warmup.next {
            Some(next) => next.shown().ok()?.transcript,
            None => Vec::new(),
        };
        let page = name.rsplit_once('/').map(|(page, _)| (page, warmup.read.as_deref()));
        Some(Question { read: page, ..Question::of(name, &warmup.ask, kind, transcript, draw) })
    }

    /// The question for the root cause of an incident.
    pub fn of_incident(incident: &'a Incident, draw: &Draw) -> Question<'a> {
        let question = &incident.question;
        Question::of(&incident.name, &question.ask, Kind::One(&question.options), Vec::new(), draw)
    }

    fn of(name: &'a str, ask: &'a str, kind: Kind<'a>, transcript: Vec<String>, draw: &Draw) -> Question<'a> {
        let (mut options, mut things) = (Vec::new(), Vec::new());
        match &kind {
            Kind::One(all) | Kind::Several(all) => options = draw.shuffled(name, all.iter().collect()),
            Kind::Order(order) => {
                let sorted: Vec<_> = order.first_to_last.iter().collect();
                things = draw.shuffled(name, sorted.clone());
                if things == sorted {
                    things.rotate_left(1);
                }
            }
            Kind::Number(_) => {}
        }
        Question { name, ask, read: None, transcript, kind, options, things }
    }

    /// Its name in the content.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The page of the book, and the heading there.
    pub fn read(&self) -> Option<String> {
        let (page, heading) = self.read?;
        Some(format!("book/src/{page}.md{}", heading.map_or(String::new(), |heading| format!("#{heading}"))))
    }

    /// What a candidate sees.
    pub fn shown(&self) -> Shown {
        let (kind, unit) = match &self.kind {
            Kind::One(_) => (ShownKind::One, ""),
            Kind::Several(_) => (ShownKind::Several, ""),
            Kind::Number(number) => (ShownKind::Number, number.unit.as_str()),
            Kind::Order(_) => (ShownKind::Order, ""),
        };
        let options = self.options.iter().map(|option| option.text.clone());
        Shown {
            ask: self.ask.into(),
            transcript: self.transcript.clone(),
            kind,
            options: options.chain(self.things.iter().map(|thing| thing.to_string())).collect(),
            unit: unit.into(),
        }
    }

    /// Reads what a person types: `2`, `1 3`, `300`, `3 1 2`, or nothing.
    ///
    /// # Errors
    ///
    /// If it is no answer to this question: a sentence that says what would be.
    pub fn parse(&self, typed: &str) -> Result<Answer, String> {
        let typed = typed.trim();
        if typed.is_empty() || typed == "skip" {
            return Ok(Answer::Skipped);
        }
        let shown = self.shown();
        let words = || typed.split([' ', ',']).filter(|word| !word.is_empty());
        let count = shown.options.len();
        let numbers = || -> Result<Vec<usize>, String> {
            let read =
                words().map(|word| word.parse().ok().filter(|at| (1..=count).contains(at)).map(|at: usize| at - 1));
            let all: Vec<usize> =
                read.collect::<Option<_>>().ok_or_else(|| format!("an option is a number from 1 to {count}"))?;
            match all.iter().collect::<std::collections::BTreeSet<_>>().len() < all.len() {
                true => Err("an option is named twice".into()),
                false => Ok(all),
            }
        };
        let texts = |all: Vec<usize>| all.into_iter().map(|at| shown.options[at].clone()).collect();
        match shown.kind {
            ShownKind::One => match numbers()?.as_slice() {
                [at] => Ok(Answer::Chosen(vec![shown.options[*at].clone()])),
                _ => Err("exactly one option is right".into()),
            },
            ShownKind::Several => Ok(Answer::Chosen(texts(numbers()?))),
            ShownKind::Order => match numbers()? {
                all if all.len() == count => Ok(Answer::Order(texts(all))),
                _ => Err(format!("all {count} of them in their order, such as `2 1 3`")),
            },
            ShownKind::Number => {
                let first =
                    words().next().unwrap_or_default().trim_end_matches(|c: char| c.is_alphabetic() || c == '%');
                let number: Option<f64> = first.parse().ok().filter(|number: &f64| number.is_finite());
                number.map(Answer::Number).ok_or_else(|| "a number, such as 40 or 0.5".into())
            }
        }
    }

    /// What an answer is worth, from 0 to 1. Of several options each counts that was rightly taken or left, but half of
    /// them right is worth nothing.
    pub fn points(&self, answer: &Answer) -> f64 {
        let right = |yes: bool| f64::from(u8::from(yes));
        match (&self.kind, answer) {
            (Kind::One(options), Answer::Chosen(chosen)) => match chosen.as_slice() {
                [one] => right(options.iter().any(|option| option.right && option.text == *one)),
                _ => 0.0,
            },
            (Kind::Several(options), Answer::Chosen(chosen)) => {
                let well = options.iter().filter(|option| option.right == chosen.contains(&option.text)).count();
                ((2 * well) as f64 / options.len() as f64 - 1.0).max(0.0)
            }
            (Kind::Number(number), Answer::Number(is)) => right((is - number.is).abs() <= number.give),
            (Kind::Order(order), Answer::Order(given)) => right(order.first_to_last == *given),
            _ => 0.0,
        }
    }

    /// What is right, as one line.
    pub fn right(&self) -> String {
        match &self.kind {
            Kind::One(options) | Kind::Several(options) => {
                let right = options.iter().filter(|option| option.right).map(|option| option.text.as_str());
                right.collect::<Vec<_>>().join(" · ")
            }
            Kind::Number(number) => format!("{} {}", number.is, number.unit).trim().to_string(),
            Kind::Order(order) => order.first_to_last.join(" → "),
        }
    }

    /// What is to be said of an answer: what is wrong with it if it is, and why the right one is right.
    pub fn why(&self, answer: &Answer) -> Vec<String> {
        let mut said = Vec::new();
        match (&self.kind, answer) {
            (Kind::One(options) | Kind::Several(options), answer) => {
                let chosen: &[String] = if let Answer::Chosen(chosen) = answer { chosen } else { &[] };
                let of = |option: &Choice| format!("{}: {}", option.text, option.why);
                said.extend(options.iter().filter(|one| !one.right && chosen.contains(&one.text)).map(of));
                said.extend(options.iter().filter(|one| one.right).map(of));
            }
            (Kind::Number(number), answer) => {
                if let Answer::Number(is) = answer {
                    let known = number.wrong.iter().find(|wrong| (wrong.is - is).abs() <= number.give.max(1e-9));
                    said.extend(known.map(|wrong| format!("{}: {}", wrong.is, wrong.why)));
                }
                said.push(number.why.clone());
            }
            (Kind::Order(order), answer) => {
                if let Answer::Order(given) = answer {
                    let place = |what: &String| given.iter().position(|one| one == what);
                    let turned = order.wrong.iter().filter(|[first, second, _]| place(first) < place(second));
                    said.extend(turned.map(|[_, _, why]| why.clone()));
                }
                said.push(order.why.clone());
            }
        }
        said
    }
}
