//! iptables as a table of rules: reads what `iptables-restore --noflush` reads, and refuses what it would refuse.

use crate::ipam::cidr::Cidr;
use kit_contract::network::{IptablesTable, ServiceProtocol};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The chains of Linux itself.
const BUILT_IN: [(IptablesTable, &[&str]); 2] = [
    (IptablesTable::Filter, &["INPUT", "FORWARD", "OUTPUT"]),
    (IptablesTable::Nat, &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
];
/// The kernel has room for names up to this length (`XT_EXTENSION_MAXNAMELEN` less what ends them).
const LONGEST_NAME: usize = 28;

/// The rules of a host, by table and chain.
#[derive(Debug, Clone)]
pub struct Ruleset {
    tables: BTreeMap<IptablesTable, Chains>,
}

type Chains = BTreeMap<String, Arc<Vec<Rule>>>;

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// As it was written, without `-A` and the chain.
    pub text: String,
    pub(super) matches: Vec<Match>,
    pub(super) target: Option<Target>,
}

/// A probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fraction {
    /// So many of …
    pub of: u128,
    /// … so many.
    pub all: u128,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Match {
    Protocol(ServiceProtocol),
    Source(bool, Cidr),
    Destination(bool, Cidr),
    Port(u16),
    /// Of the interface that it came in by; with `true` as the third, by the beginning of the name.
    Interface(bool, String, bool),
    SourceLocal(bool),
    DestinationLocal(bool),
    Mark(bool, u32, u32),
    State(bool, Vec<String>),
    Chance(Fraction),
    Seen(String, i64),
    Remember(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Jump(String),
    Dnat(SocketAddr),
    MarkOr(u32),
    MarkXor(u32),
    Masquerade,
    Accept,
    Reject,
    Drop,
    Return,
}

impl Fraction {
    /// Always.
    pub const ONE: Fraction = Fraction { of: 1, all: 1 };

    /// So many of so many, in lowest terms.
    pub fn new(of: u128, all: u128) -> Self {
        let (mut a, mut b) = (of, all);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let a = a.max(1);
        Fraction { of: of / a, all: all / a }
    }

    /// The rest to one.
    pub fn rest(self) -> Self {
        Fraction { of: self.all - self.of, all: self.all }
    }

    /// Both; none if that is too fine for 128 bits.
    pub fn and(self, other: Self) -> Option<Self> {
        let (left, right) = (Fraction::new(self.of, other.all), Fraction::new(other.of, self.all));
        Some(Fraction::new(left.of.checked_mul(right.of)?, left.all.checked_mul(right.all)?))
    }

    /// One or the other, where they exclude each other.
    pub fn or(self, other: Self) -> Option<Self> {
        let of = self.of.checked_mul(other.all)?.checked_add(other.of.checked_mul(self.all)?)?;
        Some(Fraction::new(of, self.all.checked_mul(other.all)?))
    }
}

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.of, self.all)
    }
}

impl Default for Ruleset {
    fn default() -> Self {
        let tables = BUILT_IN
            .iter()
            .map(|(table, chains)| (*table, chains.iter().map(|chain| (chain.to_string(), Arc::default())).collect()));
        Ruleset { tables: tables.collect() }
    }
}

impl Ruleset {
    /// The rules of a chain, in order; none if there is no such chain.
    pub fn chain(&self, table: IptablesTable, chain: &str) -> Option<&[Rule]> {
        self.tables.get(&table)?.get(chain).map(|rules| rules.as_slice())
    }

    /// The names of all chains of a table.
    pub fn chains(&self, table: IptablesTable) -> impl Iterator<Item = &String> {
        self.tables.get(&table).into_iter().flat_map(BTreeMap::keys)
    }

