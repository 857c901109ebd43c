//! Packets of clients that mean well, and of others.

use super::packet::HEADER;
use super::*;
use crate::{Live, Options};
use kit_cluster::cluster::{self, Config as Cluster};
use kit_cluster::engine::Clock;
use kit_network::dns::{RecordData, ResourceRecord};
use kit_time::random::{Purpose, Random};
use simple_dns::rdata::{A, OPT, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE};
use std::io::{Read, Write};
use std::net::{TcpStream as Connection, UdpSocket as Socket};

/// How many packets are made up.
const PACKETS: u64 = 20_000;
/// Where services are made.
const SERVICES: &str = "/api/v1/namespaces/default/services";

fn module() -> Box<dyn kit_contract::network::Dns> {
    solutions::modules().dns.make(&())
}

fn start() -> (Live, Dns) {
    let live = Live::start(
        || cluster::start(&Cluster::default(), &solutions::modules(), Clock::default()),
        Options::default(),
    );
    let live = live.expect("a cluster");
    let spec = r#"{"clusterIP":"10.96.0.17","ports":[{"name":"http","port":80}]}"#;
    create(&live, &format!(r#"{{"metadata":{{"name":"web"}},"spec":{spec}}}"#));
    assert!(soon(|| live.door().snapshot().list(Kind::Service).count() == 1), "nobody sees the service");
    let dns = Dns::serve(live.door(), ([127, 0, 0, 1], 0).into(), module);
    (live, dns.expect("a DNS server"))
}

fn names(live: &Live, module: Maker) -> Names {
    Names::new(live.door(), ([127, 0, 0, 1], 53).into(), module)
}

fn question(name: &str, record_type: u16) -> Packet<'_> {
    let mut packet = Packet::new_query(4711);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let record_type = QTYPE::try_from(record_type).expect("a type");
    let name = Name::new(name).expect("a name");
    packet.questions.push(simple_dns::Question::new(name, record_type, QCLASS::CLASS(CLASS::IN), false));
    packet
}

fn offers(size: u16) -> Option<OPT<'static>> {
    Some(OPT { opt_codes: Vec::new(), udp_packet_size: size, version: 0 })
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    packet.build_bytes_vec().expect("a packet")
}

fn socket(dns: &Dns) -> Socket {
    let socket = Socket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    socket.connect(dns.address()).expect("the server");
    socket
}

fn ask(dns: &Dns, packet: &[u8]) -> Vec<u8> {
    let socket = socket(dns);
    socket.send(packet).expect("sent");
    let mut packet = vec![0; packet::MAX];
    let length = socket.recv(&mut packet).expect("an answer");
    packet.truncate(length);
    packet
}

/// Asks over a connection that is open.
fn say(stream: &mut Connection, packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).expect("a length");
    stream.write_all(&[&length.to_be_bytes()[..], packet].concat()).expect("written");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut packet).expect("an answer");
    packet
}

/// A module that always answers with so many addresses.
struct Many(u8);

impl kit_contract::network::Dns for Many {
    fn answer(
        &self,
        question: &kit_contract::network::dns::Question,
        _: &kit_contract::network::dns::Cluster,
    ) -> kit_contract::network::dns::Answer {
        use kit_contract::network::dns::{Answer, Data, Record};
        let answer = (0..self.0).map(|n| Record { name: question.name.clone(), data: Data::A(format!("10.0.0.{n}")) });
        Answer::Records { answer: answer.collect(), additional: Vec::new() }
    }
}

