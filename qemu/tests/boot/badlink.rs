//! The kernel behind a link that loses, delays, doubles and reorders, with Linux as its client.

use crate::harness::badlink::from_guest;
use crate::harness::heavy;

#[test]
fn a_long_answer_over_a_bad_link_is_whole() {
    let _alone = heavy();
    let runs = from_guest(1 << 20, 4);
    println!("1 MiB: {runs:?}");
    assert!(runs.iter().all(|run| run.right), "{runs:?}");
}
