//! Which requests are told of, and how much of each: the first rule of a policy that a request matches counts.
//!
//! Sources: `apiserver/pkg/audit/policy/{reader,checker}.go`, `apiserver/pkg/apis/audit/validation/validation.go`.

use kit_server::{RequestInfo, User};
use serde::Deserialize;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    None,
    /// Who, what, when.
    Metadata,
    /// And what was sent.
    Request,
    /// And what was answered.
    RequestResponse,
}

const LEVELS: [(&str, Level); 4] = [
    ("None", Level::None),
    ("Metadata", Level::Metadata),
    ("Request", Level::Request),
    ("RequestResponse", Level::RequestResponse),
];
const STAGES: [&str; 4] = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];

impl Level {
    /// Its name.
    pub fn name(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("None", |(name, _)| name)
    }
}

/// `audit.k8s.io/v1`, kind `Policy`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde::de::IgnoredAny,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<String>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: String,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<Resources>,
    namespaces: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    omit_stages: Vec<String>,
    omit_managed_fields: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Resources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// What a policy says of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How much.
    pub level: Level,
    /// At which stages nothing is told.
    pub omitted: Vec<String>,
    /// Whether `managedFields` are left out of objects.
    pub without_managed_fields: bool,
}

impl Policy {
    /// The policy that tells of every request, and of none what was in it.
    pub fn metadata() -> Policy {
        Policy { rules: vec![Rule { level: "Metadata".into(), ..Rule::default() }], ..Policy::default() }
    }

    /// Reads a policy in YAML or JSON.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in it, one problem a line.
    pub fn read(text: &str) -> Result<Policy, String> {
        let policy: Policy = serde_yaml::from_str(text).map_err(|error| format!("failed decoding: {error}"))?;
        if policy.api_version != "audit.k8s.io/v1" || policy.kind != "Policy" {
            let (version, kind) = (&policy.api_version, &policy.kind);
            return Err(format!("it is {version:?}, kind {kind:?}; expected \"audit.k8s.io/v1\", kind \"Policy\""));
        }
        let mut problems = stages("omitStages", &policy.omit_stages);
        for (index, rule) in policy.rules.iter().enumerate() {
            problems.extend(rule.problems(&format!("rules[{index}]")));
        }
        if policy.rules.is_empty() {
            problems.push("loaded illegal policy with 0 rules".into());
        }
        if problems.is_empty() { Ok(policy) } else { Err(problems.join("\n")) }
    }

    /// What is told of a request.
    pub fn told(&self, user: &User, info: &RequestInfo) -> Told {
        let rule = self.rules.iter().find(|rule| rule.matches(user, info));
        let level = |rule: &Rule| LEVELS.iter().find(|(name, _)| *name == rule.level).map(|(_, level)| *level);
        Told {
            level: rule.and_then(level).unwrap_or(Level::None),
            // Stages of the policy and of the rule are left out alike (`unionStages` of `checker.go`).
            omitted: rule.iter().flat_map(|rule| &rule.omit_stages).chain(&self.omit_stages).cloned().collect(),
            without_managed_fields: rule.and_then(|rule| rule.omit_managed_fields).unwrap_or(self.omit_managed_fields),
        }
    }
}

fn stages(path: &str, stages: &[String]) -> Vec<String> {
    let wrong = stages.iter().enumerate().filter(|(_, stage)| !STAGES.contains(&stage.as_str()));
    wrong
        .map(|(index, stage)| {
            format!("{path}[{index}]: Invalid value: {stage:?}: allowed stages are {}", STAGES.join(","))
        })
        .collect()
}

fn has(list: &[String], value: &str) -> bool {
    list.iter().any(|there| there == value)
}

impl Rule {
    fn problems(&self, path: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.level.is_empty() {
            problems.push(format!("{path}.level: Required value"));
        } else if !LEVELS.iter().any(|(name, _)| *name == self.level) {
            let names: Vec<String> = LEVELS.iter().map(|(name, _)| format!("{name:?}")).collect();
            let (level, names) = (&self.level, names.join(", "));
            problems.push(format!("{path}.level: Unsupported value: {level:?}: supported values: {names}"));
        }
        for (index, url) in self.non_resource_urls.iter().enumerate().filter(|(_, url)| *url != "*") {
            let mut say = |why: &str| {
                problems.push(format!("{path}.nonResourceURLs[{index}]: Invalid value: {url:?}: {why}"));
            };
            if !url.starts_with('/') {
                say("non-resource URL rules must begin with a '/' character");
            }
            if url.strip_suffix('*').unwrap_or(url).contains('*') {
                say("non-resource URL wildcards '*' must be the final character of the rule");
            }
        }
        for resources in &self.resources {
            let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            if !["", "*"].contains(&resources.group.as_str()) && !resources.group.bytes().all(lower) {
                let group = &resources.group;
                problems.push(format!(
                    "{path}.resources.group: Invalid value: {group:?}: a group without its version, in lower case"
                ));
            }
            if !resources.resource_names.is_empty() && resources.resources.is_empty() {
                let names = &resources.resource_names;
                problems.push(format!(
                    "{path}.resources.resourceNames: Invalid value: {names:?}: using resourceNames requires at least one \
                     resource"
                ));
            }
        }
        problems.extend(stages(&format!("{path}.omitStages"), &self.omit_stages));
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if of_resources && !self.non_resource_urls.is_empty() {
            let urls = &self.non_resource_urls;
            problems.push(format!(
                "{path}.nonResourceURLs: Invalid value: {urls:?}: rules cannot apply to both regular resources and \
                 non-resource URLs"
            ));
        }
        problems
    }

