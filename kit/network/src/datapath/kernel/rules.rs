//! The rules of a host as `iptables-restore` takes them: kube-proxy's as its module wrote them, and after them the plugin's own.

use super::super::packet::Icmp;
use super::super::rules::{Action, Hook, Nat, Rule, Verdict};
use super::Batch;
use crate::ipam::cidr::Cidr;
use crate::proxy::ruleset::Ruleset;
use kit_contract::network::IptablesTable;
use std::collections::BTreeMap;

/// The rules of one host, by table and chain, each without `-A` and the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    tables: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
}

impl Tables {
    /// What stands on a host.
    pub fn of(host: &str, proxy: &Ruleset, plugin: &[Rule]) -> Tables {
        let mut tables = Tables::default();
        for (table, name) in [(IptablesTable::Filter, "filter"), (IptablesTable::Nat, "nat")] {
            for chain in proxy.chains(table) {
                let rules = proxy.chain(table, chain).unwrap_or_default();
                let rules = rules.iter().map(|rule| uncounted(&rule.text)).collect();
                tables.chains(name).insert(chain.clone(), rules);
            }
        }
        for rule in plugin.iter().filter(|rule| rule.host.as_deref().is_none_or(|on| on == host)) {
            tables.add(rule);
        }
        tables
    }

    fn chains(&mut self, table: &'static str) -> &mut BTreeMap<String, Vec<String>> {
        self.tables.entry(table).or_default()
    }

    /// A plugin's rule, in a chain of its own that comes after what is there.
    fn add(&mut self, rule: &Rule) {
        let Some(hook) = rule.hook else { return };
        let (table, target) = match rule.action {
            // Not ACCEPT: chains of others may follow.
            Action::Accept => (table_at(hook), "RETURN".to_string()),
            Action::Mark(bits) => ("mangle", format!("MARK --or-mark {bits:#x}")),
            Action::Translate(Nat::Masquerade) => ("nat", "MASQUERADE".into()),
            Action::Translate(Nat::Source { address, port }) => {
                ("nat", format!("SNAT --to-source {}", end(address, port)))
            }
            Action::Translate(Nat::Destination { address, port }) => {
                ("nat", format!("DNAT --to-destination {}", end(address, port)))
            }
            Action::Refuse(Verdict::Accept) => return,
            Action::Refuse(Verdict::Drop) => ("filter", "DROP".into()),
            Action::Refuse(Verdict::Reset) => ("filter", "REJECT --reject-with tcp-reset".into()),
            Action::Refuse(Verdict::Reject(Icmp::PortUnreachable)) => {
                ("filter", "REJECT --reject-with icmp-port-unreachable".into())
            }
            Action::Refuse(Verdict::Reject(_)) => ("filter", "REJECT --reject-with icmp-host-prohibited".into()),
        };
        let (chain, comment) = rule.what.split_once(' ').unwrap_or((&rule.what, ""));
        let chain = chain.trim_end_matches(':');
        let mut text = String::new();
        let mut side = |flag: &str, side: &Option<(bool, Cidr)>| {
            if let Some((not, cidr)) = side {
                text += &format!("{}{flag} {cidr} ", if *not { "! " } else { "" });
            }
        };
        side("-s", &rule.source);
        side("-d", &rule.destination);
        for (flag, device) in [("-i", &rule.input), ("-o", &rule.output)] {
            text += &device.as_ref().map(|device| format!("{flag} {device} ")).unwrap_or_default();
        }
        if rule.mark != 0 {
            text += &format!("-m mark --mark {0:#x}/{0:#x} ", rule.mark);
        }
        if !comment.is_empty() {
            text += &format!("-m comment --comment \"{comment}\" ");
        }
        text += &format!("-j {target}");
        let jump = format!("-j {chain}");
        let chains = self.chains(table);
        chains.entry(chain.into()).or_default().push(text);
        let from = chains.entry(hook.to_string()).or_default();
        if !from.contains(&jump) {
            from.push(jump);
        }
    }

    /// What brings a host's rules here; none if it has them. Chains that stay as they are keep their counters, and
    /// whatever somebody else has put beside these stays too.
    pub fn since(&self, before: &Tables, namespace: &str) -> Option<Batch> {
        let mut lines = Vec::new();
        let none = BTreeMap::new();
        let names: std::collections::BTreeSet<_> = self.tables.keys().chain(before.tables.keys()).collect();
        for table in names {
            let is = self.tables.get(table).unwrap_or(&none);
            let was = before.tables.get(table).unwrap_or(&none);
            let changed: Vec<_> = is.iter().filter(|(chain, rules)| was.get(*chain) != Some(rules)).collect();
            let gone: Vec<_> = was.keys().filter(|chain| !is.contains_key(*chain)).collect();
            if changed.is_empty() && gone.is_empty() {
                continue;
            }
            lines.push(format!("*{table}"));
            // To be named is to be emptied.
            let named = changed.iter().map(|(chain, _)| *chain).filter(|chain| !is_built_in(chain));
            lines.extend(named.chain(gone.iter().copied()).map(|chain| format!(":{chain} - [0:0]")));
            for (chain, rules) in changed {
                if is_built_in(chain) {
                    let was = was.get(chain).into_iter().flatten();
                    lines.extend(was.map(|rule| format!("-D {chain} {rule}")));
                }
                lines.extend(rules.iter().map(|rule| format!("-A {chain} {rule}")));
            }
            lines.extend(gone.iter().filter(|chain| !is_built_in(chain)).map(|chain| format!("-X {chain}")));
            lines.push("COMMIT".into());
        }
        let command = format!("ip netns exec {namespace} iptables-restore --wait 5 --noflush");
        (!lines.is_empty()).then(|| Batch { lines, ..Batch::plain(&command) })
    }
}

/// The chains of Linux itself.
fn is_built_in(chain: &str) -> bool {
    matches!(chain, "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING")
}

fn table_at(hook: Hook) -> &'static str {
    if matches!(hook, Hook::Input | Hook::Forward) { "filter" } else { "nat" }
}

fn end(address: std::net::IpAddr, port: Option<u16>) -> String {
    port.map_or(address.to_string(), |port| std::net::SocketAddr::new(address, port).to_string())
}

/// A rule without its counter, which another tool would have to make first (`nfacct`).
fn uncounted(rule: &str) -> String {
    let words: Vec<&str> = rule.split(' ').collect();
    let Some(at) = words.iter().position(|word| *word == "--nfacct-name") else { return rule.into() };
    let counter = at.saturating_sub(2)..=at + 1;
    let rest = words.iter().enumerate().filter(|(at, _)| !counter.contains(at)).map(|(_, word)| *word);
    rest.collect::<Vec<_>>().join(" ")
}
