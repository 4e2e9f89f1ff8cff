//! The sending half, segment by segment: windows, loss, the end.

mod common;

use common::raw::{Heard, SYN, Segment, frame};
use common::{Rig, archive, config, pattern};
use quartz_net::Duration;
use smoltcp::wire::{Ipv4Address, TcpControl};

const GET: &[u8] = b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n";
const GET_CLOSE: &[u8] = b"GET /large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/// Segment size of a client that says nothing else.
const MSS: usize = 1460;
/// Bytes of the file.
const LARGE: usize = 4_000_000;
/// Somebody whom smoltcp's client on the same link does not take for itself.
const CLIENT: Ipv4Address = Ipv4Address::new(10, 0, 2, 77);

/// A client by hand, whose window is scaled by 2^8.
struct Client {
    rig: Rig,
    syn: Segment<'static>,
    /// Number of the answer's first byte.
    first: u32,
    /// Its own next number.
    seq: u32,
    /// What has arrived in order.
    bytes: Vec<u8>,
}

impl Client {
    /// Opens a connection and asks; what comes at once.
    fn ask(request: &'static [u8], window: u16) -> (Client, Vec<Heard>) {
        let site = archive::site(&[("large.bin", &pattern(LARGE)), ("tiny.txt", b"tiny")]);
        let mut rig = Rig::with(config(), site);
        rig.machine.out.clear();
        rig.machine.ring = usize::MAX;
        let syn = Segment {
            client: CLIENT,
            window,
            ..SYN
        };
        let mut repr = syn.repr();
        repr.window_scale = Some(8);
        rig.inject(&frame(CLIENT, &repr));
        let iss = rig.heard()[0].seq;
        let mut client = Client {
            rig,
            syn,
            first: iss.wrapping_add(1),
            seq: syn.seq + 1,
            bytes: Vec::new(),
        };
        assert_eq!(client.ack(0), []);
        let heard = client.rig.say(Segment {
            control: TcpControl::Psh,
            seq: client.seq,
            ack: Some(client.first),
            payload: request,
            ..client.syn
        });
        client.seq += request.len() as u32;
        (client, heard)
    }

    /// Acknowledges so many bytes of the answer.
    fn ack(&mut self, count: usize) -> Vec<Heard> {
        let syn = self.syn;
        self.ack_with(count, syn.window)
    }

    fn ack_with(&mut self, count: usize, window: u16) -> Vec<Heard> {
        self.rig.say(Segment {
            control: TcpControl::None,
            seq: self.seq,
            ack: Some(self.first.wrapping_add(count as u32)),
            window,
            ..self.syn
        })
    }

    /// Lets time pass; what is said meanwhile.
    fn wait(&mut self, ms: u64) -> Vec<Heard> {
        let end = self.rig.now + Duration::from_millis(ms);
        let mut heard = Vec::new();
        while self.rig.now < end {
            let next = self.rig.stack.deadline().unwrap_or(end).min(end);
            self.rig.now = next.max(self.rig.now + Duration::from_micros(1));
            self.rig.stack.timers(&mut self.rig.machine, self.rig.now);
            heard.extend(self.rig.heard());
        }
        heard
    }

    /// Where each segment's data lies in the answer.
    fn places(&self, heard: &[Heard]) -> Vec<usize> {
        let place = |heard: &Heard| heard.seq.wrapping_sub(self.first) as usize;
        heard.iter().map(place).collect()
    }

    /// Takes what continues what has arrived.
    fn take(&mut self, heard: &[Heard]) {
        for segment in heard {
            let at = segment.seq.wrapping_sub(self.first) as usize;
            if at <= self.bytes.len() && at + segment.payload.len() > self.bytes.len() {
                let known = self.bytes.len() - at;
                self.bytes.extend_from_slice(&segment.payload[known..]);
            }
        }
    }
}

#[test]
fn ten_segments_go_out_first_then_twice_as_many() {
    let (mut client, heard) = Client::ask(GET, 20_000);
    let full: Vec<usize> = (0..10).map(|n| n * MSS).collect();
    assert_eq!(client.places(&heard), full);
    assert!(heard.iter().all(|h| h.payload.len() == MSS));
    let mut round = 0;
    for n in 1..=10 {
        round += client.ack(n * MSS).len();
    }
    assert_eq!(round, 20);
}