#[test]
fn a_service_has_its_names() {
    let (live, dns) = start();
    // The name comes back in the case that it was asked in.
    let answer = ask(&dns, &bytes(&question("Web.default.svc.cluster.local.", 1)));
    let answer = Packet::parse(&answer).expect("an answer");
    assert_eq!((answer.id(), answer.rcode()), (4711, RCODE::NoError));
    let flags = PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_DESIRED;
    assert!(answer.has_flags(flags) && !answer.has_flags(PacketFlag::TRUNCATION), "{answer:?}");
    let [record] = &answer.answers[..] else { panic!("one record: {answer:?}") };
    assert_eq!(record.name.to_string(), "Web.default.svc.cluster.local");
    assert_eq!((record.ttl, &record.rdata), (30, &RData::A(A { address: u32::from_be_bytes([10, 96, 0, 17]) })));

    // What is asked, the outcome, and how many records there are in the sections.
    let outcomes = [
        ("wbe.default.svc.cluster.local.", 1, RCODE::NameError, (0, 1, 0)),
        ("web.default.svc.cluster.local.", 28, RCODE::NoError, (0, 1, 0)),
        ("_http._tcp.web.default.svc.cluster.local.", 33, RCODE::NoError, (1, 0, 1)),
        ("17.0.96.10.in-addr.arpa.", 12, RCODE::NoError, (1, 0, 0)),
        ("dns-version.cluster.local.", 16, RCODE::NoError, (1, 0, 0)),
        ("cluster.local.", 6, RCODE::NoError, (1, 0, 0)),
        ("cluster.local.", 2, RCODE::NoError, (1, 0, 1)),
        ("cluster.local.", 252, RCODE::Refused, (0, 0, 0)),
        ("www.example.com.", 1, RCODE::Refused, (0, 0, 0)),
        // A label with a dot in it is one label: this lies below `local.`
        ("x\\.cluster.local.", 1, RCODE::Refused, (0, 0, 0)),
        (".", 2, RCODE::Refused, (0, 0, 0)),
    ];
    let mut stream = Connection::connect(dns.address()).expect("a connection");
    for (name, record_type, code, records) in outcomes {
        let asked = bytes(&question(name, record_type));
        let answer = ask(&dns, &asked);
        // The same over one connection.
        assert_eq!(say(&mut stream, &asked), answer, "{name}");
        let answer = Packet::parse(&answer).expect("an answer");
        let got = (answer.answers.len(), answer.name_servers.len(), answer.additional_records.len());
        assert_eq!((answer.rcode(), got), (code, records), "{name} {record_type}");
    }
    drop(dns);
    live.stop().expect("a cluster that ran");
}

#[test]
fn what_is_no_question_is_answered_as_such() {
    let (live, dns) = start();
    let plain = || question("web.default.svc.cluster.local.", 1);
    let code = |packet: &[u8]| Packet::parse(&ask(&dns, packet)).expect("an answer").rcode();
    // Opcodes, with one that nobody has given a meaning to.
    for opcode in [1, 2, 4, 5, 9] {
        let mut packet = bytes(&plain());
        packet[2] |= opcode << 3;
        assert_eq!(code(&packet), RCODE::NotImplemented, "{opcode}");
        assert_eq!(ask(&dns, &packet)[2] >> 3 & 0xf, opcode);
    }
    let mut notify = plain();
    *notify.opcode_mut() = OPCODE::Notify;
    assert_eq!(code(&bytes(&notify)), RCODE::NotImplemented);

    let mut none = plain();
    none.questions.clear();
    assert_eq!(code(&bytes(&none)), RCODE::FormatError);
    let mut two = plain();
    two.questions.push(two.questions[0].clone());
    assert_eq!(code(&bytes(&two)), RCODE::FormatError);
    let asked = bytes(&plain());
    for length in HEADER..asked.len() {
        assert_eq!(code(&asked[..length]), RCODE::FormatError, "{length} bytes");
    }
    let mut twice = plain();
    *twice.opt_mut() = offers(1232);
    let opt = simple_dns::ResourceRecord::new(
        Name::new(".").expect("a name"),
        CLASS::IN,
        0,
        RData::OPT(offers(1232).expect("one")),
    );
    twice.additional_records.push(opt);
    assert_eq!(code(&bytes(&twice)), RCODE::FormatError);

    // The last four bytes are type and class.
    let with = |record_type: u16, class: u16| {
        let mut packet = asked.clone();
        packet.truncate(asked.len() - 4);
        packet.extend([record_type.to_be_bytes(), class.to_be_bytes()].concat());
        let answer = ask(&dns, &packet);
        assert_eq!(answer[HEADER..packet.len()], packet[HEADER..], "the question comes back as it was");
        answer[3] & 0xf
    };
    assert_eq!(with(1, 3), RCODE::Refused as u8);
    assert_eq!(with(1, 4711), RCODE::Refused as u8);
    assert_eq!(with(65_280, 1), RCODE::NoError as u8);
    assert_eq!(with(1, 255), RCODE::NoError as u8);

    let mut newer = plain();
    *newer.opt_mut() = offers(1232);
    let mut newer = bytes(&newer);
    let version = newer.len() - 5;
    newer[version] = 1;
    let answer = ask(&dns, &newer);
    let [.., outcome, version, _, _, 0, 0] = answer[..] else { panic!("an OPT record: {answer:?}") };
    assert_eq!((outcome << 4 | answer[3] & 0xf, version), (Code::BadVersion as u8, 0));
    // An answer is no question.
    let names = &mut names(&live, Box::new(module));
    assert_eq!(names.answer(&bytes(&plain().into_reply()), false), None);
    assert_eq!(names.answer(&asked[..HEADER - 1], false), None);
    drop(dns);
    live.stop().expect("a cluster that ran");
}

