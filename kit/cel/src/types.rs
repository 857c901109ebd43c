//! Types, as far as they are known before anything is evaluated, and the signatures of all functions.
//!
//! Sources: `common/stdlib/standard.go` and `ext/*.go` of cel-go; `apiserver/pkg/cel/library/*.go` for what Kubernetes adds,
//! and `apiserver/pkg/cel/environment/base.go` for what new expressions may use in 1.33: what 1.32 knew, and no
//! selectors of fields and labels for authorizers.

use crate::schema::escape;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// What is known of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Nothing.
    Dyn,
    /// One of the simple types, or one of Kubernetes' own, by its name.
    Plain(&'static str),
    /// A list of these.
    List(Arc<Type>),
    /// A map of these by those.
    Map(Arc<Type>, Arc<Type>),
    /// One that may be missing.
    Optional(Arc<Type>),
    /// A type as a value.
    Of(Arc<Type>),
    /// An object with known fields.
    Object(Arc<BTreeMap<String, Type>>),
    /// Any type, but the same one in the whole signature.
    Param(char),
}

/// Null.
pub const NULL: Type = Type::Plain("null_type");
/// True or false.
pub const BOOL: Type = Type::Plain("bool");
pub const INT: Type = Type::Plain("int");
pub const UINT: Type = Type::Plain("uint");
pub const DOUBLE: Type = Type::Plain("double");
/// A text.
pub const STRING: Type = Type::Plain("string");
pub const BYTES: Type = Type::Plain("bytes");
const TIMESTAMP: Type = Type::Plain("google.protobuf.Timestamp");
const DURATION: Type = Type::Plain("google.protobuf.Duration");

impl Type {
    /// A list of these.
    pub fn list(self) -> Type {
        Type::List(Arc::new(self))
    }

    /// A map of these by texts.
    pub fn map(self) -> Type {
        Type::Map(Arc::new(STRING), Arc::new(self))
    }

    /// This, if it is there.
    pub fn optional(self) -> Type {
        Type::Optional(Arc::new(self))
    }

    /// An object with these fields.
    pub fn object(fields: impl IntoIterator<Item = (String, Type)>) -> Type {
        Type::Object(Arc::new(fields.into_iter().collect()))
    }

    /// What a schema says of a value; nothing if it can't be looked into (`SchemaDeclType` of
    /// `apiserver/pkg/cel/common/schemas.go`). A resource has the fields that all have.
    pub fn of_schema(schema: &Json, resource: bool) -> Option<Type> {
        Type::read(schema, resource, escape)
    }

    /// The same of a type of Kubernetes itself, whose fields are written as they are.
    pub fn of_kind(schema: &Json) -> Option<Type> {
        Type::read(schema, false, |name| Some(name.into()))
    }

    fn read(schema: &Json, resource: bool, written: fn(&str) -> Option<String>) -> Option<Type> {
        if schema["x-kubernetes-int-or-string"] == true {
            return Some(Type::Dyn);
        }
        let known = |schema: &Json| Type::read(schema, schema["x-kubernetes-embedded-resource"] == true, written);
        Some(match (schema["type"].as_str()?, schema["format"].as_str().unwrap_or_default()) {
            ("array", _) => known(schema.get("items")?)?.list(),
            ("object", _) if schema["additionalProperties"].is_object() => {
                known(&schema["additionalProperties"])?.map()
            }
            ("object", _) => {
                let properties = schema["properties"].as_object().into_iter().flatten();
                let fields = properties.filter_map(|(name, of)| Some((written(name)?, known(of)?)));
                let mut fields: BTreeMap<String, Type> = fields.collect();
                if resource {
                    let names = ["name", "generateName"].map(|name| (name.to_string(), STRING));
                    fields.insert("apiVersion".into(), STRING);
                    fields.insert("kind".into(), STRING);
                    fields.insert("metadata".into(), Type::object(names));
                }
                Type::Object(Arc::new(fields))
            }
            ("string", "byte") => BYTES,
            ("string", "date" | "date-time") => TIMESTAMP,
            ("string", "duration") => DURATION,
            ("string", _) => STRING,
            ("boolean", _) => BOOL,
            ("number", _) => DOUBLE,
            ("integer", _) => INT,
            _ => return None,
        })
    }

