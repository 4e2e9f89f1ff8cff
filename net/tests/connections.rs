//! Connections from their first segment to what is left of them: transcripts of single segments.

mod common;

use common::raw::{Heard, SYN, Segment};
use common::{Answer, Rig, SERVER};
use quartz_net::Duration;
use smoltcp::socket::tcp;
use smoltcp::wire::TcpControl;

const GET: &[u8] = b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n";
const GET_CLOSE: &[u8] = b"GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// A connection that the server has closed and the client too. The server's SND.NXT and RCV.NXT.
fn closed(rig: &mut Rig, syn: Segment<'_>) -> (u32, u32) {
    let iss = rig.open(syn);
    let seq = syn.seq.wrapping_add(1);
    let heard = rig.say(Segment {
        control: TcpControl::Psh,
        seq,
        ack: Some(iss.wrapping_add(1)),
        payload: GET_CLOSE,
        ..syn
    });
    let [answer] = &heard[..] else {
        panic!("one segment with answer and FIN, not {heard:?}");
    };
    assert_eq!(answer.control, TcpControl::Fin);
    let snd_nxt = answer
        .seq
        .wrapping_add(answer.payload.len() as u32)
        .wrapping_add(1);
    let seq = seq.wrapping_add(GET_CLOSE.len() as u32);
    let heard = rig.say(Segment {
        control: TcpControl::Fin,
        seq,
        ack: Some(snd_nxt),
        ..syn
    });
    assert_eq!(heard, [ack(syn, snd_nxt, seq.wrapping_add(1))]);
    assert_eq!(rig.stack.stats().open, 0);
    (snd_nxt, seq.wrapping_add(1))
}

/// The server's bare acknowledgement.
fn ack(to: Segment<'_>, seq: u32, ack: u32) -> Heard {
    Heard {
        port: to.client_port,
        control: TcpControl::None,
        seq,
        ack: Some(ack),
        payload: vec![],
    }
}

#[test]
fn a_closed_connection_leaves_a_record_and_a_free_slot() {
    let mut rig = Rig::by_hand();
    closed(&mut rig, SYN);
    let stats = rig.stack.stats();
    assert_eq!((stats.open, stats.half_open, stats.time_wait), (0, 0, 1));
}

#[test]
fn a_repeated_fin_is_acknowledged_and_begins_the_wait_anew() {
    let mut rig = Rig::by_hand();
    let (snd_nxt, rcv_nxt) = closed(&mut rig, SYN);
    let fin = Segment {
        control: TcpControl::Fin,
        seq: rcv_nxt - 1,
        ack: Some(snd_nxt),
        ..SYN
    };
    rig.wait(Duration::from_secs(40));
    rig.machine.out.clear();
    assert_eq!(rig.say(fin), [ack(SYN, snd_nxt, rcv_nxt)]);
    // A flood of them is not answered.
    assert_eq!(rig.say(fin), []);
    rig.wait(Duration::from_secs(40));
    assert_eq!(rig.stack.stats().time_wait, 1);
    rig.wait(Duration::from_secs(21));
    assert_eq!(rig.stack.stats().time_wait, 0);
}

#[test]
fn a_reset_does_not_end_the_wait() {
    let mut rig = Rig::by_hand();
    let (snd_nxt, rcv_nxt) = closed(&mut rig, SYN);
    for seq in [rcv_nxt - 1, rcv_nxt, rcv_nxt + 1] {
        let heard = rig.say(Segment {
            control: TcpControl::Rst,
            seq,
            ack: Some(snd_nxt),
            ..SYN
        });
        assert_eq!(heard, []);
    }
    assert_eq!(rig.stack.stats().time_wait, 1);
}

#[test]
fn old_data_is_acknowledged_and_bare_acknowledgements_are_not() {
    let mut rig = Rig::by_hand();
    let (snd_nxt, rcv_nxt) = closed(&mut rig, SYN);
    rig.now += Duration::from_millis(60);
    let bare = Segment {
        control: TcpControl::None,
        seq: rcv_nxt,
        ack: Some(snd_nxt),
        ..SYN
    };
    assert_eq!(rig.say(bare), []);
    let data = Segment {
        payload: b"late",
        seq: rcv_nxt - 5,
        ..bare
    };
    assert_eq!(rig.say(data), [ack(SYN, snd_nxt, rcv_nxt)]);
}

