//! The kinds of values that Kubernetes adds: addresses, networks, quantities, URLs and formats of names.
//!
//! Sources: `apiserver/pkg/cel/library/{ip,cidr,quantity,urls,format}.go`, `apiserver/pkg/cel/format.go`.

use crate::value::{Failure, NO_OVERLOAD, Value};
use kit_api::{Quantity, name};
use std::net::IpAddr;
use std::rc::Rc;

/// A value of one of these kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// An address.
    Ip(IpAddr),
    /// A network: an address and the length of its prefix.
    Cidr(IpAddr, u8),
    /// A quantity.
    Quantity(Quantity),
    /// A URL.
    Url(Url),
    /// A format of names.
    Format(&'static str),
}

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: String,
    path: String,
    query: String,
}

/// The formats that have names.
const FORMATS: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

impl Kind {
    /// The name of its type.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Ip(_) => "net.IP",
            Kind::Cidr(..) => "net.CIDR",
            Kind::Quantity(_) => "kubernetes.Quantity",
            Kind::Url(_) => "kubernetes.URL",
            Kind::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// As a text.
    pub fn text(&self) -> Option<String> {
        match self {
            Kind::Ip(address) => Some(address.to_string()),
            Kind::Cidr(address, length) => Some(format!("{address}/{length}")),
            _ => None,
        }
    }
}

fn value<'a>(kind: Kind) -> Value<'a> {
    Value::Kind(Rc::new(kind))
}

fn ip(text: &str) -> Result<IpAddr, Failure> {
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        )
    })?;
    match address {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        address => Ok(address),
    }
}

fn cidr(text: &str) -> Result<(IpAddr, u8), Failure> {
    let wrong = |why: &str| {
        format!("network address parse error during conversion from string: netip.ParsePrefix({text:?}): {why}")
    };
    let (address, length) = text.split_once('/').ok_or_else(|| wrong("no '/'"))?;
    let address: IpAddr = address.parse().map_err(|_| wrong("unable to parse IP"))?;
    if matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()) {
        return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
    }
    let plain = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length: u8 = length.parse().ok().filter(|_| plain).ok_or_else(|| wrong("bad bits after slash"))?;
    if length > bits(address) {
        return Err(wrong("prefix length out of range"));
    }
    Ok((address, length))
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The number of an address with only the first bits kept.
fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(four) & mask).into())
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(six) & mask).into())
        }
    }
}

fn contains((network, length): (IpAddr, u8), address: IpAddr) -> bool {
    network.is_ipv4() == address.is_ipv4() && masked(network, length) == masked(address, length)
}

