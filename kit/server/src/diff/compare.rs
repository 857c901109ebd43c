//! Two values of a type as a tree of what is equal in them and what isn't.

use super::super::go::{amount_of, fields};
use super::super::schema::Type;
use super::edits::{Edit, edits};
use serde_json::{Value, json};

/// The type of a value.
#[derive(Debug, Clone)]
pub enum Of {
    /// One of the API's.
    Type(Type),
    /// A struct that is written otherwise than Go keeps it: one that is embedded in another, or kept in one word.
    Made(&'static str, Vec<Member>),
}

/// A field of a struct.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    /// Where it stands in the struct's value; none for an embedded struct, whose fields are there themselves.
    json: Option<&'static str>,
    of: Of,
}

/// How values of a type are compared and shown.
pub enum Form {
    Scalar,
    /// By a method of its own (`Equal`).
    Atom,
    Struct(Vec<Member>),
    List(Of),
    Map(Of),
    Pointer(Of),
}

impl Of {
    pub fn form(&self) -> Form {
        match self {
            Of::Made(_, members) => Form::Struct(members.clone()),
            Of::Type(of) => match *of {
                Type::Pointer(of) => Form::Pointer(Of::Type(*of)),
                Type::Alias(_, of) => Of::Type(*of).form(),
                Type::List(of) => Form::List(Of::Type(*of)),
                Type::Map(of) => Form::Map(Of::Type(*of)),
                Type::Quantity | Type::Time | Type::MicroTime => Form::Atom,
                Type::IntOrString => Form::Struct(
                    [("Type", Type::Int32), ("IntVal", Type::Int32), ("StrVal", Type::String)]
                        .map(|(name, of)| Member { name: name.into(), json: Some(name), of: Of::Type(of) })
                        .into(),
                ),
                Type::Struct(_) => Form::Struct(members(*of)),
                _ => Form::Scalar,
            },
        }
    }

    /// Its name in Go.
    pub fn go(&self) -> String {
        match self {
            Of::Type(of) => of.go(),
            Of::Made(name, _) => name.to_string(),
        }
    }

    /// Whether it is nothing, as Go sees it.
    pub fn is_zero(&self, value: &Value) -> bool {
        match self.form() {
            Form::Struct(members) => members.iter().all(|member| member.of.is_zero(&member.of(self, value))),
            Form::Scalar => scalar(value, self) == scalar(&Value::Null, self),
            _ => value.is_null(),
        }
    }
}

impl Member {
    /// The field of a struct's value.
    pub fn of(&self, outer: &Of, value: &Value) -> Value {
        let Some(json) = self.json else { return value.clone() };
        if matches!(outer, Of::Type(of) if of.plain() == Type::IntOrString) {
            let text = value.as_str();
            return match json {
                "Type" => i32::from(text.is_some()).into(),
                "IntVal" => value.as_i64().unwrap_or_default().into(),
                _ => text.unwrap_or_default().into(),
            };
        }
        value.get(json).cloned().unwrap_or_default()
    }

    pub fn typed(&self) -> &Of {
        &self.of
    }
}

/// Types that messages see in another form than the API.
fn internal(of: Type, json: &str, owner: &str) -> Type {
    match (owner, json, of) {
        ("core.ServiceAccountTokenProjection", "expirationSeconds", Type::Pointer(of)) => *of,
        _ => of,
    }
}

fn members(of: Type) -> Vec<Member> {
    let mut all: Vec<Member> = Vec::new();
    let mut inside = None;
    let Some(of) = of.structure() else { return all };
    for field in fields(of) {
        let member = Member {
            name: field.go.clone(),
            json: Some(field.json),
            of: Of::Type(internal(field.of, field.json, of.name)),
        };
        match (field.embedded, all.last_mut()) {
            (Some(outer), Some(Member { of: Of::Made(_, inner), .. })) if inside == Some(outer) => inner.push(member),
            (Some(outer), _) => {
                let short = outer.rsplit('.').next().unwrap_or_default();
                all.push(Member { name: short.into(), json: None, of: Of::Made(outer, vec![member]) });
            }
            (None, _) => all.push(member),
        }
        inside = field.embedded;
    }
    all
}

