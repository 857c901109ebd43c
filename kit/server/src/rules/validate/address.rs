//! Addresses, wherever they stand.
//!
//! Source: `IsValidIPForLegacyField` of `pkg/apis/core/validation/validation.go`.

use crate::field::{At, Errors};
use std::net::{IpAddr, Ipv4Addr};

/// Whether a text is an address. Zeros before a number were always taken (`ParseIPSloppy`).
pub fn is_one(text: &str) -> bool {
    let plain: Vec<&str> = text.split('.').map(|part| part.trim_start_matches('0')).collect();
    let plain: Vec<&str> = plain.iter().map(|part| if part.is_empty() { "0" } else { part }).collect();
    let digits = text.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit()) && !text.contains("..");
    text.parse::<IpAddr>().is_ok() || (digits && plain.join(".").parse::<Ipv4Addr>().is_ok())
}

/// Says that a text which is there is no address.
pub fn valid(e: &mut Errors, at: &At<'_>) {
    if !at.text().is_empty() && !is_one(at.text()) {
        e.invalid(at, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }
}
