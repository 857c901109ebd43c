//! Packets of DNS: a question out of bytes, and an answer into bytes.
//!
//! The records are written and read by the crate `simple-dns`. It knows fewer types, classes and opcodes than may be asked for, so the
//! header and the question are looked at here, and go back as they came.
//!
//! Sources: RFC 1035, section 4; RFC 6891 (EDNS); RFC 3225 (the bit DO comes back); `defaultMsgAcceptFunc` of github.com/miekg/dns,
//! which CoreDNS serves with.

use kit_network::dns::record::REFRESH_RETRY_EXPIRE;
use kit_network::dns::size::Transport;
use kit_network::dns::{RecordData, ResourceRecord, Response};
use simple_dns::rdata::{A, AAAA, CNAME, NS, OPT, PTR, RData, SOA, SRV, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, TYPE};
use std::panic::catch_unwind;

/// The largest packet: over TCP two bytes say how long it is.
pub const MAX: usize = 65_535;

/// The length of a header.
pub const HEADER: usize = 12;
/// The largest packet that UDP over IPv4 takes.
const MAX_UDP: u16 = 65_507;
/// What this server takes over UDP itself, and says so (DNS flag day 2020).
const PAYLOAD: u16 = 1232;
/// Of a header's flags: an answer; the opcode; recursion desired, and checking disabled, which both come back.
const ANSWER: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const REPEATED: u16 = 0x0110;
/// The bit DO among the flags of an OPT record's TTL.
const DNSSEC_OK: u32 = 0x8000;
/// The classes IN and ANY.
const INTERNET: [u16; 2] = [1, 255];

/// The outcome, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    NoError = 0,
    FormatError = 1,
    ServerFailure = 2,
    NameError = 3,
    NotImplemented = 4,
    Refused = 5,
    BadVersion = 16,
}

/// What a client says of itself in an OPT record.
#[derive(Debug, Clone, Copy)]
pub struct Edns {
    pub size: u16,
    pub version: u8,
    pub dnssec_ok: bool,
}

/// A question that can be read.
pub struct Question<'a> {
    id: u16,
    flags: u16,
    labels: Vec<&'a [u8]>,
    /// Name, type and class as they came.
    written: &'a [u8],
    pub record_type: u16,
    class: u16,
    pub edns: Option<Edns>,
}

impl Question<'_> {
    /// The name as text. No label has a dot in it: what isn't plain is written by its number.
    pub fn name(&self) -> String {
        let mut name = String::new();
        for label in &self.labels {
            for &byte in *label {
                match byte {
                    b'.' | b'\\' => name += &format!("\\{byte:03}"),
                    byte if byte.is_ascii_graphic() => name.push(char::from(byte)),
                    byte => name += &format!("\\{byte:03}"),
                }
            }
            name.push('.');
        }
        if name.is_empty() { ".".into() } else { name }
    }

    /// Whether it is about the internet, and no other of the networks of 1987.
    pub fn is_internet(&self) -> bool {
        INTERNET.contains(&self.class)
    }

    /// How it came, and so how large its answer may be.
    pub fn transport(&self, tcp: bool) -> Transport {
        Transport { tcp, edns: self.edns.map(|edns| edns.size.min(MAX_UDP)) }
    }
}

/// A question, or the answer to what is none, if it gets one.
pub fn read(packet: &[u8]) -> Result<Question<'_>, Option<Vec<u8>>> {
    let header = words(packet).ok_or(None)?;
    let [id, flags, questions, answers, authorities, additional] = header;
    if flags & ANSWER != 0 {
        return Err(None);
    }
    if flags & OPCODE != 0 {
        return Err(Some(bare(id, flags, Code::NotImplemented)));
    }
    let malformed = || Some(bare(id, flags, Code::FormatError));
    // A question of IXFR has one record, and EDNS and a signature are two.
    if questions != 1 || answers > 1 || authorities > 1 || additional > 2 {
        return Err(malformed());
    }
    let (labels, end) = labels(packet).ok_or_else(malformed)?;
    let written = packet.get(HEADER..end + 4).ok_or_else(malformed)?;
    let [.., a, b, c, d] = *written else { return Err(malformed()) };
    let edns = edns(packet, end).ok_or_else(malformed)?;
    let (record_type, class) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Ok(Question { id, flags, labels, written, record_type, class, edns })
}

fn words(packet: &[u8]) -> Option<[u16; HEADER / 2]> {
    let mut words = [0; HEADER / 2];
    for (word, bytes) in words.iter_mut().zip(packet.get(..HEADER)?.chunks_exact(2)) {
        *word = u16::from_be_bytes(bytes.try_into().ok()?);
    }
    Some(words)
}

/// The labels of the first name, and where it ends. Nothing stands before it that it could point to.
fn labels(packet: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => labels.push(packet.get(at..at + length)?),
            _ => return None,
        }
        at += length;
    }
    // RFC 1035, section 2.3.4.
    (at - HEADER <= 255).then_some((labels, at))
}