/// A quantity with what Go keeps of it.
pub fn quantity(value: &Value) -> (Of, Value) {
    let text = value.as_str().unwrap_or("0");
    let (amount, scale) = amount_of(text);
    let field = |name: &'static str, of| Member { name: name.into(), json: Some(name), of };
    let number = Of::Made(
        "resource.int64Amount",
        vec![field("value", Of::Type(Type::Int64)), field("scale", Of::Type(Type::Int64))],
    );
    let members = vec![field("i", number), field("s", Of::Type(Type::String)), field("Format", Of::Type(Type::String))];
    let format = text.parse::<kit_api::Quantity>().map(|quantity| quantity.format().to_string()).unwrap_or_default();
    let value = json!({"i": {"value": amount, "scale": scale}, "s": text, "Format": format});
    (Of::Made("resource.Quantity", members), value)
}

/// A single value, which is never null.
pub fn scalar(value: &Value, of: &Of) -> Value {
    match (value, of) {
        (Value::Null, Of::Type(of)) => match of.plain() {
            Type::Bool => false.into(),
            Type::Int32 | Type::Int64 | Type::Float64 => 0.into(),
            _ => "".into(),
        },
        _ => value.clone(),
    }
}

/// Two values, or one that came or went.
pub struct Node {
    pub of: Of,
    pub old: Option<Value>,
    pub new: Option<Value>,
    /// How many single values in it are equal.
    pub same: usize,
    /// How many aren't.
    pub changed: usize,
    /// How many of them were compared by methods of their own.
    pub by_method: usize,
    /// How many nodes are below.
    pub below: usize,
    /// How deep they go.
    pub depth: usize,
    /// Fields, items or entries, by name.
    pub parts: Vec<(String, Node)>,
    /// What a pointer points to.
    pub target: Option<Box<Node>>,
}

impl Node {
    fn judge(&mut self, equal: bool) {
        (self.same, self.changed) = (usize::from(equal), usize::from(!equal));
    }

    fn count(&mut self, child: &Node) {
        self.same += child.same;
        self.changed += child.changed;
        self.by_method += child.by_method;
        self.below += child.below + 1;
        self.depth = self.depth.max(child.depth + 1);
    }

    fn add(&mut self, name: &str, child: Node) {
        self.count(&child);
        self.parts.push((name.into(), child));
    }
}

/// Compares two values, of which one may not be there.
pub fn compare(of: &Of, old: Option<Value>, new: Option<Value>) -> Node {
    let (x, y) = (old.clone(), new.clone());
    let mut node = Node {
        of: of.clone(),
        old,
        new,
        same: 0,
        changed: 0,
        by_method: 0,
        below: 0,
        depth: 0,
        parts: Vec::new(),
        target: None,
    };
    let (Some(x), Some(y)) = (x, y) else {
        node.judge(false);
        return node;
    };
    match (of.form(), &x, &y) {
        (Form::Scalar, ..) => node.judge(scalar(&x, of) == scalar(&y, of)),
        (Form::Atom, ..) => {
            node.judge(x == y);
            node.by_method = 1;
        }
        (Form::Struct(members), ..) => {
            for member in members {
                let child = compare(&member.of, Some(member.of(of, &x)), Some(member.of(of, &y)));
                node.add(&member.name, child);
            }
        }
        (Form::Pointer(to), Value::Null, _) | (Form::Pointer(to), _, Value::Null) => {
            _ = to;
            node.judge(x == y);
        }
        (Form::Pointer(to), ..) => {
            let child = compare(&to, Some(x), Some(y));
            node.count(&child);
            node.target = Some(Box::new(child));
        }
        (Form::List(item), Value::Array(before), Value::Array(after)) => {
            let alike = |old: usize, new: usize| {
                let node = compare(&item, Some(before[old].clone()), Some(after[new].clone()));
                (node.same, node.changed)
            };
            let (mut old, mut new) = (0, 0);
            for edit in edits(before.len(), after.len(), alike) {
                let (gone, come) = (edit != Edit::Come, edit != Edit::Gone);
                let (x, y) = (gone.then(|| before[old].clone()), come.then(|| after[new].clone()));
                node.add("", compare(&item, x, y));
                old += usize::from(gone);
                new += usize::from(come);
            }
        }
        (Form::Map(item), Value::Object(before), Value::Object(after)) => {
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                node.add(key, compare(&item, before.get(key).cloned(), after.get(key).cloned()));
            }
        }
        _ => node.judge(x == y),
    }
    node
}
