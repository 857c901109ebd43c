//! How large an answer may be, and what is left of it when it is larger.
//!
//! Sources: RFC 1035, section 4.1; RFC 6891 for the size that a client offers; `request.Scrub` in CoreDNS' `request/request.go`,
//! and `Msg.Truncate` of github.com/miekg/dns, which it calls.

use super::plugin::Response;
use super::record::{RecordData, ResourceRecord};
use std::collections::HashSet;

/// Without EDNS, so many bytes fit into an answer over UDP.
pub const WITHOUT_EDNS: usize = 512;

/// The largest message at all: over TCP two bytes say how long it is.
pub const MAX: usize = 65_535;

/// Bytes of a header, and of the OPT record that answers one.
const HEADER: usize = 12;
const OPT: usize = 11;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// Whether over TCP.
    pub tcp: bool,
    /// The size that the client offers in an OPT record.
    pub edns: Option<u16>,
}

impl Transport {
    /// The limit for the answer (`edns.Size`): an offer below 512 means 512.
    pub fn limit(self) -> usize {
        match (self.tcp, self.edns) {
            (true, _) => MAX,
            (false, Some(offer)) => usize::from(offer).max(WITHOUT_EDNS),
            (false, None) => WITHOUT_EDNS,
        }
    }
}

/// Keeps the records that fit, `answer` first and `additional` last, up to the first that doesn't. Whether any is missing: then the bit
/// TC is set, and a client that minds asks again over TCP.
pub fn fit(name: &str, response: &mut Response, transport: Transport) -> bool {
    let limit = transport.limit() - transport.edns.map_or(0, |_| OPT);
    let mut message = Message { bytes: HEADER, ..Message::default() };
    message.name(name, true);
    message.bytes += 4;
    let mut full = false;
    for section in [&mut response.answer, &mut response.authority, &mut response.additional] {
        let kept = section.iter().take_while(|record| {
            full = full || {
                message.record(record);
                message.bytes > limit
            };
            !full
        });
        let kept = kept.count();
        section.truncate(kept);
    }
    full
}

/// A message as far as it is written, without its bytes.
#[derive(Default)]
struct Message {
    bytes: usize,
    /// Ends of names that a later name may point to.
    written: HashSet<String>,
}

impl Message {
    /// A name is written up to an end that stands in the message already; two bytes point there (RFC 1035, section 4.1.4).
    fn name(&mut self, name: &str, may_point: bool) {
        let mut rest = name.trim_end_matches('.').to_ascii_lowercase();
        while !rest.is_empty() {
            if may_point && self.written.contains(&rest) {
                self.bytes += 2;
                return;
            }
            // A pointer has 14 bits.
            if self.bytes < 1 << 14 {
                self.written.insert(rest.clone());
            }
            let (label, after) = rest.split_once('.').unwrap_or((&rest, ""));
            self.bytes += 1 + label.len();
            rest = after.to_string();
        }
        self.bytes += 1;
    }

    fn record(&mut self, record: &ResourceRecord) {
        self.name(&record.name, true);
        // Type, class, TTL and the length of the data.
        self.bytes += 10;
        match &record.data {
            RecordData::A(_) => self.bytes += 4,
            RecordData::Aaaa(_) => self.bytes += 16,
            RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => self.name(name, true),
            RecordData::Soa { server, mailbox, .. } => {
                self.name(server, true);
                self.name(mailbox, true);
                self.bytes += 20;
            }
            RecordData::Srv { target, .. } => {
                self.bytes += 6;
                // RFC 2782: not by pointer.
                self.name(target, false);
            }
            RecordData::Txt(text) => self.bytes += text.len() + text.len() / 255 + 1,
        }
    }
}
