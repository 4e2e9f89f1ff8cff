//! Who gets in, and who makes room: bursts, floods, full tables, greedy clients.

mod common;

use common::raw::{Heard, SYN, Segment, frame};
use common::{Answer, CLIENT6, Rig, SERVER, SERVER6, archive, config, pattern, site};
use quartz_net::Duration;
use smoltcp::wire::{EthernetFrame, Ipv4Address, Ipv4Packet, TcpControl, TcpPacket, TcpRepr};

const GET: &[u8] = b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n";

fn small(conns: u32) -> Rig {
    let mut config = config();
    config.conns = Some(conns);
    let rig = Rig::with(config, site());
    assert_eq!(rig.stack.stats().limit, u64::from(conns));
    rig
}

fn from_port(n: u16) -> Segment<'static> {
    Segment {
        client_port: 3000 + n,
        ..SYN
    }
}

/// The acknowledgement of a SYN|ACK, with content.
fn answer_to<'a>(syn: Segment<'_>, iss: u32, payload: &'a [u8]) -> Segment<'a> {
    Segment {
        client: syn.client,
        client_port: syn.client_port,
        server_port: syn.server_port,
        control: TcpControl::None,
        seq: syn.seq + 1,
        ack: Some(iss.wrapping_add(1)),
        payload,
        window: syn.window,
    }
}

/// SYNs from everywhere that nobody completes, until they are answered by cookies.
fn flood(rig: &mut Rig) {
    let mut n = 0u32;
    while rig.stack.stats().cookies.sent == 0 {
        rig.say(spoofed(n));
        n += 1;
        assert!(n < 100_000, "no cookies");
    }
}

fn spoofed(n: u32) -> Segment<'static> {
    Segment {
        client: Ipv4Address::from((10 << 24) + (2 << 8) + 16 + n % 200),
        client_port: (n / 200) as u16 + 1000,
        ..SYN
    }
}

#[test]
fn a_burst_is_answered_to_the_last_as_long_as_there_is_room() {
    let mut rig = small(900);
    rig.machine.ring = usize::MAX;
    // All at once, before anybody completes.
    for n in 0..900 {
        rig.inject(&from_port(n).frame());
    }
    let heard = rig.heard();
    assert_eq!(heard.len(), 900);
    assert!(heard.iter().all(|h| h.control == TcpControl::Syn));
    for (n, heard) in heard.iter().enumerate() {
        let syn = from_port(n as u16);
        let heard = rig.say(answer_to(syn, heard.seq, GET));
        assert!(heard[0].payload.ends_with(b"body{}\n"), "connection {n}");
    }
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.half_open), (900, 0));
    assert_eq!((stats.syn_dropped, stats.evicted_total()), (0, 0));
    assert!(stats.cookies.accepted > 0 && stats.cookies.accepted < 900);
}

#[test]
fn a_full_table_makes_room_for_who_completes_the_handshake() {
    let mut rig = small(10);
    let mut iss = Vec::new();
    for n in 0..8 {
        iss.push(rig.open(from_port(n)));
    }
    // The first becomes the youngest idle connection by a request.
    let heard = rig.say(answer_to(from_port(0), iss[0], GET));
    rig.say(Segment {
        seq: 1001 + GET.len() as u32,
        ack: Some(heard[0].seq.wrapping_add(heard[0].payload.len() as u32)),
        payload: &[],
        ..answer_to(from_port(0), iss[0], GET)
    });
    for n in 8..10 {
        rig.say(from_port(n));
    }
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.half_open), (8, 2));

    // 8 and 9 go without a word.
    for n in 10..12 {
        assert_eq!(open_evicting(&mut rig, from_port(n)), []);
    }
    let stats = rig.stack.stats();
    assert_eq!((stats.evicted.half_open, stats.evicted.idle), (2, 0));
    assert_eq!((stats.open, stats.half_open), (10, 0));
    // Then 1 and 2, the idle ones that have waited longest. They are told.
    for (n, evicted) in [(12, 1), (13, 2)] {
        let told = open_evicting(&mut rig, from_port(n));
        assert_eq!(told, [3000 + evicted]);
    }
    let stats = rig.stack.stats();
    assert_eq!((stats.evicted.half_open, stats.evicted.idle), (2, 2));
    assert_eq!((stats.open, stats.syn_dropped), (10, 0));
    assert_eq!(stats.cookies.accepted, 4);
}