/// The OPT record, if there is one; nothing at all if what follows the question can't be read.
fn edns(packet: &[u8], end: usize) -> Option<Option<Edns>> {
    // Flags, type and class are looked at elsewhere; with these the crate reads each question.
    let mut plain = packet.to_vec();
    plain.get_mut(2..4)?.fill(0);
    plain.get_mut(end..end + 4)?.copy_from_slice(&[0, 1, 0, 1]);
    let read = catch_unwind(|| {
        let read = Packet::parse(&plain).ok()?;
        // RFC 6891, section 6.1.1: one at most.
        if read.additional_records.iter().any(|record| record.rdata.type_code() == TYPE::OPT) {
            return None;
        }
        Some(read.opt().map(|opt| opt.udp_packet_size))
    });
    let size = read.ok()??;
    // The crate takes the version from other bits than RFC 6891 (section 6.1.3) and drops DO. Clients write the record right after the
    // question: the root's name, type and size, then of the TTL the outcome, the version and the flags.
    let (version, dnssec_ok) = match packet.get(end + 4..).unwrap_or_default() {
        [0, 0, 41, _, _, _, version, flags, ..] => (*version, flags & 0x80 != 0),
        _ => (0, false),
    };
    Some(size.map(|size| Edns { size, version, dnssec_ok }))
}

/// A header, and nothing else.
fn bare(id: u16, flags: u16, code: Code) -> Vec<u8> {
    let flags = ANSWER | flags & (OPCODE | REPEATED) | code as u16;
    [id, flags, 0, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// An answer. It never is larger than the client takes.
pub fn write(
    question: &Question<'_>,
    code: Code,
    response: &Response,
    transport: Transport,
    mut truncated: bool,
) -> Vec<u8> {
    let Response { answer, authority, additional, .. } = response;
    let mut sections = [&answer[..], &authority[..], &additional[..]];
    let mut code = code;
    loop {
        let Some(packet) = encoded(question, code, sections, truncated) else {
            // A name that is too long for the wire.
            (code, sections) = (Code::ServerFailure, Default::default());
            if let Some(packet) = encoded(question, code, sections, false) {
                return packet;
            }
            return bare(question.id, question.flags, code);
        };
        let excess = packet.len().saturating_sub(transport.limit());
        let Some(last) = sections.iter_mut().rev().find(|section| !section.is_empty()).filter(|_| excess > 0) else {
            return packet;
        };
        // Names in different cases aren't written as one, so that it may be larger than was reckoned.
        let dropped = (last.len() * excess / packet.len()).max(1);
        *last = &last[..last.len() - dropped];
        truncated = true;
    }
}

fn encoded(question: &Question<'_>, code: Code, sections: [&[ResourceRecord]; 3], truncated: bool) -> Option<Vec<u8>> {
    let asked = question.name();
    let mut packet = Packet::new_reply(question.id);
    // Type and class are put right below.
    let class = QCLASS::CLASS(CLASS::IN);
    packet.questions.push(simple_dns::Question::new(Name::new(&asked).ok()?, QTYPE::TYPE(TYPE::A), class, false));
    if !matches!(code, Code::Refused | Code::ServerFailure | Code::BadVersion) {
        packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    }
    if truncated {
        packet.set_flags(PacketFlag::TRUNCATION);
    }
    let [answer, authority, additional] = sections;
    packet.answers = answer.iter().map(record).collect::<Option<_>>()?;
    packet.name_servers = authority.iter().map(record).collect::<Option<_>>()?;
    packet.additional_records = additional.iter().map(record).collect::<Option<_>>()?;
    if let Some(edns) = question.edns {
        let opt = RData::OPT(OPT { opt_codes: Vec::new(), udp_packet_size: PAYLOAD, version: 0 });
        let ttl = (code as u32 >> 4) << 24 | if edns.dnssec_ok { DNSSEC_OK } else { 0 };
        packet.additional_records.push(simple_dns::ResourceRecord::new(Name::new(".").ok()?, CLASS::IN, ttl, opt));
    }
    let mut packet = packet.build_bytes_vec_compressed().ok()?;
    packet.get_mut(HEADER..HEADER + question.written.len())?.copy_from_slice(question.written);
    let [_, flags, ..] = words(&packet)?;
    let flags = flags | question.flags & REPEATED | code as u16 & 0xf;
    packet.get_mut(2..4)?.copy_from_slice(&flags.to_be_bytes());
    Some(packet)
}

/// The record as it goes over the wire; none if a name is too long for it.
fn record(record: &ResourceRecord) -> Option<simple_dns::ResourceRecord<'_>> {
    let name = |text| Name::new(text).ok();
    let data = match &record.data {
        RecordData::A(address) => RData::A(A { address: (*address).into() }),
        RecordData::Aaaa(address) => RData::AAAA(AAAA { address: (*address).into() }),
        RecordData::Cname(target) => RData::CNAME(CNAME(name(target)?)),
        RecordData::Ns(target) => RData::NS(NS(name(target)?)),
        RecordData::Ptr(target) => RData::PTR(PTR(name(target)?)),
        RecordData::Soa { server, mailbox, serial, minimum } => {
            let [refresh, retry, expire] =
                REFRESH_RETRY_EXPIRE.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
            let (mname, rname) = (name(server)?, name(mailbox)?);
            RData::SOA(SOA { mname, rname, serial: *serial, refresh, retry, expire, minimum: *minimum })
        }
        RecordData::Srv { weight, port, target } => {
            RData::SRV(SRV { priority: 0, weight: *weight, port: *port, target: name(target)? })
        }
        RecordData::Txt(text) => RData::TXT(TXT::new().with_string(text).ok()?),
    };
    Some(simple_dns::ResourceRecord::new(name(&record.name)?, CLASS::IN, record.ttl, data))
}