/// What a URL is made of; it is absolute, or a path from the root (`url.ParseRequestURI`).
fn url(text: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| format!("URL parse error during conversion from string: parse {text:?}: {why}");
    if text.is_empty() {
        return Err(wrong("empty url"));
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err(wrong("net/url: invalid control character in URL"));
    }
    let scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let (scheme, rest) = match text.split_once(':') {
        Some((head, rest)) if head.starts_with(|c: char| c.is_ascii_alphabetic()) && head.chars().all(scheme) => {
            (head.to_lowercase(), rest)
        }
        _ => (String::new(), text),
    };
    if scheme.is_empty() && !rest.starts_with('/') {
        return Err(wrong("invalid URI for request"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
        None => ("", rest),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if host.contains(' ') {
        return Err(wrong("invalid character \" \" in host name"));
    }
    Ok(Url { scheme, host: host.into(), path: path.replace(' ', "%20"), query: query.into() })
}

impl Url {
    fn host_and_port(&self) -> (&str, &str) {
        match (self.host.strip_prefix('['), self.host.rsplit_once(':')) {
            (Some(inner), _) => match inner.split_once(']') {
                Some((host, port)) => (host, port.trim_start_matches(':')),
                None => (inner, ""),
            },
            (None, Some((host, port))) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
            _ => (&self.host, ""),
        }
    }

    fn queries<'a>(&self) -> Value<'a> {
        let mut found: Vec<(Value<'a>, Vec<Value<'a>>)> = Vec::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, of) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, of) = (Value::text(unescaped(name)), Value::text(unescaped(of)));
            match found.iter_mut().find(|(there, _)| there.is(&name)) {
                Some((_, all)) => all.push(of),
                None => found.push((name, vec![of])),
            }
        }
        let entries = found.into_iter().map(|(name, all)| (name, Value::list(all))).collect();
        Value::Map(crate::value::Map::New(Rc::new(entries)))
    }
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let text = String::from_utf8_lossy(&digits).into_owned();
                out.push(u8::from_str_radix(&text, 16).unwrap_or(b'%'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn quantity(text: &str) -> Result<Quantity, Failure> {
    text.parse::<Quantity>().map_err(|why| why.to_string())
}

/// What is wrong with a text of a format.
fn problems(format: &str, text: &str) -> Vec<String> {
    let simple = |fits: bool, why: &str| if fits { Vec::new() } else { vec![why.to_string()] };
    let prefix = text.strip_suffix('-').map_or(text.to_string(), |head| format!("{head}a"));
    match format {
        "dns1123Label" => name::dns1123_label(text),
        "dns1123Subdomain" => name::dns1123_subdomain(text),
        "dns1035Label" => name::dns1035_label(text),
        "qualifiedName" => name::qualified_name(text),
        "dns1123LabelPrefix" => name::dns1123_label(&prefix),
        "dns1123SubdomainPrefix" => name::dns1123_subdomain(&prefix),
        "dns1035LabelPrefix" => name::dns1035_label(&prefix),
        "labelValue" => name::label_value(text),
        "uri" => url(text)
            .err()
            .map(|why| why.replace("URL parse error during conversion from string: ", ""))
            .into_iter()
            .collect(),
        "uuid" => simple(is_uuid(text), "does not match the UUID format"),
        "byte" => simple(
            text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c)) && text.len().is_multiple_of(4),
            "invalid base64",
        ),
        "date" => simple(text.parse::<kit_api::jiff::civil::Date>().is_ok(), "invalid date"),
        _ => simple(text.parse::<kit_api::jiff::Timestamp>().is_ok(), "invalid datetime"),
    }
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, long)| part.len() == long && part.bytes().all(|c| c.is_ascii_hexdigit()))
}

/// A function of these kinds; nothing if it is none.
pub fn call<'a>(name: &str, args: &[Value<'a>]) -> Option<Result<Value<'a>, Failure>> {
    if let [Value::Text(text)] = args {
        return Some(match name {
            "ip" => ip(text).map(|address| value(Kind::Ip(address))),
            "isIP" => Ok(Value::Bool(ip(text).is_ok())),
            "ip.isCanonical" => ip(text).map(|address| Value::Bool(address.to_string() == **text)),
            "cidr" => cidr(text).map(|(address, length)| value(Kind::Cidr(address, length))),
            "isCIDR" => Ok(Value::Bool(cidr(text).is_ok())),
            "url" => url(text).map(|url| value(Kind::Url(url))),
            "isURL" => Ok(Value::Bool(url(text).is_ok())),
            "quantity" => quantity(text).map(|quantity| value(Kind::Quantity(quantity))),
            "isQuantity" => Ok(Value::Bool(quantity(text).is_ok())),
            "format.named" => Ok(match FORMATS.iter().find(|format| ***format == **text) {
                Some(format) => value(Kind::Format(format)).some(),
                None => Value::Optional(None),
            }),
            _ => return None,
        });
    }
    if args.is_empty() {
        let format = name.strip_prefix("format.")?;
        return FORMATS.iter().find(|known| **known == format).map(|format| Ok(value(Kind::Format(format))));
    }
    let Some((Value::Kind(of), args)) = args.split_first() else { return None };
    match (&**of, args) {
        (Kind::Ip(address), []) => of_ip(name, *address).map(Ok),
        (Kind::Cidr(address, length), args) => of_cidr(name, (*address, *length), args),
        (Kind::Quantity(quantity), args) => of_quantity(name, quantity, args),
        (Kind::Url(url), []) => Some(Ok(match name {
            "getScheme" => Value::text(url.scheme.as_str()),
            "getHost" => Value::text(url.host.as_str()),
            "getHostname" => Value::text(url.host_and_port().0),
            "getPort" => Value::text(url.host_and_port().1),
            "getEscapedPath" => Value::text(url.path.as_str()),
            "getQuery" => url.queries(),
            _ => return None,
        })),
        (Kind::Format(format), [Value::Text(text)]) if name == "validate" => {
            let found = problems(format, text);
            Some(Ok(match found.is_empty() {
                true => Value::Optional(None),
                false => Value::list(found.into_iter().map(Value::text).collect()).some(),
            }))
        }
        _ => None,
    }
}

