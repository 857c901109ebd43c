//! Which names, labels and keys are valid, and what is wrong with the others.
//!
//! Each function answers all that is wrong, in upstream's words; nothing means valid. Lengths are in bytes.
//!
//! Source: `staging/src/k8s.io/apimachinery/pkg/util/validation/validation.go`.

/// How a text must look: in words, by example and as upstream's regular expression.
struct Form {
    words: &'static str,
    examples: &'static [&'static str],
    regex: &'static str,
    fits: fn(&str) -> bool,
}

impl Form {
    fn error(&self) -> String {
        let examples: Vec<_> = self.examples.iter().map(|example| format!("'{example}'")).collect();
        let examples = if examples.is_empty() { String::new() } else { format!("e.g. {}, ", examples.join(",  or ")) };
        format!("{} ({examples}regex used for validation is '{}')", self.words, self.regex)
    }

    fn check(&self, text: &str, max: Option<usize>) -> Vec<String> {
        let mut wrong: Vec<String> = max.and_then(|max| too_long(text, max)).into_iter().collect();
        if !(self.fits)(text) {
            wrong.push(self.error());
        }
        wrong
    }
}

fn too_long(text: &str, max: usize) -> Option<String> {
    (text.len() > max).then(|| format!("must be no more than {max} characters"))
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
fn is_label(text: &str) -> bool {
    has_edges(text, lower_or_digit)
}

/// Whether a text begins and ends with such characters, and has only those and `-` between them.
fn has_edges(text: &str, edge: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|&b| edge(b) || b == b'-')
        && bytes.first().is_some_and(|&b| edge(b))
        && bytes.last().is_some_and(|&b| edge(b))
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

const LABEL: Form = Form {
    words: "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
            end with an alphanumeric character",
    examples: &["my-name", "123-abc"],
    regex: "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    fits: is_label,
};

const SUBDOMAIN: Form = Form {
    words: "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
            start and end with an alphanumeric character",
    examples: &["example.com"],
    regex: r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    fits: is_subdomain,
};

const WILDCARD: Form = Form {
    words: "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
            of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    examples: &["*.example.com"],
    regex: r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    fits: |text| text.strip_prefix("*.").is_some_and(is_subdomain),
};

const LABEL_1035: Form = Form {
    words: "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
            character, and end with an alphanumeric character",
    examples: &["my-name", "abc-123"],
    regex: "[a-z]([-a-z0-9]*[a-z0-9])?",
    fits: |text| is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()),
};

const QUALIFIED: Form = Form {
    words: "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
            character",
    examples: &["MyName", "my.name", "123-abc"],
    regex: "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]",
    fits: is_qualified,
};

const LABEL_VALUE: Form = Form {
    words: "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
            start and end with an alphanumeric character",
    examples: &["MyValue", "my_value", "12345"],
    regex: "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
    fits: |text| text.is_empty() || is_qualified(text),
};

const CONFIG_KEY: Form = Form {
    words: "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    examples: &["key.name", "KEY_NAME", "key-name"],
    regex: "[-._a-zA-Z0-9]+",
    fits: |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
};

const ENV_VAR: Form = Form {
    words: "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and \
            must not start with a digit",
    examples: &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
    regex: "[-._a-zA-Z][-._a-zA-Z0-9]*",
    fits: |text| (CONFIG_KEY.fits)(text) && !text.starts_with(|c: char| c.is_ascii_digit()),
};

const HEADER: Form = Form {
    words: "a valid HTTP header must consist of alphanumeric characters or '-'",
    examples: &["X-Header-Name"],
    regex: "[-A-Za-z0-9]+",
    fits: |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
};

const SUBDOMAIN_UNDERSCORE: Form = Form {
    words: "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
            must start and end with an alphanumeric character",
    examples: &["example.com"],
    // Upstream shows the regular expression of domains without underscores.
    regex: SUBDOMAIN.regex,
    fits: |text| text.split('.').all(|part| has_edges(part, |b| lower_or_digit(b) || b == b'_')),
};

/// The name of a container, a namespace, a service's port … (`IsDNS1123Label`).
pub fn dns1123_label(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 63).into_iter().collect();
    if !is_label(text) {
        wrong.push(if is_subdomain(text) { "must not contain dots".into() } else { LABEL.error() });
    }
    wrong
}

/// The name of most objects (`IsDNS1123Subdomain`).
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    SUBDOMAIN.check(text, Some(253))
}

/// The host of an ingress rule that stands for many (`IsWildcardDNS1123Subdomain`).
pub fn wildcard_dns1123_subdomain(text: &str) -> Vec<String> {
    WILDCARD.check(text, Some(253))
}

/// The name of a service (`IsDNS1035Label`).
pub fn dns1035_label(text: &str) -> Vec<String> {
    LABEL_1035.check(text, Some(63))
}

/// The key of a label, an annotation or a taint (`IsQualifiedName`).
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_string());
            } else {
                wrong.extend(dns1123_subdomain(prefix).into_iter().map(|error| format!("prefix part {error}")));
            }
            *name
        }
        _ => {
            let form = QUALIFIED.error();
            let rest = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a qualified name {form} {rest}")];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".into());
    }
    wrong.extend(QUALIFIED.check(name, Some(63)).into_iter().map(|error| format!("name part {error}")));
    wrong
}

/// The value of a label (`IsValidLabelValue`).
pub fn label_value(text: &str) -> Vec<String> {
    LABEL_VALUE.check(text, Some(63))
}

/// A key of a config map or a secret (`IsConfigMapKey`).
pub fn config_map_key(text: &str) -> Vec<String> {
    let mut wrong = CONFIG_KEY.check(text, Some(253));
    wrong.extend(climbs(text));
    wrong
}

/// The name of an environment variable (`IsEnvVarName`).
pub fn env_var_name(text: &str) -> Vec<String> {
    let mut wrong = ENV_VAR.check(text, None);
    wrong.extend(climbs(text));
    wrong
}

/// The same since 1.32, where nearly every character may be in it (`IsRelaxedEnvVarName`).
pub fn relaxed_env_var_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["must be non-empty".into()];
    }
    match text.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && b != b'=') {
        true => Vec::new(),
        false => vec![
            "a valid environment variable name must consist only of printable ASCII characters other than '='".into(),
        ],
    }
}

/// The name of a field of an HTTP header (`IsHTTPHeaderName`).
pub fn http_header(text: &str) -> Vec<String> {
    HEADER.check(text, None)
}

/// A domain that resolvers search, which may be a service record's (`IsDNS1123SubdomainWithUnderscore`).
pub fn dns1123_subdomain_with_underscore(text: &str) -> Vec<String> {
    SUBDOMAIN_UNDERSCORE.check(text, Some(253))
}

/// Keys become file names; these would leave their folder (`hasChDirPrefix`).
fn climbs(text: &str) -> Option<String> {
    match text {
        "." | ".." => Some(format!("must not be '{text}'")),
        _ if text.starts_with("..") => Some("must not start with '..'".into()),
        _ => None,
    }
}

/// The name of a port of a container (`IsValidPortName`).
pub fn port_name(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = too_long(text, 15).into_iter().collect();
    if text.is_empty() || !text.bytes().all(|b| lower_or_digit(b) || b == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".into());
    }
    wrong
}
