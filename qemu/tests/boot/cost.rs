//! The counters of `quartz bench` on a real guest.

use crate::harness::network::in_namespace;
use crate::harness::{kernel, light, target};
use quartz::bench::meter::Counts;
use quartz::bench::reflector;
use quartz::bench::sheet::Word;
use quartz::bench::subject::{Count, Kit, Running, Subject, Wire, files};
use quartz::http::Client;
use quartz::site::Site;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

const REQUESTS: u64 = 50;

fn kit(folder: &std::path::Path) -> Kit {
    files(folder).unwrap();
    Kit {
        qemu: quartz::program::find(None).unwrap(),
        kernel: kernel(),
        site: Arc::new(Site::open(folder).unwrap()),
        peers: folder.into(),
        plugin: target("release/libquartz_plugin.so"),
    }
}

/// What so many sequential requests add to the counters.
fn grown(guest: &Running) -> Counts {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut client = Client::connect(guest.address, deadline).unwrap();
    client.request("GET", "/").unwrap();
    let meter = guest.meter.as_ref().unwrap();
    let before = meter.read().unwrap();
    for _ in 0..REQUESTS {
        client.request("GET", "/").unwrap();
    }
    sleep(Duration::from_millis(100));
    meter.read().unwrap().since(&before)
}

#[test]
fn requests_cost_instructions_notifications_and_interrupts() {
    let _machine = light();
    let folder = tempfile::tempdir().unwrap();
    let kit = kit(folder.path());
    let guest = kit
        .start(Subject::Quartz, Wire::User, 2, Count::Exits)
        .unwrap();
    let grown = grown(&guest);
    let each = grown.get(Word::Instructions) / REQUESTS;
    assert!((1_000..100_000).contains(&each), "{each} instructions");
    // Each answer is handed over; what arrives meanwhile may be announced together.
    assert!(grown.get(Word::Notifications) >= REQUESTS, "{grown:?}");
    let interrupts = grown.get(Word::Interrupts);
    assert!((1..REQUESTS * 10).contains(&interrupts), "{grown:?}");
    // Whoever is interrupted by the device acknowledges it.
    assert!(grown.get(Word::Acknowledgements) > 0, "{grown:?}");
    assert!(grown.get(Word::Halts) > 0, "{grown:?}");
    guest.stop().unwrap();
}

#[test]
fn a_profile_accounts_for_every_instruction() {
    let _machine = light();
    let folder = tempfile::tempdir().unwrap();
    let kit = kit(folder.path());
    let guest = kit
        .start(Subject::Quartz, Wire::User, 2, Count::Profile)
        .unwrap();
    grown(&guest);
    let meter = guest.meter.as_ref().unwrap();
    sleep(Duration::from_millis(200));
    let (before, rows, after) = (
        meter.read().unwrap(),
        meter.rows().unwrap(),
        meter.read().unwrap(),
    );
    let counted: u64 = rows.iter().map(|(_, count)| count).sum();
    // A block that an interrupt cuts short counts whole in one and by instruction in the other.
    let least = before.get(Word::Instructions) * 99 / 100;
    let most = after.get(Word::Instructions) * 101 / 100;
    assert!((least..=most).contains(&counted), "{counted} of {most}");
    assert_eq!(after.get(Word::RowsLost), 0);
    guest.stop().unwrap();
}

#[test]
fn the_reflector_sends_datagrams_back() {
    let _machine = light();
    in_namespace(|| {
        let folder = tempfile::tempdir().unwrap();
        let guest = kit(folder.path())
            .start(Subject::Reflector, Wire::Tap, 50, Count::Nothing)
            .unwrap();
        let echo = UdpSocket::bind("0.0.0.0:0").unwrap();
        echo.connect((guest.address.ip(), 7)).unwrap();
        echo.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for len in [1, 64, 1472] {
            let sent: Vec<u8> = (0..len).map(|at| at as u8).collect();
            echo.send(&sent).unwrap();
            let mut back = [0; 2048];
            let count = echo.recv(&mut back).unwrap();
            assert_eq!(back[..count], sent[..]);
        }
        let many = reflector::drive(guest.address, Duration::from_millis(300)).unwrap();
        assert!(many > 64, "{many} came back");
        // The site is served all the same.
        let deadline = Instant::now() + Duration::from_secs(5);
        assert_eq!(
            quartz::http::get(guest.address, "/", deadline)
                .unwrap()
                .status,
            200
        );
        guest.stop().unwrap();
    });
}
