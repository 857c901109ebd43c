//! Passes: there are no tokens; a cursor eats its way through the text, and each requirement is judged where it is read.

use kit::objects::{Fields, LabelSelector, Labels, NotASelector, Selectors, is_key, is_value};

#[derive(Default)]
struct Exercise;

impl Selectors for Exercise {
    fn selects(&self, selector: &Option<LabelSelector>, labels: &Labels) -> Result<bool, NotASelector> {
        let Some(selector) = selector else { return Ok(false) };
        let mut meant = true;
        for (key, value) in &selector.match_labels {
            meant &= judge(labels, key, "in", &[value])?;
        }
        for expression in &selector.match_expressions {
            let values: Vec<&str> = expression.values.iter().map(|value| &**value).collect();
            let (operator, needs_values) = match &*expression.operator {
                "In" => ("in", true),
                "NotIn" => ("notin", true),
                "Exists" => ("", false),
                "DoesNotExist" => ("!", false),
                _ => return Err(NotASelector),
            };
            if needs_values == values.is_empty() {
                return Err(NotASelector);
            }
            meant &= judge(labels, &expression.key, operator, &values)?;
        }
        Ok(meant)
    }

    fn labels(&self, text: &str, labels: &Labels) -> Result<bool, NotASelector> {
        let mut cursor = Cursor { rest: text };
        let mut meant = true;
        if cursor.is_at_end() {
            return Ok(true);
        }
        loop {
            meant &= cursor.requirement(labels)?;
            if cursor.is_at_end() {
                return Ok(meant);
            }
            if !cursor.eat(",") {
                return Err(NotASelector);
            }
        }
    }

    fn fields(&self, text: &str, fields: &Fields) -> Result<bool, NotASelector> {
        let mut rest = text.chars().peekable();
        let mut meant = true;
        while rest.peek().is_some() {
            let (mut field, mut value, mut operator) = (String::new(), String::new(), None);
            while let Some(c) = rest.next() {
                match (operator, c) {
                    (_, ',') => break,
                    (None, '\\') => {
                        field.push('\\');
                        field.extend(rest.next());
                    }
                    (None, '!') if rest.peek() == Some(&'=') => {
                        rest.next();
                        operator = Some(false);
                    }
                    (None, '=') => {
                        rest.next_if_eq(&'=');
                        operator = Some(true);
                    }
                    (None, c) => field.push(c),
                    (Some(_), '=') => return Err(NotASelector),
                    (Some(_), '\\') => match rest.next() {
                        Some(c) if ",=\\".contains(c) => value.push(c),
                        _ => return Err(NotASelector),
                    },
                    (Some(_), c) => value.push(c),
                }
            }
            match operator {
                None if field.is_empty() => {}
                None => return Err(NotASelector),
                Some(_) if field.is_empty() && value.is_empty() => {}
                Some(equal) => meant &= (fields.get(&field).ok_or(NotASelector)? == &value) == equal,
            }
        }
        Ok(meant)
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest.is_empty()
    }

    fn eat(&mut self, sign: &str) -> bool {
        self.skip_blanks();
        let behind = self.rest.strip_prefix(sign);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let end = self.rest.find(|c| " \t\r\n=!(),><".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn requirement(&mut self, labels: &Labels) -> Result<bool, NotASelector> {
        if self.eat("!") {
            return judge(labels, self.word(), "!", &[]);
        }
        let key = self.word();
        for sign in ["==", "!=", "=", ">", "<"] {
            if self.eat(sign) {
                return judge(labels, key, sign, &[self.word()]);
            }
        }
        match self.word() {
            "" => judge(labels, key, "", &[]),
            operator @ ("in" | "notin") if self.eat("(") => {
                let mut values = vec![self.word()];
                while self.eat(",") {
                    values.push(self.word());
                }
                if self.eat(")") { judge(labels, key, operator, &values) } else { Err(NotASelector) }
            }
            _ => Err(NotASelector),
        }
    }
}

fn judge(labels: &Labels, key: &str, operator: &str, values: &[&str]) -> Result<bool, NotASelector> {
    if !is_key(key) || !values.iter().all(|value| is_value(value)) {
        return Err(NotASelector);
    }
    let own = labels.get(key);
    let is_one = own.is_some_and(|own| values.iter().any(|value| value == own));
    match operator {
        "" => Ok(own.is_some()),
        "!" => Ok(own.is_none()),
        "in" | "=" | "==" => Ok(is_one),
        "notin" | "!=" => Ok(!is_one),
        _ => {
            let wanted: i64 = values[0].parse().map_err(|_| NotASelector)?;
            let Some(Ok(own)) = own.map(|own| own.parse::<i64>()) else { return Ok(false) };
            Ok(if operator == ">" { own > wanted } else { own < wanted })
        }
    }
}

kit::exercise!(Exercise: Selectors);
