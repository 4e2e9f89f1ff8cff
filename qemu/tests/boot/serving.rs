//! The site and the endpoints, as curl and a plain socket see them.

use crate::harness::guest::{ADDRESS, Served, boot, image, packed};
use crate::harness::network::{TAP, boot_on_tap, in_namespace};
use crate::harness::process::{Process, success};
use crate::harness::{STEP, kernel, light, soon, wait_until};
use quartz::http::{self, Client};
use quartz::machine::{Attachment, Forward};
use quartz::port;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use std::fs;
use std::net::{SocketAddrV4, SocketAddrV6};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A small site in a directory.
fn directory() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("index.html", "<!doctype html><title>mine</title>\n"),
        ("style.css", "body { color: green }\n"),
        ("a file with blanks.txt", "blanks\n"),
        ("sub/index.html", "below\n"),
        (
            "sub/picture.svg",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n",
        ),
        ("stats.json", "a file of the site\n"),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(folder.path().join("big.bin"), big).unwrap();
    folder
}

fn curl(served: &Served, words: &[&str], target: &str) -> String {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--max-time", "15", "--noproxy", "*"])
        .args(words)
        .arg(format!("http://{}{target}", served.site));
    success(&mut command, STEP)
}

#[test]
fn the_demo_site_is_served_without_a_site_image() {
    let _light = light();
    let served = boot(|_| {});
    let page = served.get("/");
    assert_eq!(page.status, 200);
    assert!(page.field("content-type").unwrap().starts_with("text/html"));
    assert!(String::from_utf8(page.body).unwrap().contains("Quartz"));
    served.stop();
}

#[test]
fn a_directory_is_served_byte_for_byte() {
    let _light = light();
    let folder = directory();
    let served = boot(|machine| machine.site = packed(folder.path()));
    for (target, name, kind) in [
        ("/", "index.html", "text/html"),
        ("/index.html", "index.html", "text/html"),
        ("/style.css", "style.css", "text/css"),
        (
            "/a%20file%20with%20blanks.txt",
            "a file with blanks.txt",
            "text/plain",
        ),
        ("/sub/", "sub/index.html", "text/html"),
        ("/sub/picture.svg", "sub/picture.svg", "image/svg+xml"),
        ("/big.bin", "big.bin", "application/octet-stream"),
        ("/style.css?v=2", "style.css", "text/css"),
    ] {
        let answer = served.get(target);
        assert_eq!(answer.status, 200, "{target}");
        let on_disk = fs::read(folder.path().join(name)).unwrap();
        assert!(answer.body == on_disk, "{target} differs from {name}");
        let told = answer.field("content-type").unwrap_or_default();
        assert!(told.starts_with(kind), "{target} is {told}");
    }
    served.stop();
}

#[test]
fn a_file_never_hides_an_endpoint() {
    let _light = light();
    let folder = directory();
    let served = boot(|machine| machine.site = packed(folder.path()));
    assert!(served.stats().number("requests_served") < 100);
    served.stop();
}

#[test]
fn curl_is_served() {
    let _light = light();
    let folder = directory();
    let served = boot(|machine| machine.site = packed(folder.path()));
    let head = curl(&served, &["-I"], "/style.css");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_lowercase().contains("content-length: 22"), "{head}");
    let format = "%{http_code} %{num_connects}\\n";
    let missing = curl(&served, &["-o", "/dev/null", "-w", format], "/no/such/file");
    assert_eq!(missing, "404 1\n");
    let site = format!("http://{}/style.css", served.site);
    let words = ["-o", "/dev/null", "-w", format, &site, "-o", "/dev/null"];
    let twice = curl(&served, &words, "/");
    assert_eq!(
        twice, "200 1\n200 0\n",
        "the second request uses the same connection"
    );
    let closed = curl(&served, &["-i", "-H", "Connection: close"], "/style.css");
    assert!(
        closed.to_lowercase().contains("connection: close"),
        "{closed}"
    );
    served.stop();
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let _light = light();
    let folder = directory();
    let served = boot(|machine| machine.site = packed(folder.path()));
    let mut client = served.connect();
    let targets = ["/style.css", "/no", "/big.bin", "/sub/", "/style.css"];
    let mut requests = String::new();
    for target in targets {
        requests += &format!("GET {target} HTTP/1.1\r\nHost: quartz\r\n\r\n");
    }
    client.send(requests.as_bytes()).unwrap();
    let answers = targets.map(|_| client.answer(false).unwrap());
    assert_eq!(
        answers.each_ref().map(|a| a.status),
        [200, 404, 200, 200, 200]
    );
    assert_eq!(answers[2].body.len(), 3_000_000);
    assert_eq!(answers[4].body, b"body { color: green }\n");
    served.stop();
}

