//! From a Rust type to the schema of its JSON, by the rules of serde's derive.
//!
//! Source: <https://serde.rs/attributes.html> and <https://serde.rs/json.html>.

use super::source::{Place, Sources, described};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::path::Path;
use syn::{Attribute, Fields, GenericArgument, Item, ItemEnum, ItemStruct, LitStr, PathArguments, Type, Variant};

/// Kubernetes' own definitions, which are not repeated here.
const OPENAPI: &str = "https://github.com/kubernetes/kubernetes/blob/v1.33.0/api/openapi-spec/swagger.json";

/// The definition that every question and every answer refers to.
pub const ID: &str = "id";

/// Collects the definitions that schemas refer to.
pub struct Types<'a> {
    sources: &'a Sources,
    /// `$defs`, by name.
    pub definitions: Map<String, Value>,
}

/// What `#[serde(…)]` says.
#[derive(Default)]
struct Serde {
    rename: Option<String>,
    rename_all: Option<String>,
    /// What it is read as.
    from: Option<Type>,
    default: bool,
    deny_unknown_fields: bool,
    transparent: bool,
    flatten: bool,
    skip: bool,
    untagged: bool,
}

impl<'a> Types<'a> {
    pub fn new(sources: &'a Sources) -> Self {
        let id = json!({"type": "integer", "minimum": 0, "description": "Counts up from 0; an answer carries the number of its question."});
        Types { sources, definitions: Map::from_iter([(ID.to_string(), id)]) }
    }