    /// Whether a value of this type may stand where one of `wanted` must; what `wanted` leaves open is bound then.
    pub fn fits(&self, wanted: &Type, bound: &mut BTreeMap<char, Type>) -> bool {
        match (self, wanted) {
            (_, Type::Param(name)) => match bound.get(name).cloned() {
                Some(Type::Dyn) => true,
                Some(there) => self.fits(&there, bound),
                None => {
                    bound.insert(*name, self.clone());
                    true
                }
            },
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::Plain("null_type"), Type::Object(_) | Type::Optional(_)) => true,
            (Type::Plain("null_type"), Type::Plain(name)) => *name == "null_type" || name.contains('.'),
            (Type::Object(_), Type::Plain("null_type")) => true,
            (Type::List(one), Type::List(other)) | (Type::Optional(one), Type::Optional(other)) => {
                one.fits(other, bound)
            }
            (Type::Map(key, value), Type::Map(wanted_key, wanted_value)) => {
                key.fits(wanted_key, bound) && value.fits(wanted_value, bound)
            }
            // An object is a map to functions that take any.
            (Type::Of(_), Type::Of(_)) => true,
            (one, other) => one == other,
        }
    }

    /// What is known of a variable that stands for an expression of this type (`convertCelTypeToDeclType` of
    /// `apiserver/pkg/admission/plugin/cel/composition.go`): nothing of objects and of the kinds that Kubernetes adds.
    pub fn of_variable(&self) -> Type {
        match self {
            Type::Plain(name) if !name.contains('.') || *self == TIMESTAMP || *self == DURATION => self.clone(),
            Type::List(of) => of.of_variable().list(),
            Type::Map(key, value) => Type::Map(Arc::new(key.of_variable()), Arc::new(value.of_variable())),
            _ => Type::Dyn,
        }
    }

    /// The type with what was left open put in.
    pub fn filled(&self, bound: &BTreeMap<char, Type>) -> Type {
        match self {
            Type::Param(name) => bound.get(name).cloned().unwrap_or(Type::Dyn),
            Type::List(of) => of.filled(bound).list(),
            Type::Optional(of) => of.filled(bound).optional(),
            Type::Map(key, value) => Type::Map(Arc::new(key.filled(bound)), Arc::new(value.filled(bound))),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Plain("null_type") => f.write_str("null"),
            Type::Plain(name) => f.write_str(name.strip_prefix("google.protobuf.").map_or(name, |name| match name {
                "Timestamp" => "timestamp",
                _ => "duration",
            })),
            Type::List(of) => write!(f, "list({of})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Of(of) => write!(f, "type({of})"),
            Type::Object(_) => f.write_str("object"),
            Type::Param(name) => write!(f, "{name}"),
        }
    }
}

/// One way to call a function.
#[derive(Debug)]
pub struct Signature {
    /// Whether the first argument stands before the dot.
    pub member: bool,
    pub args: Vec<Type>,
    pub result: Type,
}