#[test]
fn a_request_in_pieces_is_understood() {
    let _light = light();
    let served = boot(|_| {});
    let mut client = served.connect();
    for byte in b"GET /healthz HTTP/1.1\r\nHost: quartz\r\n\r\n" {
        client.send(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(client.answer(false).unwrap().status, 200);
    served.stop();
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let _light = light();
    let served = boot(|_| {});
    let mut client = served.connect();
    let get = client.request("GET", "/").unwrap();
    let head = client.request("HEAD", "/").unwrap();
    assert_eq!((get.status, head.status), (200, 200));
    assert!(head.body.is_empty());
    for field in ["content-length", "content-type"] {
        assert_eq!(get.field(field), head.field(field), "{field}");
    }
    // Had a body come, this answer would not be understood.
    let body = client.request("GET", "/healthz").unwrap().body;
    assert_eq!(body.trim_ascii(), b"ok");
    served.stop();
}

#[test]
fn what_is_no_request_costs_one_connection_only() {
    let _light = light();
    let served = boot(|_| {});
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls hello \r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost quartz\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: quartz\r\n\r\n",
    ] {
        let mut client = served.connect();
        client.send(garbage).unwrap();
        let answer = client.answer(false).unwrap();
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(served.get("/").status, 200);
    served.stop();
}

#[test]
fn stats_have_every_field_of_the_contract() {
    let _light = light();
    let served = boot(|_| {});
    let before = served.stats();
    assert_eq!(before.0["version"], env!("CARGO_PKG_VERSION"));
    for path in [
        "uptime_ms",
        "boot_us",
        "connections_served",
        "requests_served",
        "connections.open",
        "connections.half_open",
        "connections.time_wait",
        "connections.limit",
        "connections.evicted",
        "connections.syn_dropped",
        "heap.used",
        "heap.total",
    ] {
        before.number(path);
    }
    for ring in ["rx", "tx"] {
        for field in [
            "size",
            "avail_idx",
            "used_idx",
            "gap",
            "free",
            "harvested",
            "posted",
            "kicks",
            "interrupts",
            "spurious",
            "missed_interrupts",
            "rekicks",
            "bad_used",
            "resets",
        ] {
            before.number(&format!("{ring}.{field}"));
        }
    }
    for ring in ["rx", "tx"] {
        let n = |field: &str| before.number(&format!("{ring}.{field}"));
        assert!(n("avail_idx") < 1 << 16 && n("used_idx") < 1 << 16);
        let gap = n("avail_idx").wrapping_sub(n("used_idx")) & 0xffff;
        assert_eq!(
            n("gap"),
            gap,
            "{ring}: the gap is the difference of the indices"
        );
    }
    assert!(before.number("boot_us") > 0);
    assert!(before.number("heap.used") <= before.number("heap.total"));
    assert_eq!(served.get("/").status, 200);
    let after = served.stats();
    let grown = after.number("requests_served") - before.number("requests_served");
    assert_eq!(grown, 2, "one page and the question itself");
    let grown = after.number("connections_served") - before.number("connections_served");
    assert!((1..=3).contains(&grown), "{grown} connections");
    assert!(after.number("uptime_ms") >= before.number("uptime_ms"));
    served.stop();
}

#[test]
fn the_admin_port_has_the_endpoints_and_the_public_ones_can_be_off() {
    let _light = light();
    let admin = port::free(0).unwrap();
    let public = port::free(0).unwrap();
    let mut machine = quartz::machine::Machine::new(kernel());
    let forward = |host, port| Forward {
        host,
        guest: SocketAddrV4::new(ADDRESS, port),
    };
    machine.attachment = Attachment::User(vec![forward(public, 8000), forward(admin, 9000)]);
    machine.append = "port=8000 admin=9000 public=off".into();
    let admin = ([127, 0, 0, 1], admin).into();
    let public = ([127, 0, 0, 1], public).into();
    let served = crate::harness::guest::start(&machine, admin);
    served.stats();
    for endpoint in ["/healthz", "/stats.json"] {
        assert_eq!(http::get(public, endpoint, soon()).unwrap().status, 404);
    }
    assert_eq!(http::get(public, "/", soon()).unwrap().status, 200);
    served.stop();
}

#[test]
fn security_fields_come_by_choice_and_yield_to_the_site() {
    let _light = light();
    let folder = directory();
    let rule = "/sub/*\n  X-Frame-Options: DENY\n";
    fs::write(folder.path().join("_headers"), rule).unwrap();
    let served = boot(|machine| {
        machine.site = packed(folder.path());
        machine.append = "security=on".into();
    });
    for (target, frames) in [("/style.css", "SAMEORIGIN"), ("/sub/", "DENY")] {
        let answer = served.get(target);
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.field("x-frame-options"), Some(frames), "{target}");
    }
    served.stop();
    let plain = boot(|_| {});
    assert_eq!(plain.get("/").field("x-content-type-options"), None);
    plain.stop();
}

#[test]
fn a_guest_that_asks_by_dhcp_is_served() {
    let _light = light();
    let served = boot(|machine| machine.append = "ip=dhcp".into());
    assert_eq!(served.get("/").status, 200);
    served.stop();
}

#[test]
fn a_guest_on_a_tap_answers_ping_http_and_ipv6() {
    let _light = light();
    in_namespace(|| {
        let served = boot_on_tap(|_| {});
        let address = format!("{ADDRESS}");
        assert_eq!(served.get("/").status, 200);
        success(
            Command::new("ping").args(["-c", "2", "-W", "5", &address]),
            STEP,
        );
        // The link-local address that follows from QEMU's first MAC address (RFC 4291, 2.5.6),
        // once the namespace's own has passed its test for duplicates.
        let index = name_to_index(
            socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap(),
            TAP,
        );
        let link_local = "fe80::5054:ff:fe12:3456".parse().unwrap();
        let v6 = SocketAddrV6::new(link_local, 80, 0, index.unwrap());
        wait_until("an answer over IPv6", || {
            let patience = Instant::now() + Duration::from_secs(2);
            http::get(v6.into(), "/healthz", patience).is_ok_and(|answer| answer.status == 200)
        });
        served.stats().assert_no_trouble();
        served.stop();
    });
}

#[test]
fn draining_answers_what_is_in_flight() {
    let _light = light();
    let folder = directory();
    let mut served = boot(|machine| machine.site = packed(folder.path()));
    let mut client = served.connect();
    client
        .send(b"GET /big.bin HTTP/1.1\r\nHost: quartz\r\n\r\n")
        .unwrap();
    served.guest.type_line("drain").unwrap();
    let answer = client.answer(false).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 3_000_000));
    let ending = served.guest.wait(soon()).unwrap();
    let clean = quartz::guest::Ending::Code(quartz_abi::ExitCode::CleanStop);
    assert_eq!(ending, Some(clean));
}

