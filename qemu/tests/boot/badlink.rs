//! The kernel behind a link that loses, delays, doubles and reorders, with Linux as its client.

use crate::harness::badlink::{from_guest, from_linux};
use crate::harness::heavy;

#[test]
fn a_long_answer_over_a_bad_link_is_whole() {
    let _alone = heavy();
    let times = from_guest(1 << 20, 1..4);
    println!("1 MiB: {times:?}");
}

#[test]
fn linux_over_a_bad_link() {
    let _alone = heavy();
    let times = from_linux(1 << 20, 1..4);
    println!("1 MiB: {times:?}");
}