#[test]
fn a_long_path_is_filled_with_more_than_a_mebibyte() {
    let (mut client, mut heard) = Client::ask(GET, 8000);
    let mut most = 0;
    while client.bytes.len() < LARGE {
        most = most.max(heard.iter().map(|h| h.payload.len()).sum());
        client.take(&heard);
        // One round trip: everything arrives, and is acknowledged segment by segment.
        client.rig.now += Duration::from_millis(100);
        let ends: Vec<usize> = heard
            .iter()
            .map(|h| h.seq.wrapping_sub(client.first) as usize + h.payload.len())
            .collect();
        heard = ends.iter().flat_map(|&end| client.ack(end)).collect();
        assert!(!heard.is_empty() || client.bytes.len() >= LARGE);
    }
    assert!(most >= 1 << 20, "{most} bytes in flight");
    assert!(client.bytes.ends_with(&pattern(LARGE)));
    assert_eq!(client.rig.stack.stats().retransmitted, 0);
}

#[test]
fn three_duplicates_bring_the_lost_segment_at_once() {
    let (mut client, _) = Client::ask(GET, 20_000);
    // The third segment is lost. The first two duplicates let new segments out.
    assert_eq!(client.ack(2 * MSS).len(), 4);
    let place = |client: &mut Client| {
        let heard = client.ack(2 * MSS);
        client.places(&heard)
    };
    assert_eq!(place(&mut client), [14 * MSS]);
    assert_eq!(place(&mut client), [15 * MSS]);
    assert_eq!(place(&mut client)[0], 2 * MSS);
    assert_eq!(client.rig.stack.stats().retransmitted, 1);
    // Another hole: it is filled as soon as the first one is (RFC 6582).
    let heard = client.ack(5 * MSS);
    assert_eq!(client.places(&heard)[0], 5 * MSS);
    // It is over when all that was sent has arrived.
    let heard = client.ack(16 * MSS);
    assert!(client.places(&heard).iter().all(|&place| place >= 16 * MSS));
    assert_eq!(client.rig.stack.stats().retransmitted, 2);
}

#[test]
fn silence_brings_the_oldest_segment_again_later_and_later() {
    let (mut client, heard) = Client::ask(GET, 20_000);
    client.take(&heard);
    // At first the tail is probed, with something new (RFC 8985, 7).
    let heard = client.wait(30);
    assert_eq!(client.places(&heard), [10 * MSS]);
    let mut times = Vec::new();
    for _ in 0..4 {
        let begun = client.rig.now;
        let heard = loop {
            let heard = client.wait(10);
            if !heard.is_empty() {
                break heard;
            }
        };
        assert_eq!(client.places(&heard), [0], "one segment, the oldest");
        times.push((client.rig.now - begun).total_millis());
    }
    // The round trip took no time; nothing is sent again within a fifth of a second.
    let expected = [200, 400, 800, 1600];
    for (time, expected) in times.iter().zip(expected) {
        assert!(time.abs_diff(expected) <= 30, "{times:?}");
    }
    // Then it goes on from what is missing, with a small window, and with segments that pass
    // everywhere: their length may have been what did not.
    let heard = client.ack(3 * MSS);
    assert_eq!(client.places(&heard), [3 * MSS, 3 * MSS + 1220]);
}

#[test]
fn the_window_of_the_peer_is_kept() {
    let (mut client, heard) = Client::ask(GET, 8);
    // What is left of it would be a small segment, which waits (RFC 9293, 3.8.6.2.1).
    assert_eq!(heard.len(), 1);
    // It closes; is probed with a byte; opens.
    assert_eq!(client.ack_with(MSS, 0), []);
    let heard = client.wait(1000);
    assert!(heard.len() >= 2, "{}", heard.len());
    for probe in heard {
        assert_eq!((probe.payload.len(), client.places(&[probe])[0]), (1, MSS));
    }
    let heard = client.ack_with(MSS, 1000);
    assert_eq!(client.places(&heard)[0], MSS);
    assert!(heard.len() >= 10);
}

