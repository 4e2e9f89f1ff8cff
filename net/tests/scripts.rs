//! Scripts of hostile frames, as the fuzz target plays them: random ones, and all that it found
//! worth keeping.

mod common;

use common::Random;
use common::script::play;

#[test]
fn random_scripts() {
    let mut random = Random(4);
    for _ in 0..300 {
        let len = random.next() % 600;
        let script: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        play(&script);
    }
}

#[test]
fn the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/frames");
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