#[test]
fn an_answer_is_as_large_as_the_client_takes() {
    let (live, dns) = start();
    let mut names = names(&live, Box::new(|| Box::new(Many(100))));
    // What the client offers, whether over TCP, the limit, and whether all of it fits.
    let cases = [
        (None, false, 512, false),
        (Some(100), false, 512, false),
        (Some(1232), false, 1232, false),
        (Some(4096), false, 4096, true),
        (None, true, packet::MAX, true),
        (Some(512), true, packet::MAX, true),
    ];
    for (offer, tcp, limit, complete) in cases {
        let mut asked = question("web.default.svc.cluster.local.", 1);
        *asked.opt_mut() = offer.and_then(offers);
        let mut asked = bytes(&asked);
        if offer.is_some() {
            // DO.
            let flags = asked.len() - 4;
            asked[flags] |= 0x80;
        }
        let packet = names.answer(&asked, tcp).expect("an answer");
        let answer = Packet::parse(&packet).expect("a packet");
        assert!(packet.len() <= limit && (complete || packet.len() > limit - 16), "{} of {limit}", packet.len());
        assert_eq!((answer.answers.len() == 100, answer.has_flags(PacketFlag::TRUNCATION)), (complete, !complete));
        assert_eq!(answer.opt().map(|opt| opt.udp_packet_size), offer.map(|_| 1232));
        assert!(offer.is_none() || packet[packet.len() - 4] & 0x80 != 0, "DO comes back");
    }
    // One that was reckoned too small is cut when it is written.
    let asked = bytes(&question("web.shop.svc.cluster.local.", 1));
    let asked = packet::read(&asked).unwrap_or_else(|_| panic!("a question"));
    let host = |n: usize| {
        if n.is_multiple_of(2) {
            format!("host-{n}.Shop.SVC.cluster.LOCAL.")
        } else {
            format!("host-{n}.shop.svc.cluster.local.")
        }
    };
    let record = |n| ResourceRecord { name: host(n), ttl: 30, data: RecordData::A([10, 0, 0, 1].into()) };
    let response = Response {
        rcode: Rcode::NoError,
        answer: (0..50).map(record).collect(),
        authority: Vec::new(),
        additional: (50..60).map(record).collect(),
    };
    let packet = packet::write(&asked, Code::NoError, &response, asked.transport(false), false);
    let answer = Packet::parse(&packet).expect("a packet");
    assert!(packet.len() <= 512 && packet.len() > 384, "{}", packet.len());
    assert!(answer.has_flags(PacketFlag::TRUNCATION) && answer.additional_records.is_empty());
    // A name that no packet can hold.
    let long =
        ResourceRecord { name: format!("{}.local.", "x".repeat(64)), ttl: 30, data: RecordData::Txt("x".into()) };
    let response = Response { answer: vec![long], ..response };
    let packet = packet::write(&asked, Code::NoError, &response, asked.transport(false), false);
    assert_eq!(Packet::parse(&packet).expect("a packet").rcode(), RCODE::ServerFailure);
    drop(dns);
    live.stop().expect("a cluster that ran");
}

/// Fails at the first question.
struct Failing;

impl kit_contract::network::Dns for Failing {
    fn answer(
        &self,
        _: &kit_contract::network::dns::Question,
        _: &kit_contract::network::dns::Cluster,
    ) -> kit_contract::network::dns::Answer {
        std::panic::resume_unwind(Box::new(()))
    }
}

#[test]
fn another_module_takes_the_place_of_one_that_fails() {
    let (live, dns) = start();
    let asked = bytes(&question("web.default.svc.cluster.local.", 1));
    let made = std::cell::Cell::new(0);
    let once = move || {
        made.set(made.get() + 1);
        if made.get() == 1 { Box::new(Failing) as Box<dyn kit_contract::network::Dns> } else { module() }
    };
    let answer = names(&live, Box::new(once)).answer(&asked, false).expect("an answer");
    assert_eq!(Packet::parse(&answer).expect("a packet").answers.len(), 1);
    let answer = names(&live, Box::new(|| Box::new(Failing))).answer(&asked, false).expect("an answer");
    assert_eq!(Packet::parse(&answer).expect("a packet").rcode(), RCODE::ServerFailure);
    drop(dns);
    live.stop().expect("a cluster that ran");
}