    /// Does what `iptables-restore --noflush` does with this input: a chain that is named is emptied, all others stay as they are.
    ///
    /// # Errors
    ///
    /// The line that is wrong, in words. A table that was not committed is as it was before.
    pub fn restore(&mut self, text: &str) -> Result<(), String> {
        let mut open: Option<(IptablesTable, Chains)> = None;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        {
            let wrong = |why: String| format!("line {}: {why}: {line}", at + 1);
            match (line, open.as_mut()) {
                ("*filter", None) => open = Some((IptablesTable::Filter, self.table(IptablesTable::Filter))),
                ("*nat", None) => open = Some((IptablesTable::Nat, self.table(IptablesTable::Nat))),
                (_, None) => return Err(wrong("no table is open".into())),
                ("COMMIT", Some((table, chains))) => {
                    check(chains).map_err(wrong)?;
                    self.tables.insert(*table, std::mem::take(chains));
                    open = None;
                }
                (line, Some((table, chains))) => change(line, *table, chains).map_err(wrong)?,
            }
        }
        if open.is_some() { Err("the last table was not committed".into()) } else { Ok(()) }
    }

    fn table(&self, table: IptablesTable) -> Chains {
        self.tables.get(&table).cloned().unwrap_or_default()
    }
}

fn is_built_in(table: IptablesTable, chain: &str) -> bool {
    BUILT_IN.iter().any(|(of, chains)| *of == table && chains.contains(&chain))
}

fn change(line: &str, table: IptablesTable, chains: &mut Chains) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix(':') {
        let name = rest.split_whitespace().next().unwrap_or_default();
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(format!("a chain's name has 1 to {LONGEST_NAME} characters"));
        }
        chains.insert(name.into(), Arc::default());
        return Ok(());
    }
    let words = words(line)?;
    let mut words = words.iter().map(String::as_str);
    let (verb, chain) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let Some(rules) = chains.get_mut(chain) else { return Err(format!("there is no chain {chain}")) };
    match verb {
        "-A" | "-I" => {
            let text = line[line.find(chain).unwrap_or(0) + chain.len()..].trim().to_string();
            let mut rule = Rule { text, matches: Vec::new(), target: None };
            parse(&mut words, &mut rule, table)?;
            let rules = Arc::make_mut(rules);
            if verb == "-A" {
                rules.push(rule)
            } else {
                rules.insert(0, rule)
            }
            Ok(())
        }
        "-F" => {
            *rules = Arc::default();
            Ok(())
        }
        "-X" if is_built_in(table, chain) => Err(format!("{chain} can't be deleted")),
        "-X" if !rules.is_empty() => Err(format!("{chain} still has rules")),
        "-X" => {
            chains.remove(chain);
            Ok(())
        }
        _ => Err(format!("{verb} is not known here")),
    }
}

/// Words, with quotes around those that have blanks.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').ok_or("a quote is not closed")?;
            words.push(word.to_string());
            rest = after.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_string());
            rest = rest[end..].trim_start();
        }
    }
    Ok(words)
}

fn cidr(text: &str) -> Result<Cidr, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Cidr { address, prefix: crate::ipam::cidr::bits(address) }),
        Err(_) => text.parse(),
    }
}

fn mask(text: &str) -> Result<u32, String> {
    let digits = text.trim_start_matches("0x");
    u32::from_str_radix(digits, 16).map_err(|_| format!("{text} is no mark"))
}

/// A probability of ten digits is read as one in so many, if it is one.
fn probability(text: &str) -> Result<Fraction, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text} is no probability"))?;
    if !(value > 0.0 && value <= 1.0) {
        return Err(format!("{text} is no probability"));
    }
    let count = (1.0 / value).round();
    if (1.0 / count - value).abs() < 6e-11 {
        return Ok(Fraction::new(1, count as u128));
    }
    Ok(Fraction::new((value * 1e10).round() as u128, 10_000_000_000))
}

