//! Used entries that cannot be true.

use crate::{Class, Cost, Counter, RX, SIZE, TX, all, class};
use quartz_drivers::model::{Tamper, Town};

const LIE: Cost = Cost::Reset(Some(Counter::BadUsed));

pub const CLASSES: &[Class] = &[
    class("rx id beyond the ring", LIE, |t| {
        lie(t, RX, Tamper::Id(SIZE.into()))
    }),
    class("tx id beyond the ring", LIE, |t| {
        lie(t, TX, Tamper::Id(SIZE.into()))
    }),
    class("rx id whose low bits are right", LIE, |t| {
        lie(t, RX, Tamper::Id(0x0001_0003))
    }),
    class("tx id whose low bits are right", LIE, |t| {
        lie(t, TX, Tamper::Id(0x0001_0003))
    }),
    class("rx id 0xdeadbeef", LIE, |t| {
        lie(t, RX, Tamper::Id(0xdead_beef))
    }),
    class("rx id of a frame that the server holds", LIE, |t| {
        t.hoards = true;
        assert_eq!(t.beat(), Ok(true));
        t.hoards = false;
        for id in 0..SIZE {
            if t.held.iter().any(|f| slot(f) == id) {
                lie(t, RX, Tamper::Id(id.into()));
                return;
            }
        }
        panic!("a frame is held");
    }),
    class("tx id that was never given", LIE, |t| {
        lie(t, TX, Tamper::Id(SIZE as u32 - 1))
    }),
    class("rx id repeated", LIE, |t| {
        t.rig.host.state_mut().tampers[0].extend([None, Some(Tamper::Repeat)]);
        for _ in 0..2 {
            t.rig.host.deliver(&[0x52; 60]);
        }
    }),
    class("tx id repeated", LIE, |t| {
        t.rig.host.state_mut().tampers[1].extend([None, Some(Tamper::Repeat)]);
        for _ in 0..2 {
            t.rig.send(&[0x52; 60]);
        }
    }),
    class("rx length zero", LIE, |t| lie(t, RX, Tamper::Len(0))),
    class("rx length below the header", LIE, |t| {
        lie(t, RX, Tamper::Len(9))
    }),
    class("rx length beyond the buffer by one", LIE, |t| {
        lie(t, RX, Tamper::Len(2049))
    }),
    class("rx length 0xffffffff", LIE, |t| {
        lie(t, RX, Tamper::Len(u32::MAX))
    }),
    class("rx length whose low bits are right", LIE, |t| {
        lie(t, RX, Tamper::Len(0x0001_0040))
    }),
    class("tx length 0xffffffff", LIE, |t| {
        lie(t, TX, Tamper::Len(u32::MAX))
    }),
    class("rx used.idx ahead by a ring", LIE, |t| {
        lie(t, RX, Tamper::Skip(SIZE))
    }),
    class("tx used.idx ahead by one", LIE, |t| {
        lie(t, TX, Tamper::Skip(1))
    }),
    class("rx used.idx ahead by half of all", LIE, |t| {
        lie(t, RX, Tamper::Skip(0x8000))
    }),
    class("rx used.idx back by one", LIE, |t| {
        lie(t, RX, Tamper::Skip(0xfffe))
    }),
    class("tx used.idx back by two", LIE, |t| {
        lie(t, TX, Tamper::Skip(0xfffd))
    }),
    class("rx used.idx ahead on an idle ring", LIE, |t| {
        forge(t, RX, 100)
    }),
    class("rx used.idx back on an idle ring", LIE, |t| {
        forge(t, RX, 0xffff)
    }),
    class("tx used.idx ahead on an idle ring", LIE, |t| {
        forge(t, TX, 1)
    }),
    class("tx used.idx back on an idle ring", LIE, |t| {
        forge(t, TX, 0xffff)
    }),
    class(
        "rx entry forged for what is outstanding",
        Cost::Reset(None),
        |t| {
            // True by itself: the driver takes it. The device uses the buffer again later.
            for _ in 0..SIZE {
                t.rig.host.forge_used(RX, 0, 60);
            }
        },
    ),
    class(
        "lies after each reset, twice",
        Cost::Reset(Some(Counter::BadUsed)),
        |t| {
            lie(t, RX, Tamper::Id(77));
            lie(t, RX, Tamper::Id(78));
        },
    ),
];

fn lie(town: &mut Town, queue: u16, tamper: Tamper) {
    town.rig.host.tamper(queue, tamper);
}

fn forge(town: &mut Town, queue: u16, by: u16) {
    let stats = match queue {
        RX => town.rig.net.rx_stats(),
        _ => town.rig.net.tx_stats(),
    };
    town.rig
        .host
        .forge_used_idx(queue, stats.used_idx.wrapping_add(by));
    // Found by the tick, without a frame that comes to it.
    town.clients = false;
    town.beat().expect("it goes on");
    town.clients = true;
}

/// Number of the buffer that a frame lies in, as its `Debug` form tells.
fn slot(frame: &impl core::fmt::Debug) -> u16 {
    let text = format!("{frame:?}");
    let digits = text.split("slot: ").nth(1).expect("it has a slot");
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn lies_in_the_used_rings() {
    all(CLASSES);
}
