//! HTTP rules: which requests a proxy lets through.
//!
//! Sources: `pkg/policy/api/http.go` and `getHTTPRule` in `pkg/envoy/server.go`.

use super::pattern;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A rule: a request must match all of it. An empty one admits all requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HttpRule {
    /// A pattern for the whole `:path`, with the query behind it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// A pattern for the whole method, in which case matters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// A pattern for the whole `:authority`, with the port behind it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// `Name` asks for a header to be there, `Name: value` (or `Name value`) for its value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Headers in fields of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub header_matches: Vec<HeaderMatch>,
}

/// A header that a request must have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HeaderMatch {
    /// What to do where the request doesn't have it: empty refuses the request; `LOG`, `ADD`, `DELETE` and `REPLACE` let it through.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mismatch: String,
    /// The header.
    pub name: String,
    /// Its value; empty: any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// One condition as Envoy gets it.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The header, or pseudo-header.
    pub name: String,
    /// What must hold of it.
    pub test: Test,
}

/// What must hold of a header.
#[derive(Debug, Clone)]
pub enum Test {
    /// Its whole value matches. `None` where the pattern is broken: Envoy refuses such a configuration.
    Regex(String, Option<Regex>),
    /// It has this value.
    Exact(String),
    /// It is there.
    Present,
}

/// A request as a proxy sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// `GET`
    pub method: String,
    /// The `:path`: with the query.
    pub path: String,
    /// The `:authority`: with the port, where it isn't the default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// All other headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl HttpRule {
    /// Checks what Cilium checks before it takes the rule. The host is left to Envoy, and headers are taken as they are.
    ///
    /// # Errors
    ///
    /// The path or the method is no pattern, or what to do on a mismatch is unknown.
    pub fn check(&self) -> Result<(), String> {
        for text in [&self.path, &self.method] {
            pattern::whole(text)?;
        }
        for header in &self.header_matches {
            if !matches!(header.mismatch.as_str(), "" | "LOG" | "ADD" | "DELETE" | "REPLACE") {
                return Err(format!("Invalid header action: {}", header.mismatch));
            }
        }
        Ok(())
    }

    /// The conditions that it becomes.
    pub fn matchers(&self) -> Vec<Matcher> {
        let patterns = [(":path", &self.path), (":method", &self.method), (":authority", &self.host)];
        let patterns = patterns.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| Matcher {
            name: name.to_string(),
            test: Test::Regex(text.clone(), pattern::whole(text).ok()),
        });
        // Only a blank divides name and value, so that `X-Key:true` is one long name.
        let headers = self.headers.iter().map(|header| match header.split_once(' ') {
            Some((name, value)) => {
                Matcher { name: name.trim_end_matches(':').to_string(), test: Test::Exact(value.to_string()) }
            }
            None => Matcher { name: header.clone(), test: Test::Present },
        });
        let matches = self.header_matches.iter().filter(|header| header.mismatch.is_empty()).map(|header| Matcher {
            name: header.name.clone(),
            test: if header.value.is_empty() { Test::Present } else { Test::Exact(header.value.clone()) },
        });
        patterns.chain(headers).chain(matches).collect()
    }

    /// Whether it admits a request.
    pub fn admits(&self, request: &Request) -> bool {
        self.matchers().iter().all(|matcher| matcher.holds(request))
    }
}

impl Matcher {
    /// Whether the condition holds. Names of headers ignore case.
    pub fn holds(&self, request: &Request) -> bool {
        let value = match self.name.as_str() {
            ":path" => Some(request.path.as_str()),
            ":method" => Some(request.method.as_str()),
            ":authority" => Some(request.host.as_str()),
            name => {
                let mut headers = request.headers.iter();
                headers.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
            }
        };
        value.is_some_and(|value| match &self.test {
            Test::Regex(_, regex) => regex.as_ref().is_some_and(|regex| regex.is_match(value.as_bytes())),
            Test::Exact(wanted) => value == wanted,
            Test::Present => true,
        })
    }
}

/// Whether any of the rules admits the request. Without a rule nothing is asked of it.
pub fn allowed(rules: &[HttpRule], request: &Request) -> bool {
    rules.is_empty() || rules.iter().any(|rule| rule.admits(request))
}
