//! Names in presentation form: zones, labels, and addresses read backwards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `name` is `zone` or below it, in any case. Both are absolute.
pub fn is_within(name: &str, zone: &str) -> bool {
    if zone == "." {
        return true;
    }
    let Some(start) = name.len().checked_sub(zone.len()) else { return false };
    let (Some(front), Some(end)) = (name.get(..start), name.get(start..)) else { return false };
    end.eq_ignore_ascii_case(zone) && (front.is_empty() || front.ends_with('.'))
}

/// The longest of the zones that `name` lies in (`Zones.Matches` in `plugin/normalize.go`).
pub fn zone_of<'z>(zones: &'z [String], name: &str) -> Option<&'z str> {
    let mut best: Option<&str> = None;
    for zone in zones.iter().filter(|zone| is_within(name, zone)) {
        if best.is_none_or(|best| zone.len() > best.len()) {
            best = Some(zone);
        }
    }
    best
}

/// With a dot at its end.
pub fn absolute(name: &str) -> String {
    if name.ends_with('.') { name.into() } else { format!("{name}.") }
}

/// Whether a name lies below one of the two reverse trees (`dnsutil.IsReverse`).
pub fn is_reverse(name: &str) -> bool {
    name.ends_with(".in-addr.arpa.") || name.ends_with(".ip6.arpa.")
}

/// The address that a name of a reverse tree stands for. As `dnsutil.ExtractAddressFromReverse` has it, digits of IPv6 are taken by
/// fours, and what remains is passed over; an IPv4 address in an IPv6 one is the IPv4 address.
pub fn reversed_address(name: &str) -> Option<IpAddr> {
    if let Some(numbers) = name.strip_suffix(".in-addr.arpa.") {
        let numbers: Vec<&str> = numbers.rsplit('.').collect();
        return numbers.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa.")?.rsplit('.').collect();
    let groups: Vec<String> = digits.chunks_exact(4).map(|four| four.concat()).collect();
    Some(groups.join(":").parse::<Ipv6Addr>().ok()?.to_canonical())
}

/// The other way round.
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let digits: Vec<char> =
                address.segments().iter().flat_map(|s| format!("{s:04x}").chars().collect::<Vec<_>>()).collect();
            let name: String = digits.iter().rev().flat_map(|digit| [*digit, '.']).collect();
            name + "ip6.arpa."
        }
    }
}

/// The address that a text is, where an IPv4 address in an IPv6 one is the IPv4 address (Go's `net.ParseIP` and `To4`).
pub fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}