/// The ways to call each function: `receiver.name(arguments) result` or `name(arguments) result`. Capital letters are any
/// type; lists and maps are written `[A]` and `{K:V}`, what may be missing `?A`, types as values `=A`.
const FUNCTIONS: &str = "
_+_(int,int) int; _+_(uint,uint) uint; _+_(double,double) double; _+_(string,string) string; _+_(bytes,bytes) bytes
_+_([A],[A]) [A]; _+_(timestamp,duration) timestamp; _+_(duration,timestamp) timestamp; _+_(duration,duration) duration
_-_(int,int) int; _-_(uint,uint) uint; _-_(double,double) double; _-_(timestamp,timestamp) duration
_-_(timestamp,duration) timestamp; _-_(duration,duration) duration
_*_(int,int) int; _*_(uint,uint) uint; _*_(double,double) double
_/_(int,int) int; _/_(uint,uint) uint; _/_(double,double) double
_%_(int,int) int; _%_(uint,uint) uint
-_(int) int; -_(double) double; -_(duration) duration; !_(bool) bool
_==_(A,A) bool; _!=_(A,A) bool
_<_(N,M) bool; _<=_(N,M) bool; _>_(N,M) bool; _>=_(N,M) bool
@in(A,[A]) bool; @in(A,{A:B}) bool
_[_]([A],int) A; _[_]({A:B},A) B
size(string) int; size(bytes) int; size([A]) int; size({A:B}) int
string.size() int; bytes.size() int; [A].size() int; {A:B}.size() int
type(A) =A; dyn(A) dyn
int(int) int; int(uint) int; int(double) int; int(string) int; int(timestamp) int; int(duration) int
uint(uint) uint; uint(int) uint; uint(double) uint; uint(string) uint
double(double) double; double(int) double; double(uint) double; double(string) double
bool(bool) bool; bool(string) bool; bytes(bytes) bytes; bytes(string) bytes
string(string) string; string(int) string; string(uint) string; string(double) string; string(bool) string
string(bytes) string; string(timestamp) string; string(duration) string; string(IP) string; string(CIDR) string
timestamp(string) timestamp; timestamp(int) timestamp; timestamp(timestamp) timestamp
duration(string) duration; duration(int) duration; duration(duration) duration
string.contains(string) bool; string.startsWith(string) bool; string.endsWith(string) bool
string.matches(string) bool; matches(string,string) bool
timestamp.getFullYear() int; timestamp.getFullYear(string) int; timestamp.getMonth() int; timestamp.getMonth(string) int
timestamp.getDate() int; timestamp.getDate(string) int; timestamp.getDayOfMonth() int
timestamp.getDayOfMonth(string) int; timestamp.getDayOfWeek() int; timestamp.getDayOfWeek(string) int
timestamp.getDayOfYear() int; timestamp.getDayOfYear(string) int
timestamp.getHours() int; timestamp.getHours(string) int; timestamp.getMinutes() int; timestamp.getMinutes(string) int
timestamp.getSeconds() int; timestamp.getSeconds(string) int; timestamp.getMilliseconds() int
timestamp.getMilliseconds(string) int
duration.getHours() int; duration.getMinutes() int; duration.getSeconds() int; duration.getMilliseconds() int
string.charAt(int) string; string.indexOf(string) int; string.indexOf(string,int) int; string.lastIndexOf(string) int
string.lastIndexOf(string,int) int; string.lowerAscii() string; string.upperAscii() string; string.trim() string
string.replace(string,string) string; string.replace(string,string,int) string; string.split(string) [string]
string.split(string,int) [string]; string.substring(int) string; string.substring(int,int) string
string.format([dyn]) string; strings.quote(string) string
[string].join() string; [string].join(string) string
[A].isSorted() bool; [A].sum() A; [A].min() A; [A].max() A; [A].indexOf(A) int; [A].lastIndexOf(A) int
string.find(string) string; string.findAll(string) [string]; string.findAll(string,int) [string]
sets.contains([A],[A]) bool; sets.equivalent([A],[A]) bool; sets.intersects([A],[A]) bool
optional.of(A) ?A; optional.ofNonZeroValue(A) ?A; optional.none() ?A
?A.hasValue() bool; ?A.value() A; ?A.or(?A) ?A; ?A.orValue(A) A; _[_](?A,B) ?dyn
url(string) URL; isURL(string) bool; URL.getScheme() string; URL.getHost() string; URL.getHostname() string
URL.getPort() string; URL.getEscapedPath() string; URL.getQuery() {string:[string]}
quantity(string) Quantity; isQuantity(string) bool; Quantity.isInteger() bool; Quantity.asInteger() int
Quantity.asApproximateFloat() double; Quantity.sign() int; Quantity.add(Quantity) Quantity; Quantity.add(int) Quantity
Quantity.sub(Quantity) Quantity; Quantity.sub(int) Quantity; Quantity.isLessThan(Quantity) bool
Quantity.isGreaterThan(Quantity) bool; Quantity.compareTo(Quantity) int
ip(string) IP; isIP(string) bool; ip.isCanonical(string) bool; IP.family() int; IP.isUnspecified() bool
IP.isLoopback() bool; IP.isLinkLocalMulticast() bool; IP.isLinkLocalUnicast() bool; IP.isGlobalUnicast() bool
cidr(string) CIDR; isCIDR(string) bool; CIDR.containsIP(string) bool; CIDR.containsIP(IP) bool
CIDR.containsCIDR(string) bool; CIDR.containsCIDR(CIDR) bool; CIDR.ip() IP; CIDR.masked() CIDR; CIDR.prefixLength() int
format.named(string) ?Format; Format.validate(string) ?[string]
format.dns1123Label() Format; format.dns1123Subdomain() Format; format.dns1035Label() Format
format.qualifiedName() Format; format.dns1123LabelPrefix() Format; format.dns1123SubdomainPrefix() Format
format.dns1035LabelPrefix() Format; format.labelValue() Format; format.uri() Format; format.uuid() Format
format.byte() Format; format.date() Format; format.datetime() Format
Authorizer.path(string) PathCheck; Authorizer.group(string) GroupCheck; Authorizer.serviceAccount(string,string) Authorizer
PathCheck.check(string) Decision; GroupCheck.resource(string) ResourceCheck; ResourceCheck.subresource(string) ResourceCheck
ResourceCheck.namespace(string) ResourceCheck; ResourceCheck.name(string) ResourceCheck; ResourceCheck.check(string) Decision
Decision.allowed() bool; Decision.reason() string; Decision.errored() bool; Decision.error() string
";

