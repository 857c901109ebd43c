//! Reads the text format, with the messages of prometheus/common (`expfmt/text_parse.go`, v0.39).

use super::{Family, Sample, Type};
use crate::number;

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text format parsing error in line {line}: {message}")]
pub struct ParseError {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads all families, in the order in which they are first named; those without samples are left out.
pub fn parse(text: &[u8]) -> Result<Vec<Family>, ParseError> {
    let mut parser = Parser { text, pos: 0, line: 0, families: Vec::new() };
    parser.all().map_err(|message| ParseError { line: parser.line, message })?;
    let known = parser.families.into_iter().filter(|family| !family.samples.is_empty());
    let families =
        known.map(|f| Family { name: f.name, help: f.help, kind: f.kind.unwrap_or(Type::Untyped), samples: f.samples });
    Ok(families.collect())
}

/// A family of which not all may be known yet.
struct Known {
    name: String,
    help: Option<String>,
    kind: Option<Type>,
    samples: Vec<Sample>,
}

struct Parser<'a> {
    text: &'a [u8],
    pos: usize,
    line: usize,
    families: Vec<Known>,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_metric_byte(byte: u8) -> bool {
    is_label_byte(byte) || byte == b':'
}

/// Bytes that messages show as Go's `%q` does.
fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

fn character(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        _ => format!("{:?}", char::from(byte)),
    }
}

type Step<T> = Result<T, String>;

impl<'a> Parser<'a> {
    /// The byte that is next. Each line must end: a text that was cut off must not look whole.
    fn byte(&self) -> Step<u8> {
        self.text.get(self.pos).copied().ok_or_else(|| "unexpected end of input stream".into())
    }

    fn skip_blanks(&mut self) {
        while self.text.get(self.pos).copied().is_some_and(is_blank) {
            self.pos += 1;
        }
    }