fn parse<'a>(words: &mut impl Iterator<Item = &'a str>, rule: &mut Rule, table: IptablesTable) -> Result<(), String> {
    let (mut not, mut module, mut list, mut target, mut has_protocol) = (false, "", None, None, false);
    let (mut check, mut seconds) = (None, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: &str| text.parse::<u16>().map_err(|_| format!("{text} is no port"));
        match word {
            "!" => {
                not = true;
                continue;
            }
            "-m" => module = value()?,
            "--comment" | "--nfacct-name" => _ = value()?,
            "-p" => {
                let protocol = match value()? {
                    "tcp" => ServiceProtocol::Tcp,
                    "udp" => ServiceProtocol::Udp,
                    "sctp" => ServiceProtocol::Sctp,
                    other => return Err(format!("unknown protocol {other}")),
                };
                has_protocol = true;
                rule.matches.push(Match::Protocol(protocol));
            }
            "-s" => rule.matches.push(Match::Source(not, cidr(value()?)?)),
            "-d" => rule.matches.push(Match::Destination(not, cidr(value()?)?)),
            "--dport" if !has_protocol => return Err("--dport needs a protocol".into()),
            "--dport" => rule.matches.push(Match::Port(number(value()?)?)),
            "-i" => {
                let name = value()?;
                let start = name.strip_suffix('+');
                rule.matches.push(Match::Interface(not, start.unwrap_or(name).into(), start.is_some()));
            }
            "--src-type" | "--dst-type" => {
                let kind = value()?;
                if kind != "LOCAL" {
                    return Err(format!("{kind} is not known here"));
                }
                rule.matches.push(if word == "--src-type" {
                    Match::SourceLocal(not)
                } else {
                    Match::DestinationLocal(not)
                });
            }
            "--mark" => {
                let (mark, of) = value()?.split_once('/').ok_or("a mark needs a mask")?;
                rule.matches.push(Match::Mark(not, mask(mark)?, mask(of)?));
            }
            "--ctstate" => {
                rule.matches.push(Match::State(not, value()?.split(',').map(str::to_string).collect()));
            }
            "--mode" if value()? == "random" => {}
            "--probability" => rule.matches.push(Match::Chance(probability(value()?)?)),
            "--name" if module == "recent" => list = Some(value()?.to_string()),
            "--rcheck" => check = Some(rule.matches.len()),
            "--seconds" => seconds = Some(value()?.parse::<i64>().map_err(|_| "no number of seconds".to_string())?),
            "--reap" | "--random-fully" => {}
            "--set" => rule.matches.push(Match::Remember(list.clone().ok_or("a list needs a name")?)),
            "-j" => {
                target = Some(match value()? {
                    "ACCEPT" => Target::Accept,
                    "DROP" if table == IptablesTable::Filter => Target::Drop,
                    "REJECT" if table == IptablesTable::Filter => Target::Reject,
                    "RETURN" => Target::Return,
                    "MASQUERADE" if table == IptablesTable::Nat => Target::Masquerade,
                    name @ ("DROP" | "REJECT" | "MASQUERADE") => {
                        return Err(format!("{name} has no place in this table"));
                    }
                    "MARK" | "DNAT" => continue,
                    chain => Target::Jump(chain.into()),
                });
            }
            "--or-mark" => target = Some(Target::MarkOr(mask(value()?)?)),
            "--xor-mark" => target = Some(Target::MarkXor(mask(value()?)?)),
            "--to-destination" if table == IptablesTable::Filter => return Err("DNAT has no place in filter".into()),
            "--to-destination" => {
                let to = value()?;
                target = Some(Target::Dnat(to.parse().map_err(|_| format!("{to} is no address with a port"))?));
            }
            other => return Err(format!("{other} is not known here")),
        }
        not = false;
    }
    if let Some(at) = check {
        let (list, seconds) = (list.ok_or("a list needs a name")?, seconds.ok_or("--rcheck needs --seconds here")?);
        rule.matches.insert(at, Match::Seen(list, seconds));
    }
    rule.target = target;
    Ok(())
}

/// What the kernel looks at when a table is committed: all chains that rules jump to are there, and none leads to itself.
fn check(chains: &Chains) -> Result<(), String> {
    // 0: not seen, 1: on the way, 2: done.
    fn visit<'a>(chain: &'a str, chains: &'a Chains, seen: &mut BTreeMap<&'a str, u8>) -> Result<(), String> {
        match seen.get(chain) {
            Some(1) => return Err(format!("{chain} leads back to itself")),
            Some(_) => return Ok(()),
            None => {}
        }
        seen.insert(chain, 1);
        let rules = chains.get(chain).ok_or_else(|| format!("a rule jumps to {chain}, which is no chain"))?;
        for rule in rules.iter() {
            if let Some(Target::Jump(to)) = &rule.target {
                visit(to, chains, seen)?;
            }
        }
        seen.insert(chain, 2);
        Ok(())
    }
    let mut seen = BTreeMap::new();
    chains.keys().try_for_each(|chain| visit(chain, chains, &mut seen))
}
