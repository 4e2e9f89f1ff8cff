//! What cannot be brought about from outside.

use crate::model::{Attributes, Town};

/// A mistake of the driver's own costs a reset, as one of the device does.
#[test]
fn books_that_do_not_balance_cost_a_reset() {
    for transmit in [false, true] {
        let mut town = Town::new(Attributes::tap(false), 16, 16).expect("the device is fine");
        assert_eq!(town.beats(10), Ok(10));
        let net = &mut town.rig.net;
        if transmit {
            net.transmit(60, |frame| frame.fill(0x52))
                .expect("there is room");
            net.tx.ledger().lose_one();
        } else {
            net.rx.ledger().lose_one();
        }
        town.rig.tick().expect("it comes back");
        let rx = town.rig.net.rx_stats();
        assert_eq!((rx.resets, rx.bad_used), (1, 0), "transmit: {transmit}");
        assert_eq!(town.beats(10), Ok(10));
    }
}