#[test]
fn no_packet_ends_the_server() {
    let (live, dns) = start();
    let mut names = names(&live, Box::new(module));
    let random = Random::new(1);
    let mut with_opt = question("web.default.svc.cluster.local.", 1);
    *with_opt.opt_mut() = offers(4096);
    let seeds = [
        question("web.default.svc.cluster.local.", 33),
        question("_http._tcp.web.default.svc.cluster.local.", 33),
        question("17.0.96.10.in-addr.arpa.", 12),
        question("10-0-0-1.default.pod.cluster.local.", 1),
        question("cluster.local.", 6),
        with_opt,
    ];
    let seeds: Vec<Vec<u8>> = seeds.iter().map(bytes).collect();
    let mut answered = BTreeMap::<u8, usize>::new();
    for number in 0..PACKETS {
        let draw = |reason: &str, attempt| {
            random.bits(Purpose { component: "dns", object: &number.to_string(), reason, attempt })
        };
        let mut packet = seeds[draw("seed", 0) as usize % seeds.len()].clone();
        for attempt in 0..draw("changes", 0) % 6 {
            let at = draw("at", attempt) as usize % packet.len().max(1);
            let byte = draw("byte", attempt) as u8;
            match draw("how", attempt) % 6 {
                0 => packet.truncate(at),
                1 => packet.insert(at.min(packet.len()), byte),
                // A pointer, perhaps to itself.
                2 if at + 1 < packet.len() => (packet[at], packet[at + 1]) = (0xc0, byte),
                // A record of any type, in any section.
                3 if packet.len() > HEADER => {
                    packet[7 + 2 * (at % 3)] = 1;
                    packet.extend([0, 0, byte % 70, 0, 1, 0, 0, 0, 1, 0, at as u8 % 24]);
                    packet.extend((0..at as u64 % 24).map(|n| draw("data", n) as u8));
                }
                _ if at < packet.len() => packet[at] = byte,
                _ => {}
            }
        }
        for tcp in [false, true] {
            let answer = names.answer(&packet, tcp);
            assert!(answer.as_ref().is_none_or(|answer| answer.len() >= HEADER && answer[2] & 0x80 != 0), "{packet:?}");
            *answered.entry(answer.map_or(u8::MAX, |answer| answer[3] & 0xf)).or_default() += 1;
        }
    }
    // NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED, and no answer at all; never SERVFAIL.
    assert_eq!(answered.keys().copied().collect::<Vec<_>>(), [0, 1, 3, 4, 5, u8::MAX], "{answered:?}");

    // A connection that says little, one that promises much, and more than are held.
    let mut silent = Connection::connect(dns.address()).expect("a connection");
    silent.write_all(&[0xff]).expect("written");
    let mut much = Connection::connect(dns.address()).expect("a connection");
    much.write_all(&[0xff, 0xff, 1, 2, 3]).expect("written");
    drop(much);
    let many: Vec<_> =
        (0..2 * CONNECTIONS).map(|_| Connection::connect(dns.address()).expect("a connection")).collect();
    let socket = socket(&dns);
    socket.send(b"").expect("sent");
    socket.send(&[0xff; 3]).expect("sent");
    let asked = bytes(&question("web.default.svc.cluster.local.", 1));
    let answer = ask(&dns, &asked);
    assert_eq!(Packet::parse(&answer).expect("an answer").answers.len(), 1);
    // The last of them was hung up on; once they are gone there is room again.
    let mut last = many.last().expect("a connection");
    last.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    assert!(matches!(last.read(&mut [0]), Ok(0) | Err(_)));
    drop(many);
    let again = (0..100).any(|_| {
        let mut stream = Connection::connect(dns.address()).expect("a connection");
        let written = stream.write_all(&[&(asked.len() as u16).to_be_bytes()[..], &asked].concat());
        let has_answer = written.is_ok() && stream.read_exact(&mut [0; HEADER]).is_ok();
        std::thread::sleep(if has_answer { Duration::ZERO } else { BREATH });
        has_answer
    });
    assert!(again, "no connection is served any more");
    drop(dns);
    live.stop().expect("a cluster that ran");
}

#[test]
fn names_follow_the_cluster() {
    let (live, dns) = start();
    let asked = bytes(&question("shop.default.svc.cluster.local.", 1));
    let code = || Packet::parse(&ask(&dns, &asked)).expect("an answer").rcode();
    assert_eq!(code(), RCODE::NameError);
    create(&live, r#"{"metadata":{"name":"shop"},"spec":{"ports":[{"port":80}]}}"#);
    assert!(soon(|| code() == RCODE::NoError), "the service has no name");
    assert!(http(&live, &format!("DELETE {SERVICES}/shop HTTP/1.1\r\n"), "").contains(" 200 "));
    assert!(soon(|| code() == RCODE::NameError), "the name outlives its service");
    drop(dns);
    live.stop().expect("a cluster that ran");
}

fn create(live: &Live, service: &str) {
    let length = service.len();
    let head = format!("POST {SERVICES} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    let answer = http(live, &head, service);
    assert!(answer.contains(" 201 "), "{answer}");
}

fn soon(is: impl Fn() -> bool) -> bool {
    (0..100).any(|_| {
        let is = is();
        std::thread::sleep(if is { Duration::ZERO } else { Duration::from_millis(20) });
        is
    })
}

/// The first line of an answer.
fn http(live: &Live, request: &str, body: &str) -> String {
    let mut stream = Connection::connect(live.address()).expect("a connection");
    let request = format!("{request}Host: localhost\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_string()
}
