//! One question to a person.

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What it says.
    pub lines: Vec<String>,
    /// Whether it is the right one.
    pub right: bool,
    /// To which question it would be the right one: what would have to be other.
    pub near: Option<String>,
}

impl Choice {
    /// As one line.
    pub fn text(&self) -> String {
        self.lines.join(JOINT)
    }
}

/// What joins lines to one.
pub const JOINT: &str = " · ";

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `chapter/exercise`.
    pub exercise: String,
    /// Where it was drawn from.
    pub seed: String,
    /// Its number in the seed.
    pub number: u64,
    /// What can be read before: each part a title, which may be empty, and its lines.
    pub told: Vec<(String, Vec<String>)>,
    /// The question.
    pub ask: String,
    /// The options in the order in which they are shown, exactly one of them right.
    pub options: Vec<Choice>,
    /// Whether the answer is typed; the options are shown only to those who want them.
    pub typed: bool,
    /// Why the right answer is right.
    pub why: Vec<String>,
    /// The page of the book, and its heading.
    pub read: String,
}

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// The option with this number, from 0.
    Chosen(usize),
    /// Something that was typed, and is not among the options.
    Typed(String),
    /// Nothing.
    Skipped,
}

impl Item {
    /// What its card is called in the history.
    pub fn name(&self) -> String {
        format!("{}{}/{}/{}", crate::history::FRESH, self.exercise, self.seed, self.number)
    }

    /// The right answer as one line.
    pub fn right(&self) -> String {
        self.options.iter().find(|option| option.right).map_or(String::new(), Choice::text)
    }

    /// Whether an answer is right.
    pub fn is_right(&self, given: &Given) -> bool {
        match given {
            Given::Chosen(at) => self.options.get(*at).is_some_and(|option| option.right),
            Given::Typed(_) | Given::Skipped => false,
        }
    }

    /// Reads what a person types.
    ///
    /// # Errors
    ///
    /// If it is no answer to this question: a sentence that says what would be.
    pub fn parse(&self, typed: &str, options_shown: bool) -> Result<Given, String> {
        let typed = typed.trim();
        if typed.is_empty() || typed == "skip" {
            return Ok(Given::Skipped);
        }
        let count = self.options.len();
        if !self.typed || options_shown {
            let at = typed.trim_end_matches([')', '.']).parse().ok().filter(|at| (1..=count).contains(at));
            return at.map(|at: usize| Given::Chosen(at - 1)).ok_or_else(|| format!("a number from 1 to {count}"));
        }
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let number = |text: &str| text.trim_end_matches('%').trim().parse::<f64>().ok().filter(|n| n.is_finite());
        let whole = |text: &str| text.parse::<i128>().ok();
        let alike = |option: &Choice| {
            let text = option.text();
            // A unit is spelled as it is: `1M` and `1m` are a billion apart.
            let exact = self.exercise == "objects/quantity" && number(&text).is_none() && !text.starts_with("error");
            match (number(&text), number(typed)) {
                // Whole numbers of 64 bits are more than a float tells apart.
                (Some(one), Some(other)) if !self.asks_for_a_form() => match (whole(&text), whole(typed)) {
                    (Some(one), Some(other)) => one == other,
                    _ => one == other,
                },
                _ if exact => text == typed,
                _ => plain(text.trim_start_matches("error: ")) == plain(typed.trim_start_matches("error: ")),
            }
        };
        if let Some(at) = self.options.iter().position(alike) {
            return Ok(Given::Chosen(at));
        }
        let right = self.right();
        if number(&right).is_some() && number(typed).is_none() && !self.asks_for_a_form() {
            return Err("a number, or `?` for options".into());
        }
        Ok(Given::Typed(typed.into()))
    }

    /// Whether the same amount in another form is another answer.
    fn asks_for_a_form(&self) -> bool {
        self.ask.contains("canonical")
    }

    /// What is to be said of an answer: what is wrong with it if it is, and why the right one is right.
    pub fn explained(&self, given: &Given) -> Vec<String> {
        let mut said = self.why.clone();
        if let Given::Chosen(at) = given {
            let wrong = self.options.get(*at).filter(|option| !option.right);
            let near = wrong.and_then(|option| Some((option.text(), option.near.as_ref()?)));
            said.extend(near.map(|(text, near)| format!("“{text}” would be right {near}.")));
        }
        said
    }
}