#[test]
fn a_newer_syn_reopens_and_an_old_one_does_not() {
    let mut rig = Rig::by_hand();
    // Over the wrap of the sequence numbers too.
    for irs in [1000, u32::MAX - 20, 0x7fff_fff0] {
        let syn = Segment { seq: irs, ..SYN };
        let (snd_nxt, rcv_nxt) = closed(&mut rig, syn);
        // Duplicates of what the connection has used get an acknowledgement.
        for seq in [irs, irs.wrapping_add(10), rcv_nxt] {
            rig.wait(Duration::from_millis(60));
            rig.machine.out.clear();
            assert_eq!(
                rig.say(Segment { seq, ..SYN }),
                [ack(SYN, snd_nxt, rcv_nxt)]
            );
            assert_eq!(rig.stack.stats().time_wait, 1);
        }
        let newer = Segment {
            seq: rcv_nxt.wrapping_add(1),
            ..SYN
        };
        let iss = rig.open(newer);
        assert_eq!(rig.stack.stats().time_wait, 0);
        let heard = rig.say(Segment {
            control: TcpControl::Psh,
            seq: newer.seq.wrapping_add(1),
            ack: Some(iss.wrapping_add(1)),
            payload: GET,
            ..SYN
        });
        assert!(heard[0].payload.ends_with(b"body{}\n"));
        rig.say(Segment {
            control: TcpControl::Rst,
            seq: newer.seq.wrapping_add(1 + GET.len() as u32),
            ack: Some(0),
            ..SYN
        });
        assert_eq!(rig.stack.stats().open, 0);
    }
}

#[test]
fn our_initial_numbers_rise_and_are_told_apart() {
    let mut rig = Rig::by_hand();
    let first = |port, rig: &mut Rig| {
        let syn = Segment {
            client_port: port,
            ..SYN
        };
        let iss = rig.open(syn);
        rig.say(Segment {
            control: TcpControl::Rst,
            seq: 1001,
            ..syn
        });
        iss
    };
    let one = first(4000, &mut rig);
    assert_ne!(first(4001, &mut rig).wrapping_sub(one), 0);
    rig.now += Duration::from_secs(4);
    assert_eq!(
        first(4000, &mut rig).wrapping_sub(one),
        1_000_000,
        "a tick in 4 µs"
    );

    // Over a connection that is still remembered and has sent more than the clock allows for.
    let (mut snd_nxt, mut rcv_nxt) = closed(&mut rig, SYN);
    for _ in 0..50 {
        let syn = Segment {
            seq: rcv_nxt.wrapping_add(1),
            ..SYN
        };
        let next = closed(&mut rig, syn);
        let risen = next.0.wrapping_sub(snd_nxt) as i32;
        assert!(risen > 65_000, "from {snd_nxt} to {}", next.0);
        (snd_nxt, rcv_nxt) = next;
    }
}

#[test]
fn ten_thousand_connections_over_a_hundred_ports() {
    let mut rig = Rig::new();
    for n in 0..10_000u32 {
        // smoltcp draws its initial sequence numbers at random: half of them are smaller.
        let handle = rig.socket(4096, 1024);
        rig.dial(handle, SERVER.into(), 80, 50_000 + (n % 100) as u16);
        rig.settle();
        assert!(rig.tcp(handle).may_send(), "connection {n}");
        rig.send(handle, GET_CLOSE);
        let bytes = rig.read(handle, |_| false);
        let (answer, _) = Answer::parse(&bytes, false).expect("an answer");
        assert_eq!(answer.body, b"body{}\n");
        rig.tcp(handle).close();
        rig.settle();
        assert_eq!(rig.tcp(handle).state(), tcp::State::Closed);
        rig.sockets.remove(handle);
    }
    let stats = rig.stack.stats();
    assert_eq!(
        (stats.connections_served, stats.requests_served),
        (10_000, 10_000)
    );
    assert_eq!(
        (stats.open, stats.time_wait, stats.syn_dropped),
        (0, 100, 0)
    );
}

