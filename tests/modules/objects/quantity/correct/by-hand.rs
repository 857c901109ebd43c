//! Passes: an amount is a row of decimal digits, and everything is worked out digit by digit, as on paper.

use kit::objects::{BINARY_SUFFIXES, DECIMAL_SUFFIXES, NotAQuantity, Quantities};
use std::cmp::Ordering;

#[derive(Default)]
struct Exercise;

/// A natural number: its digits, the lowest first, without zeros at the high end.
#[derive(Clone, PartialEq)]
struct Digits(Vec<u8>);

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Decimal,
    Binary,
    Scientific,
}

struct Amount {
    negative: bool,
    /// How many nanos.
    nanos: Digits,
    style: Style,
}

impl Digits {
    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn plus(&self, other: &Digits) -> Digits {
        let mut sum = Vec::new();
        let mut carry = 0;
        for place in 0..self.0.len().max(other.0.len()) {
            let column = carry + self.0.get(place).unwrap_or(&0) + other.0.get(place).unwrap_or(&0);
            sum.push(column % 10);
            carry = column / 10;
        }
        sum.push(carry);
        Digits(sum).trimmed()
    }

    /// Less another that isn't greater.
    fn minus(&self, other: &Digits) -> Digits {
        let mut rest = Vec::new();
        let mut borrowed = 0;
        for (place, digit) in self.0.iter().enumerate() {
            let taken = other.0.get(place).unwrap_or(&0) + borrowed;
            borrowed = u8::from(taken > *digit);
            rest.push(digit + 10 * borrowed - taken);
        }
        Digits(rest).trimmed()
    }

    fn times_1024(&self) -> Digits {
        let mut product = Vec::new();
        let mut carry = 0_u32;
        for digit in &self.0 {
            carry += u32::from(*digit) * 1024;
            product.push((carry % 10) as u8);
            carry /= 10;
        }
        while carry > 0 {
            product.push((carry % 10) as u8);
            carry /= 10;
        }
        Digits(product).trimmed()
    }

    /// By 1024, if nothing is left over.
    fn over_1024(&self) -> Option<Digits> {
        let mut quotient = Vec::new();
        let mut rest = 0_u32;
        for digit in self.0.iter().rev() {
            rest = rest * 10 + u32::from(*digit);
            quotient.push((rest / 1024) as u8);
            rest %= 1024;
        }
        quotient.reverse();
        (rest == 0).then(|| Digits(quotient).trimmed())
    }

    fn compare(&self, other: &Digits) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Without the lowest `places`; one more if any of them wasn't 0.
    fn cut(&self, places: usize) -> Digits {
        let (low, high) = self.0.split_at(places.min(self.0.len()));
        let rounded = Digits(vec![u8::from(low.iter().any(|digit| *digit != 0))]).trimmed();
        Digits(high.to_vec()).plus(&rounded)
    }

    /// Whether the lowest `places` are all 0.
    fn ends_in_zeros(&self, places: usize) -> bool {
        self.0.iter().take(places).all(|digit| *digit == 0)
    }

    fn text(&self) -> String {
        self.0.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
    }
}

impl Amount {
    fn read(text: &str) -> Option<Amount> {
        let mut rest = text;
        let mut sign = None;
        if let Some(first @ ('+' | '-')) = rest.chars().next() {
            sign = Some(first);
            rest = &rest[1..];
        }
        let mut digits = Vec::new();
        let mut point = None;
        while let Some(c) = rest.chars().next() {
            match (c, point) {
                ('0'..='9', _) => digits.push(c as u8 - b'0'),
                ('.', None) => point = Some(digits.len()),
                _ => break,
            }
            rest = &rest[1..];
        }
        if digits.is_empty() {
            return None;
        }
        let behind_point = point.map_or(0, |point| digits.len() - point) as i32;
        digits.reverse();
        let mut number = Digits(digits).trimmed();
        let (style, power) = Self::suffix(rest)?;
        let mut shift = 9 - behind_point;
        match style {
            Style::Binary => (0..power).for_each(|_| number = number.times_1024()),
            Style::Decimal | Style::Scientific => shift += power,
        }
        let nanos = if shift < 0 {
            number.cut(shift.unsigned_abs() as usize)
        } else {
            Digits([vec![0; shift as usize], number.0].concat()).trimmed()
        };
        Some(Amount { negative: sign == Some('-') && !nanos.is_zero(), nanos, style })
    }

