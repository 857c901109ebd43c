//! What follows the `?`.
//!
//! Source: `apimachinery/pkg/apis/meta/internalversion/validation/validation.go` for the options of lists.

use crate::Error;
use crate::field::{At, Errors, quoted};
use crate::patch::Validation;
use kit_api::selector::FieldSelector;
use serde_json::Value;

/// Parameters by name.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Query, Error> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (unescape(name), unescape(value))
        });
        Ok(Query(pairs.collect()))
    }

    /// A parameter; empty if it isn't there.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(there, _)| there == name).map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(there, _)| there == name)
    }

    /// Whether it says yes, as Go's conversion of query parameters reads it.
    pub fn flag(&self, name: &str) -> bool {
        self.has(name) && !["false", "0"].contains(&self.get(name).to_lowercase().as_str())
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.get(name) {
            "" => Ok(None),
            text => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => {
                    Err(Error::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", quoted(text))))
                }
            },
        }
    }

    /// The same with other names for the fields of a selector; `name` is none for a field that nobody offers.
    pub fn with_fields(&self, name: impl Fn(&str) -> Option<String>) -> Result<Query, Error> {
        let mut selector: FieldSelector = self.get("fieldSelector").parse().map_err(Error::bad_request)?;
        for term in &mut selector.terms {
            let unknown = || Error::bad_request(format!("field label not supported: {}", term.field));
            term.field = name(&term.field).ok_or_else(unknown)?;
        }
        let told = |(there, value): &(String, String)| match there.as_str() {
            "fieldSelector" => (there.clone(), selector.to_string()),
            _ => (there.clone(), value.clone()),
        };
        Ok(Query(self.0.iter().map(told).collect()))
    }

    /// Checks what every write may say; `kind` is that of its options. Whether nothing is to be changed.
    pub fn dry_run(&self, kind: &str) -> Result<bool, Error> {
        self.options(kind, Errors::default())
    }

    /// The same of a patch (`ValidatePatchOptions`).
    pub fn patch_options(&self, apply: bool) -> Result<bool, Error> {
        let mut errors = Errors::default();
        let at = |name: &str| At { value: &Value::Null, path: name.into() };
        if apply && self.get("fieldManager").is_empty() {
            errors.required(&at("fieldManager"), "is required for apply patch");
        }
        if !apply && self.has("force") {
            errors.forbidden(&at("force"), "may not be specified for non-apply patch");
        }
        self.options("PatchOptions", errors)
    }

    fn options(&self, kind: &str, mut errors: Errors) -> Result<bool, Error> {
        let at = |name: &str| At { value: &Value::Null, path: name.into() };
        if kind != "DeleteOptions" {
            let manager = self.get("fieldManager");
            if manager.len() > 128 {
                errors.too_long(&at("fieldManager"), 128);
            }
            for (place, c) in manager.char_indices().filter(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' '))
            {
                let why = format!("invalid character U+{:04X} (at position {place})", u32::from(c));
                errors.invalid_as(&at("fieldManager"), &quoted(manager), &why);
            }
        }
        let dry_run = errors.dry_run(self.all("dryRun"));
        let validation = self.get("fieldValidation");
        if !["", "Ignore", "Warn", "Strict"].contains(&validation) {
            errors.not_supported_as(&at("fieldValidation"), &quoted(validation), &["", "Ignore", "Strict", "Warn"]);
        }
        match errors.0.is_empty() {
            true => Ok(dry_run),
            false => Err(Error::invalid("meta.k8s.io", kind, "", errors.0)),
        }
    }

    /// How strictly a body is looked at.
    pub fn validation(&self) -> Validation {
        match self.get("fieldValidation") {
            "Ignore" => Validation::Ignore,
            "Strict" => Validation::Strict,
            _ => Validation::Warn,
        }
    }

    /// Checks the options of a list or a watch.
    pub fn list_options(&self, watch: bool, watch_list: bool) -> Result<(), Error> {
        let mut errors = Errors::default();
        let at = |name: &str| At { value: &Value::Null, path: name.into() };
        let (version, matching) = (self.get("resourceVersion"), self.get("resourceVersionMatch"));
        let initial = self.has("sendInitialEvents");
        let rule = at("resourceVersionMatch");
        if watch {
            if initial && matching != "NotOlderThan" {
                if matching.is_empty() {
                    errors.forbidden(&rule, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
                } else {
                    errors.not_supported_as(&rule, &quoted(matching), &["NotOlderThan"]);
                }
            }
            if !initial && !matching.is_empty() {
                errors.forbidden(
                    &rule,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                );
                if matching != "NotOlderThan" {
                    errors.not_supported_as(&rule, &quoted(matching), &["NotOlderThan"]);
                }
            }
            if initial && !watch_list {
                let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
                errors.forbidden(&at("sendInitialEvents"), why);
            }
        } else {
            if initial {
                errors.forbidden(&at("sendInitialEvents"), "sendInitialEvents is forbidden for list");
            }
            if !matching.is_empty() {
                if version.is_empty() {
                    errors.forbidden(&rule, "resourceVersionMatch is forbidden unless resourceVersion is provided");
                }
                if !self.get("continue").is_empty() {
                    errors.forbidden(&rule, "resourceVersionMatch is forbidden when continue is provided");
                }
                if !["Exact", "NotOlderThan"].contains(&matching) {
                    errors.not_supported_as(&rule, &quoted(matching), &["Exact", "NotOlderThan", ""]);
                }
                if matching == "Exact" && version == "0" {
                    errors.forbidden(&rule, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
                }
            }
        }
        match errors.0.is_empty() {
            true => Ok(()),
            false => Err(Error::invalid("meta.k8s.io", "ListOptions", "", errors.0)),
        }
    }
}

impl Errors {
    /// Whether nothing is to be changed; there is one way to say so (`ValidateDryRun`).
    pub fn dry_run<'a>(&mut self, said: impl Iterator<Item = &'a str>) -> bool {
        let said: Vec<&str> = said.collect();
        if said.iter().any(|text| *text != "All") {
            let list: Vec<String> = said.iter().map(quoted).collect();
            let at = At { value: &Value::Null, path: "dryRun".into() };
            self.not_supported_as(&at, &format!("[]string{{{}}}", list.join(", ")), &["All"]);
        }
        !said.is_empty()
    }
}

/// `%20` and `+` to what they stand for; what is no escape stays as it is.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = (bytes[index] == b'%').then(|| text.get(index + 1..index + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                index += 3;
            }
            None => {
                plain.push(if bytes[index] == b'+' { b' ' } else { bytes[index] });
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        let query = Query::parse("labelSelector=odd+in+(0),n!%3D0&watch&limit=x").expect("a query");
        assert_eq!((query.get("labelSelector"), query.flag("watch")), ("odd in (0),n!=0", true));
        assert!(query.int("limit").is_err() && !query.flag("nothing"));
    }
}
