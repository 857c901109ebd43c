//! Follows the packets of a connection through the rules of a host, as netfilter takes them.
//!
//! The order of hooks: what comes in passes `PREROUTING` of nat, then, by its destination as it is now, `INPUT` or `FORWARD` of filter, and `POSTROUTING` of
//! nat if it goes on. What the host itself sends passes `OUTPUT` of nat and of filter, and `POSTROUTING`; if it is for the host itself it comes in again, and passes `INPUT`. nat is asked for the first
//! packet of a connection only: all later ones go as that one went.

use super::ruleset::{Fraction, Match, Rule, Ruleset, Target};
use kit_contract::network::{IptablesTable, ServiceProtocol};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its protocol.
    pub protocol: ServiceProtocol,
    /// Who sent it.
    pub source: IpAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// The interface that it came in by, if any.
    pub interface: Option<String>,
}

/// What conntrack knows of a packet's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// It is the first packet.
    #[default]
    New,
    /// It belongs to a connection, which goes to this destination since its first packet.
    Established(SocketAddr),
    /// It belongs to none, and can't begin one.
    Invalid,
}

/// What `-m recent` remembers: for each list, when an address was last seen, in seconds.
pub type Recent = BTreeMap<String, BTreeMap<IpAddr, i64>>;

/// What a host knows when a packet comes.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Its addresses; those of loopback are understood.
    pub addresses: Vec<IpAddr>,
    /// Its lists.
    pub recent: Recent,
    /// The time, in seconds.
    pub now: i64,
}

/// How it ends for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No rule of filter decided, so that it goes on.
    Passes,
    /// A rule let it through.
    Accepted,
    /// It is gone.
    Dropped,
    /// It is gone, and the sender knows.
    Rejected,
}

/// One rule that a packet matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `nat` or `filter`.
    pub table: IptablesTable,
    /// The chain.
    pub chain: String,
    /// Which rule of it, from 1.
    pub number: usize,
    /// The rule.
    pub rule: String,
}

/// A packet's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// How it ends.
    pub verdict: Verdict,
    /// Where it goes, in the end.
    pub destination: SocketAddr,
    /// Whether a rule changed the destination.
    pub is_translated: bool,
    /// Whether a rule marked it for masquerade, whatever came of it.
    pub is_marked: bool,
    /// Whether its source became the host's.
    pub is_masqueraded: bool,
    /// Each rule that it matched.
    pub steps: Vec<Step>,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = match self.table {
            IptablesTable::Nat => "nat",
            IptablesTable::Filter => "filter",
        };
        write!(f, "{table} {} {}  {}", self.chain, self.number, self.rule)
    }
}

/// What came of a chain.
enum End {
    /// Nothing: back to the rule that led here.
    Back,
    /// The table has no more to say.
    Decided,
    Dropped,
    Rejected,
}

struct Traveller<'a> {
    rules: &'a Ruleset,
    host: &'a mut Host,
    packet: Packet,
    connection: Connection,
    mark: u32,
    was_marked: bool,
    is_translated: bool,
    is_masqueraded: bool,
    /// None if nobody wants to know.
    steps: Option<Vec<Step>>,
    chance: &'a mut dyn FnMut(Fraction) -> bool,
}

/// Takes a packet through the rules of a host, whose lists remember it then. `chance` says whether a rule with a probability matches: for a random
/// number below 1, whether it is below that.
pub fn walk(
    rules: &Ruleset,
    host: &mut Host,
    packet: &Packet,
    connection: Connection,
    chance: &mut dyn FnMut(Fraction) -> bool,
) -> Walk {
    go(rules, host, packet, connection, Some(Vec::new()), chance)
}

fn go(
    rules: &Ruleset,
    host: &mut Host,
    packet: &Packet,
    connection: Connection,
    steps: Option<Vec<Step>>,
    chance: &mut dyn FnMut(Fraction) -> bool,
) -> Walk {
    let mut traveller = Traveller::new(rules, host, packet, connection, steps, chance);
    if let Connection::Established(to) = connection {
        traveller.is_translated = to != packet.destination;
        traveller.packet.destination = to;
    }
    let verdict = traveller.travel();
    Walk {
        verdict,
        destination: traveller.packet.destination,
        is_translated: traveller.is_translated,
        is_marked: traveller.was_marked,
        is_masqueraded: traveller.is_masqueraded,
        steps: traveller.steps.unwrap_or_default(),
    }
}

