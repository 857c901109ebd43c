//! Names: which ones a pod may look up, and which ones a rule means by `toFQDNs`.
//!
//! Sources: `pkg/policy/api/fqdn.go`, `pkg/fqdn/matchpattern/matchpattern.go` and `pkg/fqdn/re` with the DNS proxy's
//! `GeneratePattern` in `pkg/fqdn/dnsproxy/helpers.go`.

use super::pattern;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A name, or a pattern of names in which `*` stands for any characters of one label, none too.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NameSelector {
    /// A name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub match_name: String,
    /// A pattern.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub match_pattern: String,
}

/// What `*` alone stands for where addresses are selected: every name.
const EVERY_NAME: &str = "(^([-a-zA-Z0-9_]+[.])+$)|(^[.]$)";
/// What matches anything.
const ANYTHING: &str = "(?:)";

/// Lower case, with a final dot: how names are compared.
pub fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name.ends_with('.') { name } else { name + "." }
}

fn escaped(name: &str) -> String {
    canonical(name.trim()).replace('.', "[.]").replace('*', "[-a-zA-Z0-9_]*")
}

impl NameSelector {
    /// Checks it as Cilium does before it takes a rule.
    ///
    /// # Errors
    ///
    /// Both fields are set, or there is a character that no name has.
    pub fn check(&self) -> Result<(), String> {
        let allowed = |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        if !self.match_name.is_empty() && !self.match_pattern.is_empty() {
            return Err("only one of MatchName or MatchPattern is allowed in an FQDNSelector".into());
        }
        if !allowed(&self.match_name, "-._") {
            let characters = "Only 0-9, a-z, A-Z and . and - characters are allowed";
            return Err(format!("Invalid characters in MatchName: {:?}. {characters}", self.match_name));
        }
        if !allowed(&self.match_pattern, "-._*") {
            let characters = "Only 0-9, a-z, A-Z and ., - and * characters are allowed";
            return Err(format!("Invalid characters in MatchPattern: {:?}. {characters}", self.match_pattern));
        }
        Ok(())
    }

    fn text(&self) -> &str {
        if self.match_name.is_empty() { &self.match_pattern } else { &self.match_name }
    }

    /// The regular expression that selects names.
    pub fn expression(&self) -> String {
        if self.match_pattern == "*" { EVERY_NAME.into() } else { format!("^{}$", escaped(self.text())) }
    }

    /// Whether a name is meant.
    pub fn selects(&self, name: &str) -> bool {
        Names::new(self.expression()).is_ok_and(|names| names.contain(name))
    }
}

/// As it stands in labels: `matchName: example.com`.
impl fmt::Display for NameSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.match_name.is_empty() { "MatchPattern" } else { "MatchName" };
        write!(f, "{field}: {}", self.text())
    }
}

/// Names by a regular expression.
#[derive(Debug, Clone)]
pub struct Names {
    /// Its text.
    pub expression: String,
    regex: Regex,
}

impl Names {
    fn new(expression: String) -> Result<Self, String> {
        Ok(Names { regex: pattern::anywhere(&expression)?, expression })
    }

    /// The names that a pod may look up by the DNS rules of one port; without rules, all.
    ///
    /// # Errors
    ///
    /// A rule is no name and no pattern.
    pub fn of_rules(rules: &[NameSelector]) -> Result<Self, String> {
        rules.iter().try_for_each(NameSelector::check)?;
        let all = rules.is_empty() || rules.iter().any(|rule| rule.match_pattern == "*");
        let each: Vec<String> = rules.iter().map(|rule| escaped(rule.text())).collect();
        Names::new(if all { ANYTHING.into() } else { format!("^(?:{})$", each.join("|")) })
    }

    /// The names that a selector means.
    ///
    /// # Errors
    ///
    /// The selector is no name and no pattern.
    pub fn of_selector(selector: &NameSelector) -> Result<Self, String> {
        selector.check()?;
        Names::new(selector.expression())
    }

    /// Whether a name, however written, is one of them.
    pub fn contain(&self, name: &str) -> bool {
        self.regex.is_match(canonical(name).as_bytes())
    }
}
