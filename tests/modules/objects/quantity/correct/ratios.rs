//! Passes: an amount is a fraction of two integers, and only what is written or counted is rounded.

use kit::objects::{NotAQuantity, Quantities};

#[derive(Default)]
struct Exercise;

/// `over / under` units, and the base of the suffixes: 2, 10, or 0 for exponents.
#[derive(Clone, Copy)]
struct Ratio {
    over: i128,
    under: i128,
    base: u8,
}

impl Quantities for Exercise {
    fn canonical(&self, text: &str) -> Result<String, NotAQuantity> {
        Ok(write(read(text)?))
    }
    fn value(&self, text: &str) -> i64 {
        count(read(text).unwrap(), 1)
    }
    fn milli_value(&self, text: &str) -> i64 {
        count(read(text).unwrap(), 1000)
    }
    fn compare(&self, a: &str, b: &str) -> i32 {
        let (a, b) = together(read(a).unwrap(), read(b).unwrap());
        (a.over > b.over) as i32 - (a.over < b.over) as i32
    }
    fn add(&self, a: &str, b: &str) -> String {
        let (a, b) = together(read(a).unwrap(), read(b).unwrap());
        let base = if a.over == 0 { b.base } else { a.base };
        write(Ratio { over: a.over + b.over, under: a.under, base })
    }
    fn sub(&self, a: &str, b: &str) -> String {
        let (a, b) = together(read(a).unwrap(), read(b).unwrap());
        let base = if a.over == 0 { b.base } else { a.base };
        write(Ratio { over: a.over - b.over, under: a.under, base })
    }
}

/// Both with the same denominator; all denominators are powers of ten up to that of nanos.
fn together(a: Ratio, b: Ratio) -> (Ratio, Ratio) {
    let under = a.under.max(b.under);
    let widen = |r: Ratio| Ratio { over: r.over * (under / r.under), under, ..r };
    (widen(a), widen(b))
}

fn count(amount: Ratio, parts: i128) -> i64 {
    let over = amount.over * parts;
    let up = (over.abs() + amount.under - 1) / amount.under;
    (if over < 0 { -up } else { up }) as i64
}

fn read(text: &str) -> Result<Ratio, NotAQuantity> {
    let mut chars = text.chars().peekable();
    let negative = chars.next_if(|c| matches!(c, '+' | '-')) == Some('-');
    let (mut over, mut under, mut digits, mut after_point) = (0_i128, 1_i128, 0, false);
    while let Some(c) = chars.next_if(|c| c.is_ascii_digit() || *c == '.') {
        match c.to_digit(10) {
            Some(digit) => {
                digits += 1;
                over = over * 10 + i128::from(digit);
                under *= if after_point { 10 } else { 1 };
            }
            None if after_point => return Err(NotAQuantity),
            None => after_point = true,
        }
    }
    let suffix: String = chars.collect();
    if digits == 0 {
        return Err(NotAQuantity);
    }
    let (up, down, base): (i128, i128, u8) = match suffix.as_str() {
        "" => (1, 1, 10),
        "n" => (1, 1_000_000_000, 10),
        "u" => (1, 1_000_000, 10),
        "m" => (1, 1_000, 10),
        "k" => (1_000, 1, 10),
        "M" => (1_000_000, 1, 10),
        "G" => (1_000_000_000, 1, 10),
        "T" => (1_000_000_000_000, 1, 10),
        "P" => (1_000_000_000_000_000, 1, 10),
        "E" => (1_000_000_000_000_000_000, 1, 10),
        "Ki" => (1 << 10, 1, 2),
        "Mi" => (1 << 20, 1, 2),
        "Gi" => (1 << 30, 1, 2),
        "Ti" => (1 << 40, 1, 2),
        "Pi" => (1 << 50, 1, 2),
        "Ei" => (1 << 60, 1, 2),
        other => {
            let power: i32 = match other.as_bytes() {
                [b'e' | b'E', ..] => other[1..].parse().map_err(|_| NotAQuantity)?,
                _ => return Err(NotAQuantity),
            };
            (10_i128.pow(power.max(0) as u32), 10_i128.pow((-power).max(0) as u32), 0)
        }
    };
    let (mut over, mut under) = (over * up, under * down);
    while under > 1_000_000_000 {
        over = over / 10 + i128::from(over % 10 != 0);
        under /= 10;
    }
    Ok(Ratio { over: if negative { -over } else { over }, under, base })
}

fn write(amount: Ratio) -> String {
    let Ratio { mut over, under, base } = amount;
    if over == 0 {
        return "0".into();
    }
    if base == 2 && over % under == 0 {
        let mut bytes = over / under;
        if bytes.abs() > 1023 {
            for suffix in ["", "Ki", "Mi", "Gi", "Ti", "Pi"] {
                if bytes % 1024 != 0 {
                    return format!("{bytes}{suffix}");
                }
                bytes /= 1024;
            }
            return format!("{bytes}Ei");
        }
    }
    let mut power = -9;
    over *= 1_000_000_000 / under;
    while over % 1000 == 0 && power < 18 {
        over /= 1000;
        power += 3;
    }
    match (base, power) {
        (0, 0) => over.to_string(),
        (0, _) => format!("{over}e{power}"),
        _ => format!("{over}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][(power / 3 + 3) as usize]),
    }
}

kit::exercise!(Exercise: Quantities);