/// Opens a connection; the ports of those that were reset for it.
fn open_evicting(rig: &mut Rig, syn: Segment<'_>) -> Vec<u16> {
    let heard = rig.say(syn);
    let [reply] = &heard[..] else {
        panic!("a request alone ends nobody's connection: {heard:?}");
    };
    assert_eq!(
        (reply.control, reply.port),
        (TcpControl::Syn, syn.client_port)
    );
    let heard = rig.say(answer_to(syn, reply.seq, &[]));
    assert!(heard.iter().all(|h| h.control == TcpControl::Rst));
    heard.iter().map(|h| h.port).collect()
}

#[test]
fn busy_connections_are_not_evicted() {
    let mut rig = small(8);
    for n in 0..8 {
        let iss = rig.open(from_port(n));
        // Half a request.
        rig.say(answer_to(from_port(n), iss, b"GET / HT"));
    }
    assert_eq!(rig.say(SYN), []);
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.syn_dropped), (8, 1));
    assert_eq!(stats.evicted_total(), 0);
}

#[test]
fn who_comes_back_with_a_cookie_when_all_are_busy_gets_in_later() {
    let mut rig = small(8);
    for n in 0..7 {
        let iss = rig.open(from_port(n));
        rig.say(answer_to(from_port(n), iss, b"GET / HT"));
    }
    // The last one is idle still: there is hope, and a cookie.
    let last = rig.open(from_port(7));
    let cookie = rig.say(SYN)[0].seq;
    rig.say(answer_to(from_port(7), last, b"GET / HT"));
    let request = answer_to(SYN, cookie, GET);
    assert_eq!(rig.say(request), []);
    assert_eq!(rig.stack.stats().syn_dropped, 1);
    // One of them gets its answer, and is idle when it has taken it.
    let mut rest = answer_to(from_port(3), last, b"TP/1.1\r\nHost: x\r\n\r\n");
    rest.seq += 8;
    rest.control = TcpControl::Rst;
    rig.say(rest);
    // The client has sent its request again meanwhile.
    let heard = rig.say(request);
    assert!(heard[0].payload.ends_with(b"body{}\n"));
    assert_eq!(rig.stack.stats().open, 8);
}

#[test]
fn a_flood_takes_a_bounded_part_of_the_table_and_leaves_by_itself() {
    let mut rig = small(100);
    for n in 0..20_000u32 {
        let heard = rig.say(spoofed(n));
        assert_eq!(heard.len(), 1, "every request is answered");
        rig.now += Duration::from_micros(50);
    }
    let stats = rig.stack.stats();
    assert_eq!(stats.half_open, 25, "a quarter of the table");
    assert_eq!(stats.cookies.sent, 20_000 - 25);
    assert_eq!((stats.syn_dropped, stats.evicted_total()), (0, 0));
    rig.open(Segment {
        client_port: 9,
        ..SYN
    });
    assert_eq!(rig.stack.stats().cookies.accepted, 1);
    rig.wait(Duration::from_secs(11));
    let stats = rig.stack.stats();
    assert_eq!((stats.half_open, stats.open), (0, 1));
    assert_eq!(stats.expired.half_open, 25);
    // And requests are answered in full again.
    rig.say(SYN);
    assert_eq!(rig.stack.stats().half_open, 1);
}

#[test]
fn a_flood_evicts_no_idle_connection() {
    let mut rig = small(50);
    for n in 0..50 {
        rig.open(from_port(n));
    }
    for n in 0..10_000 {
        rig.say(spoofed(n));
    }
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.evicted_total()), (50, 0));
}