    /// The schema of a type that is written in `file`.
    pub fn schema(&mut self, ty: &Type, file: &Path) -> Result<Value> {
        let path = match ty {
            Type::Reference(ty) => return self.schema(&ty.elem, file),
            Type::Slice(ty) => return self.list(&ty.elem, file),
            Type::Tuple(ty) if ty.elems.is_empty() => return Ok(json!({"type": "null"})),
            Type::Tuple(ty) => {
                let items = ty.elems.iter().map(|ty| self.schema(ty, file)).collect::<Result<Vec<_>>>()?;
                return Ok(
                    json!({"type": "array", "prefixItems": items, "minItems": items.len(), "maxItems": items.len()}),
                );
            }
            Type::Path(ty) => &ty.path,
            _ => bail!("{}: no rule for a type like this one", file.display()),
        };
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let last = path.segments.last().context("a type has a name")?;
        let inner: Vec<&Type> = match &last.arguments {
            PathArguments::AngleBracketed(arguments) => arguments
                .args
                .iter()
                .filter_map(|a| if let GenericArgument::Type(ty) = a { Some(ty) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        Ok(match (last.ident.to_string().as_str(), &inner[..]) {
            ("String" | "str", []) => json!({"type": "string"}),
            ("IpAddr", []) => {
                json!({"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]})
            }
            ("Ipv4Addr", []) => json!({"type": "string", "format": "ipv4"}),
            ("Ipv6Addr", []) => json!({"type": "string", "format": "ipv6"}),
            ("bool", []) => json!({"type": "boolean"}),
            ("u8" | "u16" | "u32" | "u64" | "usize", []) => json!({"type": "integer", "minimum": 0}),
            ("i8" | "i16" | "i32" | "i64" | "isize", []) => json!({"type": "integer"}),
            ("f32" | "f64", []) => json!({"type": "number"}),
            ("Box" | "Rc" | "Arc" | "Cow", [ty]) => self.schema(ty, file)?,
            ("Option", [ty]) => json!({"anyOf": [self.schema(ty, file)?, {"type": "null"}]}),
            ("Vec" | "VecDeque" | "BTreeSet" | "HashSet", [ty]) => self.list(ty, file)?,
            ("BTreeMap" | "HashMap", [_, ty]) => {
                json!({"type": "object", "additionalProperties": self.schema(ty, file)?})
            }
            ("Result", [ok, error]) => {
                let (ok, error) = (self.schema(ok, file)?, self.schema(error, file)?);
                json!({"oneOf": [tagged("Ok", ok), tagged("Err", error)]})
            }
            ("Value", []) => json!({"description": "Any JSON."}),
            (_, []) => self.reference(&names, file)?,
            (name, _) => bail!("{}: no rule for {name}<…>", file.display()),
        })
    }

    fn list(&mut self, ty: &Type, file: &Path) -> Result<Value> {
        Ok(json!({"type": "array", "items": self.schema(ty, file)?}))
    }

    /// A `$ref` to the definition of a type with a name, which is made if it is not there yet.
    fn reference(&mut self, path: &[String], file: &Path) -> Result<Value> {
        let sources = self.sources;
        let (name, definition) = match sources.find(path, file)? {
            Place::Kubernetes(name) => {
                let definition = kubernetes(&name);
                (name, definition)
            }
            // An alias is only another word.
            Place::Kit(Item::Type(item), file) => return self.schema(&item.ty, file),
            Place::Kit(item, file) => {
                let (Item::Struct(ItemStruct { ident, .. }) | Item::Enum(ItemEnum { ident, .. })) = item else {
                    bail!("{} is no type", path.join("::"));
                };
                let name = ident.to_string();
                if !self.definitions.contains_key(&name) {
                    // A type may hold itself.
                    self.definitions.insert(name.clone(), Value::Null);
                    let definition = match item {
                        Item::Struct(item) => self.structure(item, file),
                        Item::Enum(item) => self.enumeration(item, file),
                        _ => bail!("{name} is no type"),
                    };
                    let definition = definition.with_context(|| format!("{}: {name}", file.display()))?;
                    self.definitions.insert(name.clone(), definition);
                }
                return Ok(json!({"$ref": format!("#/$defs/{name}")}));
            }
        };
        self.definitions.insert(name.clone(), definition);
        Ok(json!({"$ref": format!("#/$defs/{name}")}))
    }

    fn structure(&mut self, item: &ItemStruct, file: &Path) -> Result<Value> {
        let serde = Serde::of(&item.attrs)?;
        let read_from = serde.from.clone().or_else(|| self.sources.read_from(&item.ident.to_string(), file));
        let schema = match (&item.fields, read_from) {
            (_, Some(ty)) => self.schema(&ty, file)?,
            (Fields::Unit, _) => json!({"type": "null"}),
            (Fields::Unnamed(fields), _) if fields.unnamed.len() == 1 => self.schema(&fields.unnamed[0].ty, file)?,
            (Fields::Named(fields), _) if serde.transparent && fields.named.len() == 1 => {
                self.schema(&fields.named[0].ty, file)?
            }
            (fields, _) => self.fields(fields, &serde, file)?,
        };
        Ok(with_description(schema, described(&item.attrs)))
    }

    /// The object, or for a tuple the array, that fields make.
    fn fields(&mut self, fields: &Fields, of: &Serde, file: &Path) -> Result<Value> {
        if let Fields::Unnamed(fields) = fields {
            let items = fields.unnamed.iter().map(|f| self.schema(&f.ty, file)).collect::<Result<Vec<_>>>()?;
            return Ok(
                json!({"type": "array", "prefixItems": items, "minItems": items.len(), "maxItems": items.len()}),
            );
        }
        let (mut properties, mut required, mut flattened) = (Map::new(), Vec::new(), Vec::new());
        for field in fields {
            let serde = Serde::of(&field.attrs)?;
            if serde.skip {
                continue;
            }
            let schema = self.schema(serde.from.as_ref().unwrap_or(&field.ty), file)?;
            if serde.flatten {
                flattened.push(schema);
                continue;
            }
            let name = field.ident.as_ref().context("a field has a name")?.to_string();
            let name = serde.rename.unwrap_or_else(|| renamed(&name, of.rename_all.as_deref()));
            let is_option =
                matches!(&field.ty, Type::Path(ty) if ty.path.segments.last().is_some_and(|s| s.ident == "Option"));
            if !(serde.default || of.default || is_option) {
                required.push(name.clone());
            }
            properties.insert(name, with_description(schema, described(&field.attrs)));
        }
        let mut object = json!({"type": "object", "properties": properties, "required": required});
        if of.deny_unknown_fields {
            object["additionalProperties"] = json!(false);
        }
        if !flattened.is_empty() {
            object["allOf"] = json!(flattened);
        }
        Ok(object)
    }

    fn enumeration(&mut self, item: &ItemEnum, file: &Path) -> Result<Value> {
        let serde = Serde::of(&item.attrs)?;
        let read_from = serde.from.clone().or_else(|| self.sources.read_from(&item.ident.to_string(), file));
        if let Some(ty) = read_from {
            return Ok(with_description(self.schema(&ty, file)?, described(&item.attrs)));
        }
        let variants = item.variants.iter().map(|variant| self.variant(variant, &serde, file));
        let schema = json!({"oneOf": variants.collect::<Result<Vec<_>>>()?});
        Ok(with_description(schema, described(&item.attrs)))
    }

    fn variant(&mut self, variant: &Variant, of: &Serde, file: &Path) -> Result<Value> {
        let serde = Serde::of(&variant.attrs)?;
        let name = match &of.rename_all {
            _ if serde.rename.is_some() => serde.rename.clone().unwrap_or_default(),
            Some(rule) => renamed(&snake_case(&variant.ident.to_string()), Some(rule)),
            None => variant.ident.to_string(),
        };
        let schema = match &variant.fields {
            Fields::Unit => json!({"const": name}),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let schema = self.schema(&fields.unnamed[0].ty, file)?;
                if of.untagged { schema } else { tagged(&name, schema) }
            }
            _ if of.untagged => bail!("{}: no rule for untagged {name}", file.display()),
            // An enum's `deny_unknown_fields` holds for its variants, too; its `rename_all` does not.
            fields => {
                let of = Serde {
                    deny_unknown_fields: of.deny_unknown_fields,
                    rename_all: serde.rename_all,
                    ..Serde::default()
                };
                tagged(&name, self.fields(fields, &of, file)?)
            }
        };
        Ok(with_description(schema, described(&variant.attrs)))
    }
}

impl Serde {
    fn of(attributes: &[Attribute]) -> Result<Serde> {
        let mut serde = Serde::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let text = match meta.value() {
                    Ok(value) => Some(value.parse::<LitStr>()?),
                    Err(_) => None,
                };
                let value = text.as_ref().map(LitStr::value);
                match name.as_str() {
                    "rename" => serde.rename = value,
                    "rename_all" => serde.rename_all = value,
                    "from" | "try_from" => serde.from = text.map(|text| text.parse()).transpose()?,
                    "default" => serde.default = true,
                    "deny_unknown_fields" => serde.deny_unknown_fields = true,
                    "transparent" => serde.transparent = true,
                    "flatten" => serde.flatten = true,
                    "skip" => serde.skip = true,
                    "untagged" => serde.untagged = true,
                    // These change nothing about what may be written.
                    "into" | "skip_serializing_if" | "borrow" => {}
                    other => return Err(meta.error(format!("no rule for #[serde({other})]"))),
                }
                Ok(())
            })?;
        }
        Ok(serde)
    }
}

/// What Kubernetes defines: most of it is an object, and the API server documents which.
fn kubernetes(name: &str) -> Value {
    let kind = match name.rsplit('.').next().unwrap_or_default() {
        "Time" | "MicroTime" | "Quantity" => json!("string"),
        "IntOrString" => json!(["integer", "string"]),
        _ => json!("object"),
    };
    let says = format!("As Kubernetes 1.33 defines it: `{name}` in {OPENAPI}");
    json!({"description": says, "type": kind})
}

fn tagged(name: &str, schema: Value) -> Value {
    let properties = Map::from_iter([(name.to_string(), schema)]);
    json!({"type": "object", "properties": properties, "required": [name], "additionalProperties": false})
}

fn with_description(mut schema: Value, says: Option<String>) -> Value {
    if let (Value::Object(fields), Some(says)) = (&mut schema, says) {
        fields.insert("description".into(), says.into());
    }
    schema
}

/// serde's `rename_all`, from a field's name.
fn renamed(name: &str, rule: Option<&str>) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    let words: Vec<&str> = name.split('_').collect();
    let pascal = || words.iter().map(|word| capital(word)).collect::<String>();
    match rule {
        Some("camelCase") => words[0].to_string() + &words[1..].iter().map(|word| capital(word)).collect::<String>(),
        Some("PascalCase") => pascal(),
        Some("kebab-case") => words.join("-"),
        Some("lowercase") => words.concat(),
        Some("UPPERCASE") => words.concat().to_uppercase(),
        Some("SCREAMING_SNAKE_CASE") => name.to_uppercase(),
        _ => name.to_string(),
    }
}

/// A variant's name as a field's: `NotStarted` → `not_started`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (i, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
