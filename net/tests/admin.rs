//! The pages of the admin port.

mod common;

use common::{Answer, Rig};
use flate2::read::GzDecoder;
use quartz_net::Duration;
use smoltcp::iface::SocketHandle;
use std::collections::BTreeSet;
use std::io::Read;

fn admin(rig: &mut Rig) -> SocketHandle {
    let handle = rig.socket(65_535, 16_384);
    let own = rig.port();
    rig.dial(handle, common::SERVER.into(), 9100, own);
    assert!(rig.until(Duration::from_secs(5), |rig| rig.tcp(handle).may_send()));
    handle
}

fn ask(rig: &mut Rig, target: &str, fields: &str) -> Answer {
    let handle = admin(rig);
    rig.ask(
        handle,
        &format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"),
    )
}

#[test]
fn metrics_have_one_family_to_a_name_and_no_sample_twice() {
    let mut rig = Rig::new();
    rig.get("/");
    rig.get("/nowhere");
    let answer = ask(&mut rig, "/metrics", "");
    assert_eq!(answer.code, 200);
    let kind = answer.field("Content-Type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with('\n') && !text.contains("\n\n"));

    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let (mut helped, mut family) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && families.insert(name), "{line}");
            helped = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name;
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert_eq!(sample.split('{').next().unwrap(), family);
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            assert!(samples.insert(sample), "{line}");
        }
    }
    assert!(families.len() > 40 && samples.len() > families.len());
    for line in [
        "quartz_build_info{version=\"test\"} 1\n",
        "quartz_boot_seconds 0.031000\n",
        "quartz_healthy 1\n",
        "quartz_http_requests_total{code=\"2xx\"} 1\n",
        "quartz_http_requests_total{code=\"4xx\"} 1\n",
        "quartz_connections{state=\"busy\"} 1\n",
        "quartz_frames_dropped_total{queue=\"tx\",reason=\"ring_full\"} 0\n",
        "quartz_heap_used_bytes 1000\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }

    rig.stack.degrade(Some("the link is silent"));
    let text = String::from_utf8(ask(&mut rig, "/metrics", "").body).unwrap();
    assert!(text.contains("quartz_healthy 0\n"), "{text}");
}

#[test]
fn the_root_is_a_page_for_browsers_and_a_list_for_others() {
    let mut rig = Rig::new();
    let page = ask(
        &mut rig,
        "/",
        "Accept-Encoding: gzip, deflate, br, zstd\r\n",
    );
    assert_eq!(page.code, 200);
    assert_eq!(page.field("Content-Encoding"), Some("gzip"));
    assert_eq!(page.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    let policy = page.field("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(page.body.len() < 12 << 10, "{} bytes", page.body.len());
    let mut text = String::new();
    GzDecoder::new(&page.body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>"));
    // Nothing comes from elsewhere; the name of SVG is no address.
    let addresses = text.matches("http").count();
    assert_eq!(
        addresses,
        text.matches("http://www.w3.org/2000/svg").count()
    );

    for fields in [
        "",
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: br\r\n",
    ] {
        let list = ask(&mut rig, "/", fields);
        assert_eq!((list.code, list.field("Content-Encoding")), (200, None));
        assert_eq!(list.field("Vary"), Some("Accept-Encoding"));
        let text = String::from_utf8(list.body).unwrap();
        // What it lists is there.
        rig.machine.black_box = vec![1; 10];
        for path in text.lines().filter_map(|line| line.split(' ').next()) {
            if path.starts_with('/') {
                assert_eq!(ask(&mut rig, path, "").code, 200, "{path}");
            }
        }
    }
    let handle = admin(&mut rig);
    let head = rig.ask(
        handle,
        "HEAD / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
    );
    let length = page.body.len().to_string();
    assert_eq!(head.field("Content-Length"), Some(&*length));
    // The connection goes on behind it.
    assert_eq!(
        rig.ask(handle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .body,
        b"ok"
    );
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(rig.ask(handle, post).code, 405);
    // On the site's port the root is the site's.
    assert!(rig.get("/").field("Content-Security-Policy").is_none());
}