#[test]
fn a_full_record_table_forgets_the_oldest() {
    let mut config = common::config();
    config.memory = 1 << 20;
    let mut rig = Rig::with(config, common::site());
    let mut made = 0u32;
    while rig.stack.stats().evicted.time_wait < 10 {
        closed(
            &mut rig,
            Segment {
                client_port: 2000 + made as u16,
                ..SYN
            },
        );
        made += 1;
        assert!(made < 20_000, "the table is not bounded");
    }
    assert_eq!(rig.stack.stats().time_wait, u64::from(made - 10));
    // The first is unknown now, the last is not.
    rig.now += Duration::from_millis(60);
    let fin = Segment {
        control: TcpControl::Fin,
        seq: 5,
        ack: Some(7),
        ..SYN
    };
    let heard = rig.say(Segment {
        client_port: 2000,
        ..fin
    });
    assert_eq!(heard[0].control, TcpControl::Rst);
    let heard = rig.say(Segment {
        client_port: 2000 + made as u16 - 1,
        ..fin
    });
    assert_eq!(heard[0].control, TcpControl::None);
}

fn small(conns: u32) -> Rig {
    let mut config = common::config();
    config.conns = Some(conns);
    let rig = Rig::with(config, common::site());
    assert_eq!(rig.stack.stats().limit, u64::from(conns));
    rig
}

#[test]
fn other_ports_and_unknown_connections_are_reset() {
    let mut rig = Rig::by_hand();
    let heard = rig.say(Segment {
        server_port: 81,
        ..SYN
    });
    assert_eq!(
        (heard[0].control, heard[0].ack),
        (TcpControl::Rst, Some(1001))
    );
    let heard = rig.say(Segment {
        control: TcpControl::None,
        ack: Some(77),
        ..SYN
    });
    assert_eq!((heard[0].control, heard[0].seq), (TcpControl::Rst, 77));
    // A reset is not answered.
    let heard = rig.say(Segment {
        control: TcpControl::Rst,
        ..SYN
    });
    assert_eq!(heard, []);
}

#[test]
fn damaged_segments_are_dropped_and_counted() {
    let mut rig = Rig::by_hand();
    let frame = SYN.frame();
    for end in 0..frame.len() {
        rig.inject(&frame[..end]);
    }
    assert_eq!(rig.stack.stats().dropped.malformed, frame.len() as u64);
    let mut damaged = frame.clone();
    damaged[40] ^= 1;
    rig.inject(&damaged);
    assert_eq!(rig.stack.stats().dropped.checksum, 1);
    let mut elsewhere = frame.clone();
    elsewhere[5] ^= 1;
    rig.inject(&elsewhere);
    assert_eq!(rig.stack.stats().dropped.not_for_us, 1);
    // A changed header, which TCP's own checksum does not cover.
    let mut rerouted = frame.clone();
    rerouted[22] ^= 1;
    rig.inject(&rerouted);
    assert_eq!(rig.stack.stats().dropped.checksum, 2);
    assert_eq!(rig.machine.out.len(), 0);
    assert_eq!(rig.stack.stats().half_open, 0);
    // What the device has verified is not verified again.
    rig.stack.ingest(&damaged, true, &mut rig.machine, rig.now);
    assert_eq!(rig.stack.stats().dropped.checksum, 2);
}

#[test]
fn slots_are_used_again_with_nothing_of_the_last_connection() {
    let mut rig = small(8);
    for n in 0..200u16 {
        let syn = Segment {
            client_port: 5000 + n,
            ..SYN
        };
        let iss = rig.open(syn);
        // Every other connection leaves half a request behind.
        let payload = if n % 2 == 0 { &b"GET /half"[..] } else { GET };
        let heard = rig.say(Segment {
            control: TcpControl::Psh,
            seq: 1001,
            ack: Some(iss.wrapping_add(1)),
            payload,
            ..syn
        });
        if n % 2 == 1 {
            assert!(heard[0].payload.ends_with(b"body{}\n"));
        }
        rig.say(Segment {
            control: TcpControl::Rst,
            seq: 1001 + payload.len() as u32,
            ..syn
        });
        assert_eq!(rig.stack.stats().open, 0);
    }
    assert_eq!(rig.stack.stats().evicted_total(), 0);
}