/// What the rules of one place made of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Whether it goes on.
    pub verdict: Verdict,
    /// Its mark from here on.
    pub mark: u32,
    /// Where its connection goes instead.
    pub translated: Option<SocketAddr>,
    /// Whether its connection gets the host's address as its source.
    pub is_masqueraded: bool,
    /// Each rule that it matched.
    pub steps: Vec<Step>,
}

/// Takes a packet with this mark through single chains of Linux, in this order, each of which sees what those before it have changed.
/// `nat` is to be asked for the first packet of a connection only.
pub fn pass(
    rules: &Ruleset,
    host: &mut Host,
    packet: &Packet,
    connection: Connection,
    mark: u32,
    chains: &[(IptablesTable, &str)],
    chance: &mut dyn FnMut(Fraction) -> bool,
) -> Stop {
    let mut traveller = Traveller { mark, ..Traveller::new(rules, host, packet, connection, Some(Vec::new()), chance) };
    let mut verdict = Verdict::Passes;
    for (table, chain) in chains {
        match traveller.chain(*table, chain) {
            End::Back => {}
            End::Decided => verdict = Verdict::Accepted,
            End::Dropped => verdict = Verdict::Dropped,
            End::Rejected => verdict = Verdict::Rejected,
        }
        if matches!(verdict, Verdict::Dropped | Verdict::Rejected) {
            break;
        }
    }
    let translated = Some(traveller.packet.destination).filter(|to| *to != packet.destination);
    let Traveller { mark, is_masqueraded, steps, .. } = traveller;
    Stop { verdict, mark, translated, is_masqueraded, steps: steps.unwrap_or_default() }
}

/// One way of several, and how probable it is.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How probable it is.
    pub chance: Fraction,
    /// The way.
    pub walk: Walk,
    /// What the host remembers then.
    pub recent: Recent,
}

/// More ways than this can't be told.
const MOST: usize = 4096;

/// All ways that a first packet may take, without the steps: [`walk`] tells those.
///
/// # Errors
///
/// If there are too many of them, or probabilities that are too fine.
pub fn outcomes(rules: &Ruleset, host: &Host, packet: &Packet) -> Result<Vec<Outcome>, String> {
    let mut outcomes = Vec::new();
    // What chance is to say, from the first rule that asks it on; each unfinished list is a way to go.
    let mut open: Vec<Vec<bool>> = vec![Vec::new()];
    while let Some(given) = open.pop() {
        if outcomes.len() == MOST {
            return Err(format!("more than {MOST} ways"));
        }
        let (mut said, mut all) = (Vec::new(), Some(Fraction::ONE));
        let mut chance = |probability: Fraction| {
            let answer = given.get(said.len()).copied().unwrap_or_else(|| {
                let is_certain = probability.rest().of == 0;
                if !is_certain {
                    open.push(said.iter().copied().chain([false]).collect());
                }
                true
            });
            all = all.and_then(|all| all.and(if answer { probability } else { probability.rest() }));
            said.push(answer);
            answer
        };
        let mut host = host.clone();
        let walk = go(rules, &mut host, packet, Connection::New, None, &mut chance);
        let chance = all.ok_or("probabilities that are too fine")?;
        outcomes.push(Outcome { chance, walk, recent: host.recent });
    }
    Ok(outcomes)
}

impl<'a> Traveller<'a> {
    fn new(
        rules: &'a Ruleset,
        host: &'a mut Host,
        packet: &Packet,
        connection: Connection,
        steps: Option<Vec<Step>>,
        chance: &'a mut dyn FnMut(Fraction) -> bool,
    ) -> Self {
        Traveller {
            rules,
            host,
            packet: packet.clone(),
            connection,
            mark: 0,
            was_marked: false,
            is_translated: false,
            is_masqueraded: false,
            steps,
            chance,
        }
    }
}