#[test]
fn an_old_window_is_not_believed() {
    let (mut client, _) = Client::ask(GET, 50);
    client.seq += 1;
    // A segment that was overtaken by a newer one tells an old window.
    let old = Segment {
        control: TcpControl::None,
        seq: client.seq - 1,
        ack: Some(client.first),
        window: 60_000,
        ..client.syn
    };
    client.rig.say(Segment {
        control: TcpControl::Psh,
        seq: client.seq - 1,
        ack: Some(client.first),
        payload: b"G",
        window: 50,
        ..client.syn
    });
    assert_eq!(client.ack(0), []);
    client.rig.say(old);
    let heard = client.ack(8 * MSS);
    assert_eq!(heard.len(), (50 << 8) / MSS);
}

#[test]
fn the_end_rides_on_the_last_segment_and_comes_again_with_it() {
    let (mut client, mut heard) = Client::ask(GET_CLOSE, 20_000);
    let end = loop {
        client.take(&heard);
        let len = client.bytes.len();
        if heard.last().is_some_and(|h| h.control == TcpControl::Fin) {
            break len;
        }
        heard = client.ack(len);
    };
    let last = heard.last().unwrap().clone();
    assert!(!last.payload.is_empty());
    assert!(client.bytes.ends_with(&pattern(LARGE)));
    client.ack(end - last.payload.len());
    let again = client.wait(1000);
    assert_eq!(again[0], last);
    // Acknowledged, it leaves the connection to the client; its FIN ends it.
    assert_eq!(client.ack(end + 1), []);
    assert_eq!(client.wait(2000), []);
    let fin = Segment {
        control: TcpControl::Fin,
        seq: client.seq,
        ack: Some(client.first.wrapping_add(end as u32 + 1)),
        ..client.syn
    };
    let heard = client.rig.say(fin);
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].seq, fin.ack.unwrap());
    assert_eq!(heard[0].ack, Some(client.seq + 1));
    let stats = client.rig.stack.stats();
    assert_eq!((stats.open, stats.time_wait), (0, 1));
}

#[test]
fn a_client_that_closes_first_gets_the_rest() {
    let (mut client, mut heard) = Client::ask(GET, 20_000);
    heard.extend(client.rig.say(Segment {
        control: TcpControl::Fin,
        seq: client.seq,
        ack: Some(client.first),
        ..client.syn
    }));
    client.seq += 1;
    let mut fin = false;
    while !fin {
        client.take(&heard);
        let len = client.bytes.len();
        fin = heard.iter().any(|h| h.control == TcpControl::Fin);
        if !fin {
            heard = client.ack(len);
            assert!(!heard.is_empty());
        }
    }
    assert!(client.bytes.ends_with(&pattern(LARGE)));
    let end = client.bytes.len() + 1;
    assert_eq!(client.ack(end), []);
    let stats = client.rig.stack.stats();
    assert_eq!((stats.open, stats.time_wait), (0, 0), "the client waits");
}

#[test]
fn a_connection_that_sends_is_not_idle_nor_closing() {
    for request in [GET, GET_CLOSE] {
        let (mut client, heard) = Client::ask(request, 20_000);
        client.take(&heard);
        // A window at a time, every 20 seconds: longer than closing may take.
        for _ in 0..5 {
            client.wait(20_000);
            let heard = client.ack(client.bytes.len());
            client.take(&heard);
        }
        let stats = client.rig.stack.stats();
        assert_eq!(stats.open, 1);
        assert_eq!((stats.expired.closing, stats.expired.idle), (0, 0));
        client.wait(61_000);
        let stats = client.rig.stack.stats();
        assert_eq!((stats.open, stats.expired.answer), (0, 1));
    }
}

#[test]
fn acknowledgements_of_what_was_never_sent_change_nothing() {
    let (mut client, heard) = Client::ask(GET, 20_000);
    client.take(&heard);
    for ahead in [10 * MSS + 1, 1 << 30] {
        let heard = client.ack(ahead);
        // At most one answer that says where we are.
        assert!(heard.len() <= 1, "{heard:?}");
        for heard in heard {
            assert_eq!(client.places(&[heard])[0], 10 * MSS);
        }
    }
    let heard = client.ack(10 * MSS);
    assert_eq!(client.places(&heard)[0], 10 * MSS);
}

