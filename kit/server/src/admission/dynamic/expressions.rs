//! The expressions of policies and of webhooks' conditions: which names they may use, and what they give.
//!
//! Sources: `apiserver/pkg/admission/plugin/cel/{compile,condition,activation,composition}.go`,
//! `apiserver/pkg/admission/plugin/webhook/matchconditions/matcher.go`.

use super::Attributes;
use crate::Server;
use crate::auth::User;
use crate::handlers::RequestInfo;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_cel::{Check, Decision, Program, Question, Scope, Type, Value as Cel};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::LazyLock;

/// What all expressions of one kind together may cost (`RuntimeCELCostBudget`, and a quarter of it for conditions).
pub const BUDGET: i64 = 10_000_000;
const BUDGET_OF_CONDITIONS: i64 = 2_500_000;

/// What is known of `request`.
pub static REQUEST: LazyLock<Type> = LazyLock::new(|| {
    let text = json!({"type": "string"});
    let kind = json!({"type": "object", "properties": {"group": text, "version": text, "kind": text}});
    let resource = json!({"type": "object", "properties": {"group": text, "version": text, "resource": text}});
    let texts = json!({"type": "array", "items": text});
    let user = json!({"type": "object", "properties": {
        "username": text, "uid": text, "groups": texts, "extra": {"type": "object", "additionalProperties": texts},
    }});
    let request = json!({"type": "object", "properties": {
        "kind": kind, "resource": resource, "subResource": text, "requestKind": kind, "requestResource": resource,
        "requestSubResource": text, "name": text, "namespace": text, "operation": text, "userInfo": user,
        "dryRun": {"type": "boolean"}, "options": {"x-kubernetes-int-or-string": true},
    }});
    Type::of_kind(&request).unwrap_or(Type::Dyn)
});

/// What is known of `namespaceObject`.
pub static NAMESPACE: LazyLock<Type> = LazyLock::new(|| {
    let text = json!({"type": "string"});
    let map = json!({"type": "object", "additionalProperties": text});
    let texts = json!({"type": "array", "items": text});
    let time = json!({"type": "string", "format": "date-time"});
    let namespace = json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {
            "name": text, "generateName": text, "namespace": text, "labels": map, "annotations": map, "UID": text,
            "creationTimestamp": time, "deletionGracePeriodSeconds": {"type": "integer"}, "deletionTimestamp": time,
            "generation": {"type": "integer"}, "resourceVersion": text, "finalizers": texts,
        }},
        "spec": {"type": "object", "properties": {"finalizers": texts}},
        "status": {"type": "object", "properties": {"phase": text, "conditions": {"type": "array", "items": {
            "type": "object", "properties": {
                "status": text, "type": text, "lastTransitionTime": time, "message": text, "reason": text,
            },
        }}}},
    }});
    Type::of_kind(&namespace).unwrap_or(Type::Dyn)
});

/// What is known of `authorizer`.
pub const AUTHORIZER: Type = Type::Plain("kubernetes.authorization.Authorizer");

/// Which names expressions may use besides `object`, `oldObject` and `request`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names {
    /// `params`.
    pub params: bool,
    /// `authorizer`.
    pub authorizer: bool,
}

/// Reads an expression that must give one of these types.
///
/// # Errors
///
/// What is wrong with it.
pub fn compile(text: &str, names: Names, variables: Option<&Type>, wanted: &[Type]) -> Result<Program, String> {
    let mut known = vec![
        ("object", Type::Dyn),
        ("oldObject", Type::Dyn),
        ("request", REQUEST.clone()),
        ("namespaceObject", NAMESPACE.clone()),
    ];
    if names.params {
        known.push(("params", Type::Dyn));
    }
    if names.authorizer {
        known.push(("authorizer", AUTHORIZER));
        known.push(("authorizer.requestResource", Type::Plain("kubernetes.authorization.ResourceCheck")));
    }
    known.extend(variables.map(|of| ("variables", of.clone())));
    let program = Program::compile(text, &known).map_err(|why| format!("compilation failed: {why}"))?;
    match wanted {
        [] => Ok(program),
        _ if wanted.iter().any(|of| program.gives(of)) => Ok(program),
        [only] => Err(format!("must evaluate to {only} but got {}", program.result)),
        _ => {
            let name = |of: &Type| if *of == kit_cel::NULL { "null_type".into() } else { of.to_string() };
            let all: Vec<String> = wanted.iter().map(name).collect();
            Err(format!("must evaluate to one of [{}] but got {}", all.join(" "), program.result))
        }
    }
}