    /// The family, and the power of ten or of 1024.
    fn suffix(text: &str) -> Option<(Style, i32)> {
        for (place, suffix) in DECIMAL_SUFFIXES.into_iter().enumerate() {
            if suffix == text {
                return Some((Style::Decimal, 3 * place as i32 - 9));
            }
        }
        for (place, suffix) in BINARY_SUFFIXES.into_iter().enumerate() {
            if suffix == text {
                return Some((Style::Binary, place as i32));
            }
        }
        let (down, figures) = match text.as_bytes() {
            [b'e' | b'E', b'-', figures @ ..] => (true, figures),
            [b'e' | b'E', b'+', figures @ ..] | [b'e' | b'E', figures @ ..] => (false, figures),
            _ => return None,
        };
        if figures.is_empty() || !figures.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let power = figures.iter().fold(0_i32, |power, figure| (10 * power + i32::from(figure - b'0')).min(1000));
        Some((Style::Scientific, if down { -power } else { power }))
    }

    fn write(&self) -> String {
        if self.nanos.is_zero() {
            return "0".to_string();
        }
        let sign = if self.negative { "-" } else { "" };
        let bytes = Digits(self.nanos.0.iter().skip(9).copied().collect());
        let is_long = bytes.compare(&Digits(vec![4, 2, 0, 1])) != Ordering::Less;
        if self.style == Style::Binary && self.nanos.ends_in_zeros(9) && is_long {
            let (mut number, mut suffixes) = (bytes, BINARY_SUFFIXES.iter());
            let mut suffix = suffixes.next().unwrap();
            while let Some(smaller) = number.over_1024() {
                let Some(next) = suffixes.next() else { break };
                (number, suffix) = (smaller, next);
            }
            return format!("{sign}{}{suffix}", number.text());
        }
        let thousands = (0..9).take_while(|times| self.nanos.ends_in_zeros(3 * (times + 1))).count();
        let number = Digits(self.nanos.0[3 * thousands..].to_vec()).text();
        match (self.style, 3 * thousands as i32 - 9) {
            (Style::Scientific, 0) => format!("{sign}{number}"),
            (Style::Scientific, power) => format!("{sign}{number}e{power}"),
            _ => format!("{sign}{number}{}", DECIMAL_SUFFIXES[thousands]),
        }
    }

    fn whole(&self, places: usize) -> i64 {
        let sign = if self.negative { "-" } else { "" };
        let number = self.nanos.cut(places);
        if number.is_zero() { 0 } else { format!("{sign}{}", number.text()).parse().expect("it fits") }
    }

    fn plus(&self, other: &Amount) -> Amount {
        let style = if self.nanos.is_zero() { other.style } else { self.style };
        if self.negative == other.negative {
            return Amount { negative: self.negative, nanos: self.nanos.plus(&other.nanos), style };
        }
        let (greater, smaller) = match self.nanos.compare(&other.nanos) {
            Ordering::Less => (other, self),
            _ => (self, other),
        };
        Amount { negative: greater.negative, nanos: greater.nanos.minus(&smaller.nanos), style }
    }

    fn negated(self) -> Amount {
        Amount { negative: !self.negative, ..self }
    }
}

fn read(text: &str) -> Amount {
    Amount::read(text).expect("a quantity")
}

impl Quantities for Exercise {
    fn canonical(&self, text: &str) -> Result<String, NotAQuantity> {
        match Amount::read(text) {
            Some(amount) => Ok(amount.write()),
            None => Err(NotAQuantity),
        }
    }

    fn value(&self, text: &str) -> i64 {
        read(text).whole(9)
    }

    fn milli_value(&self, text: &str) -> i64 {
        read(text).whole(6)
    }

    fn compare(&self, a: &str, b: &str) -> i32 {
        let (a, b) = (read(a), read(b));
        match (a.negative, b.negative) {
            (true, false) => -1,
            (false, true) => 1,
            (false, false) => a.nanos.compare(&b.nanos) as i32,
            (true, true) => b.nanos.compare(&a.nanos) as i32,
        }
    }

    fn add(&self, a: &str, b: &str) -> String {
        read(a).plus(&read(b)).write()
    }

    fn sub(&self, a: &str, b: &str) -> String {
        read(a).plus(&read(b).negated()).write()
    }
}

kit::exercise!(Exercise: Quantities);
