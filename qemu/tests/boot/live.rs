//! The example application in a real browser: figures that move, a chart, no complaint.

use crate::harness::browser::{browse, checked, value, watched};
use crate::harness::network::{TAP, boot_on_tap, in_namespace};
use crate::harness::{heavy, soon, target, wait_until};
use quartz::http;
use quartz::site::Site;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the browser watches, in milliseconds.
const WATCHED: u64 = 10_000;
/// How long until it takes a picture.
const GLANCE: u64 = 4_000;
/// More bytes than an empty page of this size takes as a picture.
const PICTURE: u64 = 20_000;

/// A page that shows the live one and writes down, as it goes, what that shows. A script that
/// never ends keeps the browser from being done.
const CHECK: &str = r##"<!doctype html><title>check</title>
<iframe id="frame" src="/" width="1100" height="860"></iframe><pre id="result">nothing</pre>
<script>
const frame = document.getElementById("frame");
const seen = new Set();
let points = 0;
setInterval(() => {
    const page = frame.contentDocument;
    const figure = (name) => page.querySelector(`[data-figure=${name}]`)?.textContent;
    seen.add(figure("frames"));
    const line = page.querySelector("#chart path.line.requests")?.getAttribute("d") ?? "";
    points = Math.max(points, line.split("L").length);
    document.getElementById("result").textContent = [
        "state=" + page.getElementById("state")?.textContent.trim(),
        "different=" + seen.size,
        "points=" + points,
        "labels=" + page.querySelectorAll("#chart text").length,
        "rx=" + figure("rx"),
    ].join(";");
}, 200);
</script>
<script async src="/events?ms=60000"></script>"##;

/// The example's site with the page above.
fn site() -> Option<Arc<Site>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/live/site");
    checked(&folder, CHECK)
}

#[test]
fn the_live_page_moves() {
    let _heavy = heavy();
    in_namespace(|| {
        let served = boot_on_tap(|machine| {
            machine.kernel = target("quartz-live.elf");
            machine.site = site();
        });
        let profile = tempfile::tempdir().unwrap();
        let url = format!("http://{}/check.html", served.site);
        let result = watched(&url, profile.path(), WATCHED);
        let number = |key: &str| value(&result, key).parse::<u32>().unwrap();
        assert_eq!(value(&result, "state"), "live", "{result}");
        assert!(number("different") >= 4, "{result}");
        assert!(number("points") >= 3, "{result}");
        assert_eq!(number("labels"), 17, "{result}");
        assert!(value(&result, "rx").contains(" of "), "{result}");

        let picture = profile.path().join("live.png");
        let word = format!("--screenshot={}", picture.display());
        browse(
            &url,
            profile.path(),
            GLANCE,
            &[&word, "--window-size=1120,880"],
        );
        let bytes = fs::metadata(&picture).unwrap().len();
        assert!(bytes > PICTURE, "a picture of {bytes} bytes");
        served.stop();
    });
}

/// A stream of events: the next event.
fn event(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\n\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    text
}

fn listen(site: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(site).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream
}

#[test]
fn events_come_to_many_until_the_guest_drains() {
    let _heavy = heavy();
    in_namespace(|| {
        assert!(!TAP.is_empty());
        let served = boot_on_tap(|machine| {
            machine.kernel = target("quartz-live.elf");
            machine.site = site();
        });
        let mut streams: Vec<TcpStream> = (0..100)
            .map(|_| listen(served.site, "/events?ms=200"))
            .collect();
        for stream in &mut streams {
            for _ in 0..3 {
                assert!(event(stream).contains("data: {\"version\":"));
            }
        }
        // Others are served meanwhile, and a client that goes away is noticed.
        assert_eq!(served.get("/").status, 200);
        assert_eq!(served.get("/events?ms=often").status, 400);
        streams.truncate(10);
        wait_until("the others' connections end", || {
            served.stats().number("connections.open") <= 12
        });
        let admin = http::get(served.site, "/healthz", soon()).unwrap();
        assert_eq!(admin.status, 200);
        served.stop();
        for stream in &mut streams {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(rest.ends_with(b"0\r\n\r\n"), "a stream without its end");
        }
    });
}