/// An expression, and what became of it when it was read.
#[derive(Debug)]
pub struct Expression {
    /// As it is written.
    pub text: String,
    /// Read, or why it can't be.
    pub program: Result<Program, String>,
}

impl Expression {
    /// Reads an expression.
    pub fn new(text: &Value, names: Names, variables: Option<&Type>, wanted: &[Type]) -> Expression {
        let text = text.as_str().unwrap_or_default().to_string();
        let program = compile(&text, names, variables, wanted);
        Expression { text, program }
    }

    /// What it gives.
    ///
    /// # Errors
    ///
    /// Why it gives nothing (`Evaluate` of `activation.go`).
    pub fn evaluate<'a>(&self, scope: &Scope<'a>, budget: i64) -> Result<Cel<'a>, Failed> {
        let program = self.program.as_ref().map_err(|why| Failed::Alone(format!("compilation error: {why}")))?;
        let found = scope.evaluate(program);
        if scope.cost() > budget {
            return Err(Failed::All(
                "validation failed due to running out of cost budget, no further validation rules will be run".into(),
            ));
        }
        let told = |why: &str| format!("expression '{}' resulted in error: {why}", self.text);
        found.map_err(|why| Failed::Alone(told(&why)))
    }
}

/// Why an expression gives nothing.
pub enum Failed {
    /// It can't.
    Alone(String),
    /// There is nothing left to evaluate any more.
    All(String),
}

impl Failed {
    /// The sentence.
    pub fn why(self) -> String {
        match self {
            Failed::Alone(why) | Failed::All(why) => why,
        }
    }
}

/// One rule of a policy.
#[derive(Debug)]
pub struct Rule {
    /// What must be true.
    pub expression: Expression,
    /// What is said if it isn't.
    pub message: String,
    /// The same, as an expression.
    pub told: Option<Expression>,
    /// `Invalid`, `Forbidden` ….
    pub reason: String,
}

/// A policy, read.
#[derive(Debug)]
pub struct Policy {
    /// `matchConditions`.
    pub conditions: Conditions,
    /// `variables`.
    pub variables: Vec<(String, Result<Program, String>)>,
    /// `validations`.
    pub rules: Vec<Rule>,
    /// `auditAnnotations`.
    pub annotations: Vec<(String, Expression)>,
    /// Whether errors are let through.
    pub lenient: bool,
}

impl Policy {
    /// Reads a ValidatingAdmissionPolicy.
    pub fn of(policy: &Value) -> Policy {
        let spec = &policy["spec"];
        let names = Names { params: spec["paramKind"].is_object(), authorizer: true };
        let unasked = Names { authorizer: false, ..names };
        let list = |field: &str| spec[field].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        // A variable may use those before it.
        let (mut variables, mut fields) = (Vec::new(), Vec::new());
        for variable in list("variables") {
            let of = Type::object(fields.iter().cloned());
            let program = compile(variable["expression"].as_str().unwrap_or_default(), names, Some(&of), &[]);
            let of = program.as_ref().map_or(Type::Dyn, |program| program.result.of_variable());
            fields.push((text(&variable["name"]), of));
            variables.push((text(&variable["name"]), program));
        }
        let of = Type::object(fields);
        let variable_names = Some(&of);
        let rule = |rule: &Value| Rule {
            expression: Expression::new(&rule["expression"], names, variable_names, &[kit_cel::BOOL]),
            message: text(&rule["message"]),
            told: rule["messageExpression"]
                .is_string()
                .then(|| Expression::new(&rule["messageExpression"], unasked, variable_names, &[kit_cel::STRING])),
            reason: rule["reason"].as_str().unwrap_or("Invalid").into(),
        };
        let annotation = |of: &Value| {
            let wanted = [kit_cel::STRING, kit_cel::NULL];
            (text(&of["key"]), Expression::new(&of["valueExpression"], unasked, variable_names, &wanted))
        };
        Policy {
            conditions: Conditions::of(&spec["matchConditions"], names),
            rules: list("validations").map(rule).collect(),
            annotations: list("auditAnnotations").map(annotation).collect(),
            lenient: spec["failurePolicy"] == "Ignore",
            variables,
        }
    }
}