#[test]
fn a_second_full_segment_is_acknowledged_at_once_and_a_single_one_soon() {
    let mut rig = Rig::by_hand();
    let iss = rig.open(SYN);
    let content = vec![b'x'; 1400];
    let mut segment = Segment {
        control: TcpControl::None,
        seq: 1001,
        ack: Some(iss.wrapping_add(1)),
        payload: b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n",
        ..SYN
    };
    assert_eq!(rig.say(segment), []);
    segment.seq += segment.payload.len() as u32;
    segment.payload = &content;
    assert_eq!(rig.say(segment), []);
    segment.seq += 1400;
    let heard = rig.say(segment);
    assert_eq!(heard.len(), 1);
    segment.seq += 1400;
    assert_eq!(heard[0].ack, Some(segment.seq));
    assert_eq!(rig.say(segment), []);
    segment.seq += 1400;
    rig.now += Duration::from_millis(11);
    rig.stack.timers(&mut rig.machine, rig.now);
    assert_eq!(rig.heard()[0].ack, Some(segment.seq));
}

#[test]
fn more_than_the_numbers_reach_round_may_be_queued() {
    // A file of 500 MiB, of which nobody touches the memory.
    const FILE: usize = 500 << 20;
    let mut entry = archive::Entry::new(b"vast.bin", b'0', b"");
    entry.size(&format!("{FILE:011o}"));
    let mut image = vec![0; 512 + FILE + 1024];
    image[..512].copy_from_slice(&entry.header);
    let site = quartz_net::Site::from_tar(archive::image(image)).unwrap();
    let mut rig = Rig::with(config(), site);
    rig.machine.out.clear();
    let syn = Segment {
        client: CLIENT,
        ..SYN
    };
    let iss = rig.open(syn);
    // Some of it are more than 2 GiB.
    let request = b"GET /vast.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut requests = request.repeat(7);
    requests.extend_from_slice(b"GET /vast.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut segment = Segment {
        control: TcpControl::None,
        seq: 1001,
        ack: Some(iss.wrapping_add(1)),
        payload: &requests,
        ..syn
    };
    let mut sent = 0;
    let mut heard = rig.say(segment);
    segment.seq += requests.len() as u32;
    segment.payload = &[];
    for _ in 0..10 {
        assert!(heard.len() >= 10, "{} segments", heard.len());
        assert!(heard.iter().all(|h| h.control == TcpControl::None));
        sent += heard.iter().map(|h| h.payload.len()).sum::<usize>();
        segment.ack = Some(iss.wrapping_add(1 + sent as u32));
        heard = rig.say(segment);
    }
}

#[test]
fn everybody_gets_a_head_when_others_hold_all_memory() {
    let mut config = config();
    config.memory = 1 << 20;
    let mut rig = Rig::with(config, common::site());
    rig.machine.ring = usize::MAX;
    // All connections but one take pages and acknowledge nothing.
    let limit = rig.stack.stats().limit as u16;
    for n in 0..limit - 1 {
        let syn = Segment {
            client: CLIENT,
            client_port: 3000 + n,
            ..SYN
        };
        let heard = rig.say(syn);
        let mut segment = Segment {
            control: TcpControl::Psh,
            seq: 1001,
            ack: Some(heard[0].seq.wrapping_add(1)),
            payload: b"GET /stats.json HTTP/1.1\r\nHost: x\r\n\r\n",
            ..syn
        };
        for _ in 0..3 {
            rig.inject(&segment.frame());
            segment.seq += segment.payload.len() as u32;
            rig.stack.timers(&mut rig.machine, rig.now);
        }
        rig.machine.out.clear();
    }
    // The last one is served by its own block.
    let syn = Segment {
        client: CLIENT,
        ..SYN
    };
    let heard = rig.say(syn);
    let heard = rig.say(Segment {
        control: TcpControl::Psh,
        seq: 1001,
        ack: Some(heard[0].seq.wrapping_add(1)),
        payload: b"GET /kib.bin HTTP/1.1\r\nHost: x\r\n\r\n",
        ..syn
    });
    assert!(heard[0].payload.ends_with(&pattern(1024)));
    assert_eq!(rig.stack.stats().evicted_total(), 0);
    // And who waits for memory does not keep the processor busy.
    let mut turns = 0;
    let end = rig.now + Duration::from_secs(1);
    while let Some(next) = rig.stack.deadline()
        && next < end
    {
        rig.now = next.max(rig.now);
        rig.stack.timers(&mut rig.machine, rig.now);
        rig.machine.out.clear();
        turns += 1;
    }
    assert!(turns < 10_000, "{turns} turns in a second");
}