    /// The bytes up to the first that does not fit; there must be one.
    fn token(&mut self, fits: impl Fn(u8) -> bool) -> Step<&'a [u8]> {
        let rest = &self.text[self.pos..];
        let length = rest.iter().position(|byte| !fits(*byte)).unwrap_or(rest.len());
        self.pos += length;
        self.byte()?;
        Ok(&rest[..length])
    }

    fn name(&mut self, fits: fn(u8) -> bool) -> Step<String> {
        if self.byte()?.is_ascii_digit() {
            return Ok(String::new());
        }
        Ok(String::from_utf8_lossy(self.token(fits)?).into_owned())
    }

    fn end_of_line(&mut self) -> Step<bool> {
        let ends = self.byte()? == b'\n';
        self.pos += usize::from(ends);
        Ok(ends)
    }

    fn all(&mut self) -> Step<()> {
        loop {
            self.line += 1;
            self.skip_blanks();
            match self.text.get(self.pos) {
                None => return Ok(()),
                Some(b'\n') => self.pos += 1,
                Some(b'#') => self.comment()?,
                Some(_) => self.sample()?,
            }
        }
    }

    fn comment(&mut self) -> Step<()> {
        self.pos += 1;
        self.skip_blanks();
        let keyword = self.token(|byte| !is_blank(byte) && byte != b'\n')?;
        if keyword != b"HELP" && keyword != b"TYPE" {
            self.token(|byte| byte != b'\n')?;
            self.pos += 1;
            return Ok(());
        }
        self.skip_blanks();
        let name = self.name(is_metric_byte)?;
        if self.end_of_line()? {
            return Ok(());
        }
        if !is_blank(self.byte()?) {
            return Err("invalid metric name in comment".into());
        }
        let family = self.family(&name);
        self.skip_blanks();
        if self.end_of_line()? {
            return Ok(());
        }
        if keyword == b"HELP" { self.help(family) } else { self.kind(family) }
    }

    fn help(&mut self, family: usize) -> Step<()> {
        if self.families[family].help.is_some() {
            return Err(format!("second HELP line for metric name {:?}", self.families[family].name));
        }
        let line = self.token(|byte| byte != b'\n')?;
        self.pos += 1;
        let mut help = Vec::new();
        let mut bytes = line.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => match bytes.next() {
                    Some(b'\\') => help.push(b'\\'),
                    Some(b'n') => help.push(b'\n'),
                    other => return Err(invalid_escape(other.unwrap_or(b'\n'))),
                },
                other => help.push(other),
            }
        }
        self.families[family].help = Some(String::from_utf8_lossy(&help).into_owned());
        Ok(())
    }

    fn kind(&mut self, family: usize) -> Step<()> {
        if self.families[family].kind.is_some() {
            let name = &self.families[family].name;
            return Err(format!("second TYPE line for metric name {name:?}, or TYPE reported after samples"));
        }
        let line = self.token(|byte| byte != b'\n')?;
        self.pos += 1;
        // Backslashes mean nothing here, and upstream drops them.
        let word: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'\\').collect();
        let lower = String::from_utf8_lossy(&word).to_lowercase();
        let kind = Type::ALL.iter().find(|(name, _)| *name == lower).map(|(_, kind)| *kind);
        self.families[family].kind = Some(kind.ok_or_else(|| format!("unknown metric type {}", quoted(&word)))?);
        Ok(())
    }

    /// The family that a name belongs to: with `_sum` and the like, that of a summary or histogram.
    fn family(&mut self, name: &str) -> usize {
        let named = |families: &[Known], name: &str| families.iter().position(|family| family.name == name);
        if let Some(index) = named(&self.families, name) {
            return index;
        }
        for (kind, suffixes) in
            [(Type::Summary, &["_count", "_sum"][..]), (Type::Histogram, &["_count", "_sum", "_bucket"][..])]
        {
            for suffix in suffixes {
                let base = name.strip_suffix(suffix).filter(|base| !base.is_empty());
                let index = base.and_then(|base| named(&self.families, base));
                if let Some(index) = index.filter(|index| self.families[*index].kind == Some(kind)) {
                    return index;
                }
            }
        }
        self.families.push(Known { name: name.into(), help: None, kind: None, samples: Vec::new() });
        self.families.len() - 1
    }

    fn sample(&mut self) -> Step<()> {
        let name = self.name(is_metric_byte)?;
        if name.is_empty() {
            return Err("invalid metric name".into());
        }
        let family = self.family(&name);
        let kind = *self.families[family].kind.get_or_insert(Type::Untyped);
        self.skip_blanks();
        let labels = if self.byte()? == b'{' { self.labels(family, kind)? } else { Vec::new() };
        let token = self.token(|byte| !is_blank(byte) && byte != b'\n')?;
        let value = float(token).ok_or_else(|| format!("expected float as value, got {}", quoted(token)))?;
        let timestamp = if self.end_of_line()? { None } else { Some(self.timestamp()?) };
        self.families[family].samples.push(Sample { name, labels, value, timestamp });
        Ok(())
    }

    fn timestamp(&mut self) -> Step<i64> {
        self.skip_blanks();
        let token = self.token(|byte| !is_blank(byte) && byte != b'\n')?;
        let number = std::str::from_utf8(token).ok().and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| format!("expected integer as timestamp, got {}", quoted(token)))?;
        let rest = self.token(|byte| byte != b'\n')?;
        self.pos += 1;
        if !rest.is_empty() {
            return Err(format!("spurious string after timestamp: {}", quoted(rest)));
        }
        Ok(number)
    }

    fn labels(&mut self, family: usize, kind: Type) -> Step<Vec<(String, String)>> {
        let mut labels: Vec<(String, String)> = Vec::new();
        self.pos += 1;
        loop {
            self.skip_blanks();
            if self.byte()? == b'}' {
                break;
            }
            let name = self.name(is_label_byte)?;
            let metric = self.families[family].name.clone();
            if name.is_empty() {
                return Err(format!("invalid label name for metric {metric:?}"));
            }
            if name == crate::labels::METRIC_NAME {
                return Err(format!("label name {name:?} is reserved"));
            }
            self.skip_blanks();
            if self.byte()? != b'=' {
                return Err(format!("expected '=' after label name, found {}", character(self.byte()?)));
            }
            // The label of a bucket or quantile is a value there, not a label.
            let own = kind == Type::Summary && name == "quantile" || kind == Type::Histogram && name == "le";
            if !own && labels.iter().any(|(known, _)| *known == name) {
                return Err(format!("duplicate label names for metric {metric:?}"));
            }
            self.pos += 1;
            self.skip_blanks();
            if self.byte()? != b'"' {
                return Err(format!("expected '\"' at start of label value, found {}", character(self.byte()?)));
            }
            let value = self.label_value()?;
            if own && float(value.as_bytes()).is_none() {
                return Err(format!("expected float as value for '{name}' label, got {value:?}"));
            }
            self.skip_blanks();
            let next = self.byte()?;
            if next != b',' && next != b'}' {
                return Err(format!("unexpected end of label value {value:?}"));
            }
            labels.push((name, value));
            if next == b'}' {
                break;
            }
            self.pos += 1;
        }
        self.pos += 1;
        self.skip_blanks();
        Ok(labels)
    }

    fn label_value(&mut self) -> Step<String> {
        self.pos += 1;
        let mut value = Vec::new();
        loop {
            let byte = self.byte()?;
            self.pos += 1;
            match byte {
                b'"' => break,
                b'\n' => return Err(format!("label value {} contains unescaped new-line", quoted(&value))),
                b'\\' => {
                    match self.byte()? {
                        escaped @ (b'"' | b'\\') => value.push(escaped),
                        b'n' => value.push(b'\n'),
                        other => return Err(invalid_escape(other)),
                    }
                    self.pos += 1;
                }
                other => value.push(other),
            }
        }
        String::from_utf8(value).map_err(|error| format!("invalid label value {}", quoted(error.as_bytes())))
    }
}

fn invalid_escape(byte: u8) -> String {
    format!("invalid escape sequence '\\{}'", char::from(byte))
}

fn float(token: &[u8]) -> Option<f64> {
    number::parse(std::str::from_utf8(token).ok()?)
}