/// `matchConditions`.
#[derive(Debug)]
pub struct Conditions(Vec<Expression>);

impl Conditions {
    /// Reads conditions.
    pub fn of(list: &Value, names: Names) -> Conditions {
        let list = list.as_array().into_iter().flatten();
        let of = |condition: &Value| Expression::new(&condition["expression"], names, None, &[kit_cel::BOOL]);
        Conditions(list.map(of).collect())
    }

    /// Whether all of them hold. One that doesn't decides; only then an error counts.
    ///
    /// # Errors
    ///
    /// What went wrong, if errors count.
    pub fn hold(&self, scope: &Scope<'_>, lenient: bool) -> Result<bool, String> {
        let mut wrong = Vec::new();
        for condition in &self.0 {
            match condition.evaluate(scope, BUDGET_OF_CONDITIONS) {
                Ok(Cel::Bool(false)) => return Ok(false),
                Ok(_) => {}
                Err(why) => wrong.push(why.why()),
            }
        }
        match (wrong.is_empty(), lenient) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(crate::status::aggregate(wrong)),
        }
    }
}

/// What expressions look at, told in the version that is asked for.
pub struct Input {
    /// The object.
    pub object: Value,
    /// The object before.
    pub old: Value,
    /// The request.
    pub request: Value,
    /// Its namespace; null if it has none.
    pub namespace: Value,
    /// The question whether the user may do this very thing.
    question: Question,
}

impl Input {
    /// The names, and what they stand for.
    pub fn scope<'a>(&'a self, params: Option<&'a Value>) -> Scope<'a> {
        let check = |check| Cel::Check(Rc::new(check));
        let of = |value: &'a Value| Cel::of(value, None);
        let mut names = vec![
            ("object", of(&self.object)),
            ("oldObject", of(&self.old)),
            ("request", of(&self.request)),
            ("namespaceObject", of(&self.namespace)),
            ("authorizer", check(Check::Authorizer(Question::default()))),
            ("authorizer.requestResource", check(Check::Resource(self.question.clone()))),
        ];
        names.extend(params.map(|params| ("params", of(params))));
        Scope::new(names)
    }
}

impl Server {
    /// What expressions look at.
    pub(super) fn input(&self, attributes: &Attributes, told: &'static Resource) -> Input {
        let in_namespace = !attributes.namespace.is_empty() && attributes.resource.as_kind() != Kind::Namespace;
        let namespace = self.state.get(&Key::new(Kind::Namespace, "", &attributes.namespace)).filter(|_| in_namespace);
        let mut namespace = namespace.map(|stored| stored.to_value()).unwrap_or_default();
        if let Some(metadata) = namespace["metadata"].as_object_mut() {
            metadata.shift_remove("managedFields");
        }
        Input {
            object: self.told_as(attributes, told, &attributes.object),
            old: self.told_as(attributes, told, &attributes.old),
            request: attributes.request(told),
            namespace,
            question: Question {
                group: attributes.resource.group.clone(),
                resource: attributes.resource.plural.clone(),
                subresource: attributes.subresource.clone(),
                namespace: attributes.namespace.clone(),
                name: attributes.name.clone(),
                ..Question::default()
            },
        }
    }

    /// Whether somebody may do something, for expressions that ask.
    pub(super) fn decide(&self, user: &User, question: &Question) -> Decision {
        let user = match &question.account {
            Some((namespace, name)) => &User::account(namespace, name),
            None => user,
        };
        let info = match &question.path {
            Some(path) => RequestInfo { verb: question.verb.clone(), path: path.clone(), ..RequestInfo::default() },
            None => RequestInfo {
                verb: question.verb.clone(),
                is_resource: true,
                group: question.group.clone(),
                resource: question.resource.clone(),
                subresource: question.subresource.clone(),
                namespace: question.namespace.clone(),
                name: question.name.clone(),
                ..RequestInfo::default()
            },
        };
        match self.state.authorize(user, &info) {
            Ok(reason) => (true, reason),
            Err(_) => (false, String::new()),
        }
    }
}