impl Traveller<'_> {
    fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.host.addresses.contains(&address)
    }

    fn travel(&mut self) -> Verdict {
        let own = self.is_local(self.packet.source);
        let mut verdict = Verdict::Passes;
        self.nat(if own { "OUTPUT" } else { "PREROUTING" });
        let is_for_host = self.is_local(self.packet.destination.ip());
        let filters: &[&str] = match (own, is_for_host) {
            (true, true) => &["OUTPUT", "INPUT"],
            (true, false) => &["OUTPUT"],
            (false, true) => &["INPUT"],
            (false, false) => &["FORWARD"],
        };
        let leaves = own || !is_for_host;
        for (at, chain) in filters.iter().enumerate() {
            match self.chain(IptablesTable::Filter, chain) {
                End::Back => {}
                End::Decided => verdict = Verdict::Accepted,
                End::Dropped => return Verdict::Dropped,
                End::Rejected => return Verdict::Rejected,
            }
            if at == 0 && leaves {
                self.nat("POSTROUTING");
            }
        }
        verdict
    }

    fn nat(&mut self, chain: &str) {
        // Packets without a connection are not translated, and later packets as the first one was.
        if self.connection == Connection::New {
            self.chain(IptablesTable::Nat, chain);
        }
    }

    fn chain(&mut self, table: IptablesTable, chain: &str) -> End {
        let rules = self.rules;
        for (at, rule) in rules.chain(table, chain).unwrap_or_default().iter().enumerate() {
            if !rule.matches.iter().all(|part| self.matches(part)) {
                continue;
            }
            self.note(table, chain, at, rule);
            match &rule.target {
                None => {}
                Some(Target::Jump(to)) => match self.chain(table, to) {
                    End::Back => {}
                    end => return end,
                },
                Some(Target::MarkOr(mark)) => {
                    self.mark |= mark;
                    self.was_marked = true;
                }
                Some(Target::MarkXor(mark)) => self.mark ^= mark,
                Some(Target::Dnat(to)) => {
                    self.packet.destination = *to;
                    self.is_translated = true;
                    return End::Decided;
                }
                Some(Target::Masquerade) => {
                    self.is_masqueraded = true;
                    return End::Decided;
                }
                Some(Target::Accept) => return End::Decided,
                Some(Target::Drop) => return End::Dropped,
                Some(Target::Reject) => return End::Rejected,
                Some(Target::Return) => return End::Back,
            }
        }
        End::Back
    }

    fn note(&mut self, table: IptablesTable, chain: &str, at: usize, rule: &Rule) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step { table, chain: chain.into(), number: at + 1, rule: rule.text.clone() });
        }
    }

    fn matches(&mut self, part: &Match) -> bool {
        let packet = &self.packet;
        match part {
            Match::Protocol(protocol) => packet.protocol == *protocol,
            Match::Source(not, range) => range.contains(packet.source) != *not,
            Match::Destination(not, range) => range.contains(packet.destination.ip()) != *not,
            Match::Port(port) => packet.destination.port() == *port,
            Match::Interface(not, name, is_start) => {
                let by = packet.interface.as_deref().unwrap_or_default();
                (if *is_start { by.starts_with(name.as_str()) } else { by == name }) != *not
            }
            Match::SourceLocal(not) => self.is_local(packet.source) != *not,
            Match::DestinationLocal(not) => self.is_local(packet.destination.ip()) != *not,
            Match::Mark(not, mark, mask) => (self.mark & mask == *mark) != *not,
            Match::State(not, states) => {
                let state = match self.connection {
                    Connection::New => "NEW",
                    Connection::Established(_) => "ESTABLISHED",
                    Connection::Invalid => "INVALID",
                };
                let is_one = |name: &String| name == state || (name == "DNAT" && self.is_translated);
                states.iter().any(is_one) != *not
            }
            Match::Chance(chance) => (self.chance)(*chance),
            Match::Seen(list, seconds) => {
                let seen = self.host.recent.get(list).and_then(|list| list.get(&packet.source));
                seen.is_some_and(|seen| self.host.now - seen <= *seconds)
            }
            Match::Remember(list) => {
                self.host.recent.entry(list.clone()).or_default().insert(packet.source, self.host.now);
                true
            }
        }
    }
}