#[test]
fn the_console_answers_commands() {
    let _light = light();
    let mut served = boot(|_| {});
    for (command, word) in [("help", "drain"), ("stats", "rx"), ("flub", "unknown")] {
        let mark = served.guest.journal().mark();
        served.guest.type_line(command).unwrap();
        let answered = served
            .guest
            .journal()
            .wait_for(mark, soon(), |line| line.contains(word) && line != command);
        assert!(
            answered.is_some(),
            "no `{word}` after `{command}`: {:?}",
            served.log()
        );
    }
    let form = |line: &String| line.starts_with('[') && line.contains("] INFO");
    assert!(served.log().iter().any(form), "{:?}", served.log());
    served.stop();
}

/// The contract's command line, word for word: no tool of ours, a site by plain `tar cf`.
#[test]
fn the_kernel_serves_a_plain_tar_without_our_tool() {
    let _light = light();
    let folder = directory();
    let tar = tempfile::tempdir().unwrap();
    let path = tar.path().join("site.tar");
    success(
        Command::new("tar")
            .arg("cf")
            .arg(&path)
            .arg("-C")
            .arg(folder.path())
            .arg("."),
        STEP,
    );
    let port = port::free(0).unwrap();
    let mut command = bare(&path, port);
    let _qemu = Process::start(&mut command);
    let address = ([127, 0, 0, 1], port).into();
    let deadline = soon();
    let answer = loop {
        let patience = Instant::now() + Duration::from_millis(500);
        match Client::connect(address, patience).and_then(|mut c| c.request("GET", "/style.css")) {
            Ok(answer) => break answer,
            Err(error) => assert!(Instant::now() < deadline, "no answer: {error}"),
        }
    };
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"body { color: green }\n");
    assert_eq!(
        http::get(address, "/big.bin", soon()).unwrap().body.len(),
        3_000_000
    );
}

fn bare(site: &Path, port: u16) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args("-M microvm -nodefaults -no-user-config -display none -serial stdio -m 64".split(' '))
        .arg("-kernel")
        .arg(kernel())
        .arg("-initrd")
        .arg(site)
        .arg("-netdev")
        .arg(format!("user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:80"))
        .args(["-device", "virtio-net-device,netdev=n0"]);
    command
}

#[test]
fn an_image_made_by_tar_with_old_names_is_served() {
    let _light = light();
    let folder = directory();
    let tar = tempfile::tempdir().unwrap();
    for format in ["ustar", "gnu", "pax", "v7"] {
        let path = tar.path().join(format);
        success(
            Command::new("tar")
                .arg(format!("--format={format}"))
                .arg("-cf")
                .arg(&path)
                .arg("-C")
                .arg(folder.path())
                .arg("."),
            STEP,
        );
        let served = boot(|machine| machine.site = image(&path));
        assert_eq!(served.get("/sub/").body, b"below\n", "{format}");
        served.stop();
    }
}
