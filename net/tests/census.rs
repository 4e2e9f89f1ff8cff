//! What the stack tells of its connections.

mod common;

use common::raw::{SYN, Segment};
use common::{Answer, CLIENT, Rig};
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

#[test]
fn a_page_of_connections_shows_who_asks_for_it() {
    let mut rig = Rig::new();
    let others: Vec<_> = (0..3).map(|_| rig.connect()).collect();
    let handle = rig.socket(65_535, 16_384);
    let own = rig.port();
    rig.dial(handle, common::SERVER.into(), 9100, own);
    rig.until(Duration::from_secs(5), |rig| rig.tcp(handle).may_send());
    let ask = |rig: &mut Rig, target: &str| {
        let answer = rig.ask(handle, &format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        (answer.code, String::from_utf8(answer.body).unwrap())
    };
    let (code, text) = ask(&mut rig, "/flows.json");
    assert_eq!(code, 200, "{text}");
    assert!(
        text.contains("\"total\":4,\"flows\":[{\"slot\":0,\"state\":\"idle\""),
        "{text}"
    );
    assert!(text.ends_with("}],\"next\":null}\n"), "{text}");
    let mine = format!("\"state\":\"busy\",\"peer\":\"{CLIENT}:{own}\",\"port\":9100,");
    assert!(text.contains(&mine), "{mine} is not in {text}");
    assert_eq!(text.matches("\"slot\"").count(), 4);

    let (_, rest) = ask(&mut rig, "/flows.json?from=3");
    assert_eq!(rest.matches("\"slot\"").count(), 1, "{rest}");
    assert!(rest.contains(&mine), "{rest}");
    let (_, none) = ask(&mut rig, "/flows.json?from=4000000000");
    assert!(
        none.ends_with("\"total\":4,\"flows\":[],\"next\":null}\n"),
        "{none}"
    );
    for query in ["from=x", "from=-1", "from=4294967296", "page=1"] {
        assert_eq!(
            ask(&mut rig, &format!("/flows.json?{query}")).0,
            400,
            "{query}"
        );
    }

    // Two in a row: each sees the table as it is when it is answered, the second not the first's.
    let one = "GET /flows.json?from=0 HTTP/1.1\r\nHost: x\r\n\r\n";
    let two = "GET /flows.json?from=2 HTTP/1.1\r\nHost: x\r\n\r\n";
    rig.send(handle, format!("{one}{two}{one}").as_bytes());
    let mut counts = Vec::new();
    rig.read(handle, |bytes| {
        let mut at = 0;
        counts.clear();
        while let Some((answer, len)) = Answer::parse(&bytes[at..], false) {
            at += len;
            let text = String::from_utf8(answer.body).unwrap();
            counts.push(text.matches("\"slot\"").count());
        }
        counts.len() == 3
    });
    assert_eq!(counts, [4, 2, 4]);
    drop(others);
    // The site's port does not tell.
    assert_eq!(rig.get("/flows.json").code, 404);
    assert_eq!(rig.get("/metrics").code, 404);
}