fn of_ip<'a>(name: &str, address: IpAddr) -> Option<Value<'a>> {
    let link_local = match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.segments()[0] & 0xffc0 == 0xfe80,
    };
    let link_local_multicast = match address {
        IpAddr::V4(four) => four.octets()[..3] == [224, 0, 0],
        IpAddr::V6(six) => six.segments()[0] & 0xff0f == 0xff02,
    };
    let broadcast = matches!(address, IpAddr::V4(four) if four.is_broadcast());
    Some(Value::Bool(match name {
        "family" => return Some(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
        "isUnspecified" => address.is_unspecified(),
        "isLoopback" => address.is_loopback(),
        "isLinkLocalMulticast" => link_local_multicast,
        "isLinkLocalUnicast" => link_local,
        "isGlobalUnicast" => {
            !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || link_local || broadcast)
        }
        _ => return None,
    }))
}

fn of_cidr<'a>(name: &str, network: (IpAddr, u8), args: &[Value<'a>]) -> Option<Result<Value<'a>, Failure>> {
    let (address, length) = network;
    let holds = |other: IpAddr| Ok(Value::Bool(contains(network, other)));
    let inside = |(other, long): (IpAddr, u8)| Ok(Value::Bool(long >= length && contains(network, other)));
    Some(match (name, args) {
        ("ip", []) => Ok(value(Kind::Ip(address))),
        ("masked", []) => Ok(value(Kind::Cidr(masked(address, length), length))),
        ("prefixLength", []) => Ok(Value::Int(length.into())),
        ("containsIP", [Value::Text(text)]) => ip(text).and_then(holds),
        ("containsCIDR", [Value::Text(text)]) => cidr(text).and_then(inside),
        ("containsIP" | "containsCIDR", [Value::Kind(kind)]) => match **kind {
            Kind::Ip(other) if name == "containsIP" => holds(other),
            Kind::Cidr(other, long) if name == "containsCIDR" => inside((other, long)),
            _ => Err(NO_OVERLOAD.into()),
        },
        _ => return None,
    })
}

fn of_quantity<'a>(name: &str, of: &Quantity, args: &[Value<'a>]) -> Option<Result<Value<'a>, Failure>> {
    let other = match args {
        [] => None,
        [Value::Kind(kind)] => match &**kind {
            Kind::Quantity(other) => Some(other.clone()),
            _ => return None,
        },
        [Value::Int(value)] => Some(Quantity::new(*value, of.format())),
        _ => return None,
    };
    let whole = || of.milli_value() % 1000 == 0;
    Some(Ok(match (name, other) {
        ("isInteger", None) => Value::Bool(whole()),
        ("asInteger", None) if !whole() => return Some(Err("cannot convert value to integer".into())),
        ("asInteger", None) => Value::Int(of.value()),
        ("asApproximateFloat", None) => Value::Double(of.approximate_f64()),
        ("sign", None) => Value::Int(of.sign().into()),
        ("add" | "sub", Some(other)) => {
            let mut sum = of.clone();
            if name == "add" {
                sum.add(&other)
            } else {
                sum.sub(&other)
            }
            value(Kind::Quantity(sum))
        }
        ("isLessThan", Some(other)) => Value::Bool(*of < other),
        ("isGreaterThan", Some(other)) => Value::Bool(*of > other),
        ("compareTo", Some(other)) => Value::Int(of.cmp(&other) as i64),
        _ => return None,
    }))
}
