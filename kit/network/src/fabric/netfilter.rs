//! The rules of a host, in the kernel's order: those of policies, kube-proxy's, and the plugin's own.
//!
//! Felix sees to it that its chains stand before all others. kube-proxy's come next, as text that its module made; what the plugin itself
//! translates comes last, for what nobody has translated yet.

use super::policies::Policies;
use super::proxies::Proxy;
use crate::datapath::conntrack::State;
use crate::datapath::packet::{Content, Icmp, Packet, Protocol};
use crate::datapath::rules::{At, Hook, Nat, Netfilter, Rule, Ruling, Verdict};
use crate::proxy::ruleset::Fraction;
use crate::proxy::walk::{self, Connection, Host, Step};
use kit_contract::network::{IptablesTable, ServiceProtocol};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// All rules of all nodes, for one connection.
pub struct Rules<'a> {
    plugin: Vec<Rule>,
    proxies: &'a mut BTreeMap<String, Proxy>,
    policies: &'a Policies,
    random: Random,
    /// Which connection it is.
    connection: u64,
    /// How often chance was asked.
    draws: u64,
    now: Instant,
}

impl<'a> Rules<'a> {
    /// The rules as they are now. Chance follows from the number of the connection.
    pub fn new(
        plugin: Vec<Rule>,
        proxies: &'a mut BTreeMap<String, Proxy>,
        policies: &'a Policies,
        (random, connection): (Random, u64),
        now: Instant,
    ) -> Self {
        Rules { plugin, proxies, policies, random, connection, draws: 0, now }
    }

    /// What kube-proxy's rules say.
    fn proxy(&mut self, at: &At<'_>, packet: &Packet) -> Ruling {
        let mut ruling = Ruling::accept(packet);
        let protocol = match packet.flow.protocol {
            Protocol::Tcp => ServiceProtocol::Tcp,
            Protocol::Udp => ServiceProtocol::Udp,
            Protocol::Sctp => ServiceProtocol::Sctp,
            Protocol::Icmp | Protocol::Ipip => return ruling,
        };
        let Some(proxy) = self.proxies.get_mut(at.host) else { return ruling };
        let asked = walk::Packet {
            protocol,
            source: packet.flow.source.address,
            destination: SocketAddr::new(packet.flow.destination.address, packet.flow.destination.port),
            interface: at.input.map(str::to_string),
        };
        // What nobody tracks is neither new nor invalid.
        let connection = match at.state {
            State::New => Connection::New,
            State::Established | State::Related | State::Untracked => Connection::Established(asked.destination),
        };
        let (nat, filter) = (IptablesTable::Nat, IptablesTable::Filter);
        let chains: &[(IptablesTable, &str)] = match at.hook {
            Hook::Prerouting => &[(nat, "PREROUTING")],
            Hook::Output => &[(nat, "OUTPUT"), (filter, "OUTPUT")],
            Hook::Input => &[(filter, "INPUT")],
            Hook::Forward => &[(filter, "FORWARD")],
            Hook::Postrouting => &[(nat, "POSTROUTING")],
        };
        let chains: Vec<_> = chains.iter().copied().filter(|(table, _)| at.asks_nat || *table != nat).collect();
        let recent = std::mem::take(&mut proxy.recent);
        let mut host = Host { addresses: at.own.to_vec(), recent, now: self.now.nanos / 1_000_000_000 };
        let (random, number, draws) = (self.random, self.connection, &mut self.draws);
        let mut chance = |probability: Fraction| {
            let purpose =
                Purpose { component: "kube-proxy", object: at.host, reason: "endpoint", attempt: number << 8 | *draws };
            *draws += 1;
            random.fraction(purpose) < probability.of as f64 / probability.all as f64
        };
        let stop = walk::pass(&proxy.rules, &mut host, &asked, connection, packet.mark, &chains, &mut chance);
        proxy.recent = host.recent;
        ruling.mark = stop.mark;
        ruling.nat = match stop.translated {
            Some(to) => Some(Nat::Destination { address: to.ip(), port: Some(to.port()) }),
            None => stop.is_masqueraded.then_some(Nat::Masquerade),
        };
        ruling.verdict = match stop.verdict {
            walk::Verdict::Dropped => Verdict::Drop,
            walk::Verdict::Rejected => Verdict::Reject(Icmp::PortUnreachable),
            walk::Verdict::Passes | walk::Verdict::Accepted => Verdict::Accept,
        };
        // Most rules only look. Whoever follows a packet wants to know of those that did something.
        let did = ruling.nat.is_some() || ruling.verdict != Verdict::Accept || ruling.mark != packet.mark;
        if did {
            ruling.trace = stop.steps.iter().filter_map(told).collect();
        }
        ruling
    }
}

impl Netfilter for Rules<'_> {
    fn ask(&mut self, at: &At<'_>, packet: &Packet) -> Ruling {
        let mut ruling = Ruling::accept(packet);
        if at.hook == Hook::Forward && at.state == State::New && packet.content == Content::Data {
            let said = self.policies.judge(at.host, &packet.flow);
            ruling.trace = said.lines;
            if !said.passes {
                ruling.verdict = Verdict::Drop;
                return ruling;
            }
        }
        let proxy = self.proxy(at, packet);
        ruling.trace.extend(proxy.trace);
        let mut last = Ruling { trace: Vec::new(), ..proxy };
        if last.verdict == Verdict::Accept {
            let plugin = self.plugin.ask(at, &Packet { mark: last.mark, ..packet.clone() });
            // A rule that only lets pass has nothing to tell.
            if plugin.nat.is_some() && last.nat.is_none() || plugin.verdict != Verdict::Accept {
                ruling.trace.extend(plugin.trace);
            }
            last = Ruling { nat: last.nat.or(plugin.nat), verdict: plugin.verdict, mark: plugin.mark, ..last };
        }
        Ruling { trace: ruling.trace, ..last }
    }
}

/// A rule that matched, in few words: where it leads, for which service, and by what chance. The translation itself has a line of its own.
fn told(step: &Step) -> Option<String> {
    let after = |flag: &str| step.rule.split_once(flag).map(|(_, rest)| rest.trim_start());
    let word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_string();
    let comment = after("--comment ").map(|text| match text.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default().to_string(),
        None => word(text),
    });
    let target = word(after("-j ")?);
    let service = || comment.as_deref().and_then(|text| text.split_whitespace().next()).map(str::to_string);
    let has_service =
        ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-"].iter().any(|prefix| target.starts_with(prefix));
    Some(match target.as_str() {
        "MARK" | "DNAT" | "RETURN" | "ACCEPT" => return None,
        "KUBE-MARK-MASQ" => "marked for masquerade".into(),
        "REJECT" | "DROP" => comment.map_or(target.clone(), |why| format!("{target}: {why}")),
        _ if target.starts_with("KUBE-SEP-") => match after("--probability ").map(word) {
            Some(chance) => {
                format!("{target} (rule {} of {}, probability {})", step.number, step.chain, trimmed(&chance))
            }
            None => format!("{target} (rule {} of {})", step.number, step.chain),
        },
        _ if has_service => service().map_or(target.clone(), |service| format!("{target} ({service})")),
        _ => target,
    })
}

/// `0.3333333333` is long enough as `0.3333`.
fn trimmed(chance: &str) -> &str {
    chance.get(..6).unwrap_or(chance)
}
