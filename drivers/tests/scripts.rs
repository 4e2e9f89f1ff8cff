//! Sequences of operations, with kernel, network and hostile device in any order: none makes the
//! driver panic, hang or lose a descriptor, and it comes back or says why it does not.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use quartz_drivers::model::{End, play};
use std::cell::Cell;

/// The same sequences on every run.
fn runner(cases: u32, seed: u8) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    TestRunner::new_with_rng(config, rng)
}

#[test]
fn any_sequence() {
    let ends = [Cell::new(0), Cell::new(0), Cell::new(0)];
    runner(600, 1)
        .run(&vec(any::<u8>(), 2..400), |script| {
            let end = &ends[play(&script) as usize];
            end.set(end.get() + 1);
            Ok(())
        })
        .expect("every sequence ends well");
    // The sequences reach both ends, so that neither half of the check is idle.
    let [_, given_up, served] = ends.map(Cell::into_inner);
    assert!(served > 100 && given_up > 10, "{served} {given_up}");
}

/// The bytes of one operation that leaves the registers alone: frames, the kernel's steps, and
/// lies in the used rings.
fn lying_step() -> impl Strategy<Value = Vec<u8>> {
    let operation = prop_oneof![0..15_u8, 18..22_u8];
    (operation, vec(any::<u8>(), 0..4)).prop_map(|(operation, mut detail)| {
        detail.insert(0, operation);
        detail
    })
}

#[test]
fn sequences_of_lies() {
    runner(600, 2)
        .run(
            &(any::<[u8; 2]>(), vec(lying_step(), 1..120)),
            |(kind, steps)| {
                let script: Vec<u8> = kind.into_iter().chain(steps.concat()).collect();
                play(&script);
                Ok(())
            },
        )
        .expect("every sequence ends well");
}

/// Everything that the fuzzer found worth keeping.
#[test]
fn the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/script");
    let mut scripts: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("readable").path())
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 10, "{} scripts", scripts.len());
    for path in scripts {
        play(&std::fs::read(path).expect("readable"));
    }
}

#[test]
fn a_quiet_script_serves() {
    for kind in 0..8 {
        assert_eq!(play(&[kind, 0x33]), End::Served);
    }
}
