//! What the stack tells of its connections.

mod common;

use common::raw::{SYN, Segment};
use common::{CLIENT, Rig};
use quartz_net::{Duration, FlowSnapshot, FlowState};
use smoltcp::wire::TcpControl;
use std::net::{IpAddr, SocketAddr};

const GET: &[u8] = b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n";

fn flows(rig: &Rig) -> Vec<FlowSnapshot> {
    let slots = 0..rig.stack.flow_slots();
    slots
        .filter_map(|slot| rig.stack.flow(slot, rig.now))
        .collect()
}

#[test]
fn a_connection_is_seen_from_its_first_segment_to_its_last() {
    let mut rig = Rig::by_hand();
    assert_eq!((flows(&rig), rig.stack.flow(0, rig.now)), (vec![], None));

    let heard = rig.say(SYN);
    rig.wait(Duration::from_millis(100));
    let [half] = flows(&rig)[..] else {
        panic!("one connection");
    };
    let peer = SocketAddr::new(IpAddr::V4(CLIENT), SYN.client_port);
    assert_eq!((half.state, half.peer), (FlowState::HalfOpen, peer));
    assert_eq!((half.received, half.sent, half.queued), (0, 0, 0));

    let first = heard[0].seq.wrapping_add(1);
    let seq = SYN.seq.wrapping_add(1);
    let ask = Segment {
        control: TcpControl::Psh,
        seq,
        ack: Some(first),
        payload: GET,
        ..SYN
    };
    let answer = rig.say(ask);
    let said: usize = answer.iter().map(|segment| segment.payload.len()).sum();
    let [busy] = flows(&rig)[..] else {
        panic!("one connection");
    };
    assert_eq!(busy.state, FlowState::Busy);
    assert_eq!((busy.received as usize, busy.sent), (GET.len(), 0));
    assert_eq!(busy.queued as usize, said);

    rig.say(Segment {
        control: TcpControl::None,
        seq: seq.wrapping_add(GET.len() as u32),
        ack: Some(first.wrapping_add(said as u32)),
        payload: b"",
        ..SYN
    });
    rig.wait(Duration::from_secs(2));
    let [idle] = flows(&rig)[..] else {
        panic!("one connection");
    };
    assert_eq!(idle.state, FlowState::Idle);
    assert_eq!((idle.sent as usize, idle.queued), (said, 0));
    assert_eq!((idle.slot, idle.port), (half.slot, 80));
    let grown = idle.age.total_millis() - half.age.total_millis();
    assert!((1990..2100).contains(&grown), "{grown}");
}

#[test]
fn bytes_are_counted_over_the_end_of_the_number_space() {
    let mut rig = Rig::by_hand();
    let syn = Segment {
        seq: u32::MAX - 5,
        ..SYN
    };
    let iss = rig.open(syn);
    rig.say(Segment {
        control: TcpControl::Psh,
        seq: syn.seq.wrapping_add(1),
        ack: Some(iss.wrapping_add(1)),
        payload: GET,
        ..syn
    });
    assert_eq!(flows(&rig)[0].received as usize, GET.len());
}

#[test]
fn records_of_closed_connections_are_told_oldest_first() {
    let mut rig = Rig::by_hand();
    for port in [4001, 4002] {
        let syn = Segment {
            client_port: port,
            ..SYN
        };
        let iss = rig.open(syn);
        let close = b"GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let seq = syn.seq.wrapping_add(1);
        let heard = rig.say(Segment {
            control: TcpControl::Psh,
            seq,
            ack: Some(iss.wrapping_add(1)),
            payload: close,
            ..syn
        });
        let answer: usize = heard.iter().map(|segment| segment.payload.len()).sum();
        let end = heard[0].seq.wrapping_add(answer as u32);
        // With the FIN acknowledged, but not ours yet, it is a connection that closes.
        let seq = seq.wrapping_add(close.len() as u32);
        rig.say(Segment {
            control: TcpControl::None,
            seq,
            ack: Some(end.wrapping_add(1)),
            ..syn
        });
        let closing = flows(&rig)[0];
        assert_eq!(closing.state, FlowState::Closing);
        assert_eq!(closing.sent as usize, answer);
        assert_eq!(closing.received as usize, close.len());
        rig.say(Segment {
            control: TcpControl::Fin,
            seq,
            ack: Some(end.wrapping_add(1)),
            ..syn
        });
        rig.wait(Duration::from_secs(10));
    }
    assert_eq!(flows(&rig), []);
    let closed: Vec<_> = rig.stack.closed(rig.now).collect();
    let ports: Vec<u16> = closed.iter().map(|one| one.peer.port()).collect();
    assert_eq!(ports, [4001, 4002]);
    let left: Vec<u64> = closed.iter().map(|one| one.left.secs()).collect();
    assert!(
        (39..=40).contains(&left[0]) && (49..=50).contains(&left[1]),
        "{left:?}"
    );
}