    fn matches(&self, user: &User, info: &RequestInfo) -> bool {
        let any = |list: &[String], matches: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|value| matches(value))
        };
        any(&self.users, &|name| name == user.name)
            && any(&self.user_groups, &|group| has(&user.groups, group))
            && any(&self.verbs, &|verb| verb == info.verb)
            && match (self.namespaces.is_empty() && self.resources.is_empty(), self.non_resource_urls.is_empty()) {
                (false, _) => self.matches_resource(info),
                (true, false) => !info.is_resource && self.non_resource_urls.iter().any(|url| url_is(url, &info.path)),
                (true, true) => true,
            }
    }

    fn matches_resource(&self, info: &RequestInfo) -> bool {
        let (whole, part) = (info.whole(), info.subresource.as_str());
        let named = |named: &String| {
            *named == whole
                || named == "*"
                || (!part.is_empty() && named.strip_prefix("*/") == Some(part))
                || named.strip_suffix("/*") == Some(&info.resource)
        };
        let covers = |of: &Resources| {
            (of.group == info.group || of.group == "*")
                && (of.resources.is_empty()
                    || ((of.resource_names.is_empty() || has(&of.resource_names, &info.name))
                        && of.resources.iter().any(named)))
        };
        info.is_resource
            && (self.namespaces.is_empty() || has(&self.namespaces, &info.namespace))
            && (self.resources.is_empty() || self.resources.iter().any(covers))
    }
}

fn url_is(url: &str, path: &str) -> bool {
    url == "*" || url == path || url.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:kube-proxy"], verbs: [watch]}
- {level: None, nonResourceURLs: ["/healthz*", "/version"]}
- level: Request
  resources: [{group: "", resources: [configmaps], resourceNames: [controller-leader]}, {group: apps, resources: ["*/scale"]}]
- {level: Metadata, resources: [{group: "", resources: [secrets, "pods/*"]}], omitStages: [ResponseStarted]}
- {level: RequestResponse, userGroups: ["system:masters"], namespaces: [shop, ""]}
- {level: Metadata, verbs: [list]}
"#;

    #[test]
    fn the_first_rule_that_fits_counts() {
        let policy = Policy::read(POLICY).expect("a good policy");
        let jane = User::new("jane", &["system:authenticated"]);
        let cases = [
            (User::new("system:kube-proxy", &[]), "GET /api/v1/services?watch=1", Level::None),
            (jane.clone(), "GET /healthz/ping", Level::None),
            (jane.clone(), "GET /api/v1/namespaces/a/configmaps/controller-leader", Level::Request),
            (jane.clone(), "GET /api/v1/namespaces/a/configmaps/other", Level::None),
            (jane.clone(), "GET /apis/apps/v1/namespaces/a/deployments/web/scale", Level::Request),
            (jane.clone(), "GET /api/v1/namespaces/a/pods/web/log", Level::Metadata),
            (jane.clone(), "GET /api/v1/namespaces/a/pods/web", Level::Metadata),
            (jane.clone(), "GET /api/v1/namespaces/a/services/web", Level::None),
            (jane.clone(), "GET /api/v1/namespaces/a/services", Level::Metadata),
            (User::admin(), "GET /api/v1/namespaces/shop/services/web", Level::RequestResponse),
            (User::admin(), "GET /api/v1/nodes/node-1", Level::RequestResponse),
            (User::admin(), "GET /api/v1/namespaces/b/services/web", Level::None),
            (User::admin(), "GET /metrics", Level::None),
        ];
        for (user, line, level) in cases {
            let (method, path) = line.split_once(' ').expect("a method and a path");
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            assert_eq!(policy.told(&user, &RequestInfo::of(method, path, query)).level, level, "{} {line}", user.name);
        }
        let told = policy.told(&jane, &RequestInfo::of("GET", "/api/v1/secrets", ""));
        assert_eq!(told.omitted, ["ResponseStarted", "RequestReceived"]);
    }

    #[test]
    fn a_bad_policy_says_what_is_wrong() {
        let policy = |rest: &str| format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{rest}");
        let cases = [
            ("a: [".to_string(), "failed decoding"),
            ("apiVersion: audit.k8s.io/v1beta1\nkind: Policy".into(), "expected \"audit.k8s.io/v1\""),
            (policy("rules: []"), "loaded illegal policy with 0 rules"),
            (policy("rules: [{level: Some}]"), "rules[0].level: Unsupported value: \"Some\""),
            (policy("rules: [{verbs: [get]}]"), "rules[0].level: Required value"),
            (policy("rules: [{level: None, verb: [get]}]"), "unknown field `verb`"),
            (policy("rules: [{level: None, omitStages: [Later]}]"), "allowed stages are RequestReceived,"),
            (policy("rules: [{level: None, nonResourceURLs: [healthz]}]"), "must begin with a '/'"),
            (policy("rules: [{level: None, nonResourceURLs: ['/a*b']}]"), "must be the final character"),
            (policy("rules: [{level: None, nonResourceURLs: [/a], namespaces: [b]}]"), "cannot apply to both"),
            (policy("rules: [{level: None, resources: [{group: apps/v1}]}]"), "a group without its version"),
            (policy("rules: [{level: None, resources: [{resourceNames: [a]}]}]"), "requires at least one resource"),
        ];
        for (text, expected) in cases {
            let why = Policy::read(&text).expect_err(&text);
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
