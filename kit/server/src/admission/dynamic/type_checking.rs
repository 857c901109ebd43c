//! Holds the expressions of a policy against the schemas of what it is about (`status.typeChecking`). It only warns: at
//! admission the objects are of no known type.
//!
//! Sources: `apiserver/pkg/admission/plugin/policy/validating/typechecking.go`, and for the schemas
//! `apiserver/pkg/cel/openapi/resolver/{definitions,refs}.go`.

use super::expressions::{AUTHORIZER, NAMESPACE, REQUEST};
use crate::Server;
use kit_apimachinery::resource::Resource;
use kit_apimachinery::schema::{self, Type as Field};
use kit_cel::{Program, Type};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// So many types of one rule are looked at (`maxTypesToCheck`).
const MOST: usize = 10;

/// A kind by group, version and name, in the order in which warnings tell of them.
type Name<'a> = [&'a str; 3];

/// What expressions may name when they are about one kind.
struct Names<'a> {
    kind: Name<'a>,
    known: Vec<(&'static str, Type)>,
}

impl Server {
    /// What doesn't fit in the expressions of a ValidatingAdmissionPolicy: the field, and what is wrong with it for which
    /// kinds.
    pub fn type_warnings(&self, policy: &Value) -> Vec<(String, String)> {
        let spec = &policy["spec"];
        let params = spec["paramKind"].as_object().and_then(|of| {
            let text = |field: &str| of.get(field).and_then(Value::as_str).unwrap_or_default();
            self.resources()
                .find(|r| r.api_version == text("apiVersion") && r.kind == text("kind"))
                .and_then(of_resource)
        });
        let kinds = self.kinds_of(&spec["matchConstraints"]["resourceRules"]);
        let kinds = kinds.into_iter().filter_map(|(kind, resource)| Some((kind, of_resource(resource)?)));
        let all: Vec<Names<'_>> =
            kinds.map(|(kind, of)| Names::of(kind, &of, params.as_ref(), &spec["variables"])).collect();
        let mut warnings = Vec::new();
        for (index, rule) in spec["validations"].as_array().into_iter().flatten().enumerate() {
            for field in ["expression", "messageExpression"] {
                let text = rule[field].as_str().unwrap_or_default();
                if text.is_empty() && field == "messageExpression" {
                    continue;
                }
                let wrong: Vec<String> = all.iter().filter_map(|names| names.check(text)).collect();
                if !wrong.is_empty() {
                    warnings.push((format!("spec.validations[{index}].{field}"), wrong.join("\n")));
                }
            }
        }
        warnings
    }

    /// The kinds that rules name one by one: what has a `*` or is a subresource counts for nothing.
    fn kinds_of(&self, rules: &Value) -> BTreeMap<Name<'static>, &'static Resource> {
        let mut found = BTreeMap::new();
        let list = |of: &Value| -> Vec<String> {
            let mut list: Vec<String> =
                of.as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect();
            list.sort();
            list
        };
        for rule in rules.as_array().into_iter().flatten() {
            let (groups, versions) = (list(&rule["apiGroups"]), list(&rule["apiVersions"]));
            if groups.iter().chain(&versions).any(|name| name.contains('*')) {
                continue;
            }
            let resources: Vec<String> =
                list(&rule["resources"]).into_iter().filter(|name| !name.contains(['*', '/'])).collect();
            let mut count = 0;
            for (group, version, plural) in groups.iter().flat_map(|group| {
                let resources = &resources;
                versions.iter().flat_map(move |version| resources.iter().map(move |plural| (group, version, plural)))
            }) {
                // Without a group a REST mapper looks in all of them.
                let is = |r: &&Resource| {
                    (group.is_empty() || r.group == *group)
                        && r.version == *version
                        && (r.plural == *plural || r.singular == *plural)
                };
                for resource in self.resources().filter(is) {
                    found.insert([&*resource.group, &*resource.version, &*resource.kind], resource);
                    count += 1;
                    if count == MOST {
                        return found;
                    }
                }
            }
        }
        found
    }
}

impl<'a> Names<'a> {
    fn of(kind: Name<'a>, object: &Type, params: Option<&Type>, variables: &Value) -> Names<'a> {
        let known = vec![
            ("object", object.clone()),
            ("oldObject", object.clone()),
            ("request", REQUEST.clone()),
            ("namespaceObject", NAMESPACE.clone()),
            ("authorizer", AUTHORIZER),
        ];
        let mut names = Names { kind, known };
        names.known.extend(params.map(|of| ("params", of.clone())));
        // A variable may use those before it.
        let mut fields: Vec<(String, Type)> = Vec::new();
        names.known.push(("variables", Type::object([])));
        for variable in variables.as_array().into_iter().flatten() {
            let text = |field: &str| variable[field].as_str().unwrap_or_default();
            let program = Program::compile(text("expression"), &names.known);
            fields.push((text("name").into(), program.map_or(Type::Dyn, |program| program.result.of_variable())));
            names.known.pop();
            names.known.push(("variables", Type::object(fields.iter().cloned())));
        }
        names
    }

    /// What is wrong with an expression about this kind.
    fn check(&self, text: &str) -> Option<String> {
        let why = Program::compile(text, &self.known).err()?;
        let [group, version, kind] = self.kind;
        Some(format!("{group}/{version}, Kind={kind}: {why}\n"))
    }
}

/// The type of a resource's objects; nothing if they have no schema.
fn of_resource(resource: &Resource) -> Option<Type> {
    let builtin = |of: Option<Field>| of.and_then(|of| as_schema(of, &mut Vec::new()));
    let schema = match &resource.definition {
        None => builtin(schema::of_version(&resource.api_version, &resource.kind))?,
        Some(definition) => {
            let mut schema = definition.schema.clone();
            let fields = schema.as_object_mut()?.entry("properties").or_insert_with(|| json!({}));
            fields["apiVersion"] = json!({"type": "string"});
            fields["kind"] = json!({"type": "string"});
            fields["metadata"] = builtin(schema::named("meta.ObjectMeta"))?;
            schema
        }
    };
    Type::of_schema(&schema, false)
}

/// A built-in type as its published schema has it. Quantities are `oneOf` there, and so no expression can name them.
fn as_schema(of: Field, within: &mut Vec<usize>) -> Option<Value> {
    Some(match of.plain() {
        Field::String => json!({"type": "string"}),
        Field::Bool => json!({"type": "boolean"}),
        Field::Int32 | Field::Int64 => json!({"type": "integer"}),
        Field::Float64 => json!({"type": "number"}),
        Field::Bytes => json!({"type": "string", "format": "byte"}),
        Field::Time | Field::MicroTime => json!({"type": "string", "format": "date-time"}),
        Field::IntOrString => json!({"x-kubernetes-int-or-string": true}),
        Field::Raw => json!({"type": "object"}),
        Field::List(of) => json!({"type": "array", "items": as_schema(*of, within)?}),
        Field::Map(of) => json!({"type": "object", "additionalProperties": as_schema(*of, within)?}),
        // What is in itself is told of only once.
        Field::Struct(place) if within.contains(&place) => json!({"type": "object"}),
        Field::Struct(place) => {
            within.push(place);
            let fields = of.structure().into_iter().flat_map(|of| &of.fields);
            let fields: Map<String, Value> =
                fields.filter_map(|field| Some((field.json.into(), as_schema(field.of, within)?))).collect();
            within.pop();
            json!({"type": "object", "properties": fields})
        }
        Field::Quantity | Field::Pointer(_) | Field::Alias(..) => return None,
    })
}