/// Types that are values, by their names in expressions.
pub fn named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => BOOL,
        "int" => INT,
        "uint" => UINT,
        "double" => DOUBLE,
        "string" => STRING,
        "bytes" => BYTES,
        "null_type" => NULL,
        "list" => Type::Dyn.list(),
        "map" => Type::Map(Arc::new(Type::Dyn), Arc::new(Type::Dyn)),
        "timestamp" | "google.protobuf.Timestamp" => TIMESTAMP,
        "duration" | "google.protobuf.Duration" => DURATION,
        "type" => Type::Of(Arc::new(Type::Dyn)),
        "net.IP" => Type::Plain("net.IP"),
        "net.CIDR" => Type::Plain("net.CIDR"),
        "kubernetes.Quantity" => Type::Plain("kubernetes.Quantity"),
        "kubernetes.URL" => Type::Plain("kubernetes.URL"),
        _ => return None,
    })
}

fn read_type(text: &str) -> Type {
    let inner = |text: &str, end: char| text[1..].strip_suffix(end).unwrap_or_default().to_string();
    match text {
        "dyn" => Type::Dyn,
        "IP" => Type::Plain("net.IP"),
        "CIDR" => Type::Plain("net.CIDR"),
        "URL" => Type::Plain("kubernetes.URL"),
        "Quantity" => Type::Plain("kubernetes.Quantity"),
        "Format" => Type::Plain("kubernetes.NamedFormat"),
        "Authorizer" => Type::Plain("kubernetes.authorization.Authorizer"),
        "PathCheck" => Type::Plain("kubernetes.authorization.PathCheck"),
        "GroupCheck" => Type::Plain("kubernetes.authorization.GroupCheck"),
        "ResourceCheck" => Type::Plain("kubernetes.authorization.ResourceCheck"),
        "Decision" => Type::Plain("kubernetes.authorization.Decision"),
        _ if text.starts_with('[') => read_type(&inner(text, ']')).list(),
        _ if text.starts_with('?') => read_type(&text[1..]).optional(),
        _ if text.starts_with('=') => Type::Of(Arc::new(read_type(&text[1..]))),
        _ if text.starts_with('{') => {
            let inner = inner(text, '}');
            let (key, value) = inner.split_once(':').unwrap_or_default();
            Type::Map(Arc::new(read_type(key)), Arc::new(read_type(value)))
        }
        _ if text.len() == 1 => Type::Param(text.chars().next().unwrap_or('A')),
        name => named(name).unwrap_or(Type::Dyn),
    }
}

static TABLE: LazyLock<BTreeMap<String, Vec<Signature>>> = LazyLock::new(|| {
    let mut table: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
    for line in FUNCTIONS.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
        let (head, result) = line.rsplit_once(' ').unwrap_or_default();
        let (name, args) = head.strip_suffix(')').and_then(|head| head.rsplit_once('(')).unwrap_or_default();
        // What begins small and is no type is a name space.
        let spaces = ["strings", "sets", "optional", "ip", "format"];
        let receiver = name.split_once('.').filter(|(of, _)| !spaces.contains(of));
        let args = args.split(',').filter(|arg| !arg.is_empty()).map(read_type);
        let args = receiver.map(|(of, _)| read_type(of)).into_iter().chain(args).collect();
        let name = receiver.map_or(name, |(_, name)| name);
        let signature = Signature { member: receiver.is_some(), args, result: read_type(result) };
        table.entry(name.into()).or_default().push(signature);
    }
    table
});

/// The ways to call a function.
pub fn signatures(name: &str) -> Option<&'static [Signature]> {
    TABLE.get(name).map(Vec::as_slice)
}

/// Whether a name, with its name space, is that of a function.
pub fn is_function(name: &str) -> bool {
    TABLE.contains_key(name)
}