#[test]
fn clients_are_served_over_ipv4_and_ipv6_while_all_handshakes_are_cookies() {
    let mut rig = small(100);
    flood(&mut rig);
    for (to, accepted) in [(SERVER.into(), 1), (SERVER6.into(), 2)] {
        let handle = rig.socket(65_535, 16_384);
        let own = rig.port();
        rig.dial(handle, to, 80, own);
        let open = rig.until(Duration::from_secs(5), |rig| rig.tcp(handle).may_send());
        assert!(open, "from {CLIENT6} or its like");
        let answer = rig.ask(handle, "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.body == pattern(300_000));
        let close = "GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(rig.ask(handle, close).code, 200);
        rig.tcp(handle).close();
        rig.settle();
        let stats = rig.stack.stats();
        assert_eq!((stats.open, stats.cookies.accepted), (0, accepted));
    }
}

/// The SYN|ACK that answers a SYN with these options.
fn synack(rig: &mut Rig, repr: &TcpRepr<'_>) -> Vec<u8> {
    rig.inject(&frame(SYN.client, repr));
    let frame = rig.machine.out.pop_front().expect("a SYN|ACK");
    assert!(rig.machine.out.is_empty());
    let packet = EthernetFrame::new_unchecked(&frame[..]).payload().to_vec();
    Ipv4Packet::new_unchecked(&packet[..]).payload().to_vec()
}

#[test]
fn a_cookie_keeps_segment_size_and_window_scale() {
    let site = archive::site(&[("large.bin", &pattern(1_000_000))]);
    let mut config = config();
    config.conns = Some(100);
    let mut rig = Rig::with(config, site);
    rig.machine.ring = usize::MAX;
    rig.machine.out.clear();
    flood(&mut rig);
    for (scale, size) in [(Some(7), 1460), (Some(8), 1300), (None, 536)] {
        let mut repr = SYN.repr();
        repr.window_scale = scale;
        repr.max_seg_size = Some(size);
        repr.sack_permitted = scale.is_some();
        let bytes = synack(&mut rig, &repr);
        let tcp = TcpPacket::new_checked(&bytes[..]).unwrap();
        let local = SERVER.into();
        let reply = TcpRepr::parse(&tcp, &local, &SYN.client.into(), &Default::default())
            .expect("a right checksum");
        assert_eq!(reply.max_seg_size, Some(1460));
        assert_eq!(reply.window_scale, scale.map(|_| 0));
        assert_eq!(reply.sack_permitted, scale.is_some());
        // A window of 100 units holds this much.
        let iss = reply.seq_number.0 as u32;
        let request = b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut segment = answer_to(SYN, iss, request);
        segment.window = 60;
        let heard = rig.say(segment);
        let sent: usize = heard.iter().map(|h| h.payload.len()).sum();
        let window = 60usize << scale.unwrap_or(0);
        let full = window / usize::from(size) * usize::from(size);
        match scale {
            None => assert_eq!(sent, 60, "the whole of a small window"),
            Some(_) => assert_eq!(sent, full.min(10 * usize::from(size))),
        }
        rig.say(Segment {
            control: TcpControl::Rst,
            seq: segment.seq + request.len() as u32,
            ..segment
        });
    }
    assert_eq!(rig.stack.stats().cookies.accepted, 3);
}

#[test]
fn what_is_no_cookie_is_reset() {
    let mut rig = small(100);
    flood(&mut rig);
    let cookie = rig.say(SYN)[0].seq;
    for wrong in [cookie ^ 1, cookie.wrapping_add(1 << 26), 0] {
        let heard = rig.say(answer_to(SYN, wrong, &[]));
        assert_eq!(heard[0].control, TcpControl::Rst);
    }
    let later = Duration::from_secs(200);
    rig.now += later;
    let heard = rig.say(answer_to(SYN, cookie, &[]));
    assert_eq!(heard[0].control, TcpControl::Rst);
    assert_eq!(rig.stack.stats().cookies.accepted, 0);
}

#[test]
fn one_client_may_have_so_many_connections() {
    let mut config = config();
    config.conns = Some(100);
    config.conns_per_source = Some(5);
    let mut rig = Rig::with(config, site());
    let mut last = Vec::new();
    for n in 0..5 {
        last.push(rig.open(from_port(n)));
    }
    assert_eq!(rig.say(from_port(5)), []);
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.source_limited), (5, 1));
    // Others are not concerned.
    let other = Segment {
        client: Ipv4Address::new(10, 0, 2, 9),
        ..SYN
    };
    rig.open(other);
    // A place that is free is free for the same client.
    rig.say(Segment {
        control: TcpControl::Rst,
        ..answer_to(from_port(2), last[2], &[])
    });
    rig.open(from_port(6));
    assert_eq!(rig.stack.stats().open, 6);
    // Nor do cookies help.
    flood(&mut rig);
    assert_eq!(rig.say(from_port(7)), []);
    assert_eq!(rig.stack.stats().source_limited, 2);
    let cookie = rig.say(Segment {
        client: Ipv4Address::new(10, 0, 2, 10),
        ..SYN
    })[0]
        .seq;
    let came = Segment {
        client: Ipv4Address::new(10, 0, 2, 10),
        ..SYN
    };
    let heard: Vec<Heard> = rig.say(answer_to(came, cookie, GET));
    let (answer, _) = Answer::parse(&heard[0].payload, false).expect("an answer");
    assert_eq!(answer.code, 200);
}
