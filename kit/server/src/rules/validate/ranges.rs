//! Ranges of addresses for services, and the addresses in them.
//!
//! Source: `ValidateServiceCIDR` and `ValidateIPAddress` of `pkg/apis/networking/validation/validation.go`.

use super::{meta, network};
use crate::field::{At, Errors};
use crate::go;
use kit_api::name;
use std::net::IpAddr;

/// What a ServiceCIDR holds.
pub fn ranges(e: &mut Errors, ranges: &At<'_>) {
    let shown = || go::strings(ranges.value);
    match ranges.len() {
        0 => return e.required(ranges, "at least one CIDR required"),
        1 | 2 => {}
        _ => return e.invalid_as(ranges, &shown(), "may only hold up to 2 values"),
    }
    let is_v6 = |range: &At<'_>| range.text().contains(':');
    if let [first, second] = &ranges.items()[..] {
        if !network::is_cidr(first.text()) || !network::is_cidr(second.text()) {
            e.invalid_as(ranges, &shown(), "some cidrs are invalid");
        } else if is_v6(first) == is_v6(second) {
            let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            e.invalid_as(ranges, &shown(), why);
        }
    }
    for range in ranges.items().iter().filter(|range| !network::is_cidr(range.text())) {
        e.invalid(range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
}

/// A change may add a range of the other family, and nothing else.
pub fn ranges_changed(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    const IMMUTABLE: &str = "field is immutable";
    match (old.len(), new.len()) {
        (before, now) if before == now || (before == 1 && now == 2) => {
            let pairs = old.items().into_iter().zip(new.items());
            for (_, new) in pairs.filter(|(old, new)| old.text() != new.text()) {
                e.invalid(&new, IMMUTABLE);
            }
        }
        _ => e.invalid_as(new, &go::strings(new.value), IMMUTABLE),
    }
}

/// The name of an IPAddress is the address, written in the only way there is.
pub fn canonical(name: &str) -> Vec<String> {
    match name.parse::<IpAddr>() {
        Ok(address) if address.to_string() == name => Vec::new(),
        Ok(address) => vec![format!("must be in canonical form ({:?})", address.to_string())],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
    }
}

/// Whose an address is.
pub fn address(e: &mut Errors, of: &At<'_>) {
    if !of.is_set() {
        return e.required(of, "");
    }
    let (group, namespace) = (of.get("group"), of.get("namespace"));
    if !group.text().is_empty() {
        e.all_invalid(&group, name::dns1123_subdomain(group.text()));
    }
    for field in ["resource", "name"] {
        let at = of.get(field);
        match at.text() {
            "" => e.required(&at, ""),
            text => e.all_invalid(&at, meta::path_segment(text)),
        }
    }
    if !namespace.text().is_empty() {
        e.all_invalid(&namespace, meta::path_segment(namespace.text()));
    }
}
