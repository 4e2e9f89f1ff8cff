//! The serial console, as a person types on it: every command, floods both ways, and the ends.

use crate::harness::guest::{ADDRESS, Served, boot, packed};
use crate::harness::load::{self, Mode};
use crate::harness::network::{boot_on_tap, in_namespace};
use crate::harness::process::success;
use crate::harness::{STEP, heavy, kernel, light, soon, wait_until};
use quartz::guest::Ending;
use quartz::http;
use quartz::journal::Journal;
use quartz::memory::Memory;
use quartz::port;
use quartz::spawn;
use quartz_abi::{ExitCode, Heartbeat};
use quartz_console::armor::{File, Reader};
use quartz_console::command::COMMANDS;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Types a line; what is said from there on until a line with `end` in it is complete.
fn ask(served: &mut Served, line: &str, end: &str) -> Vec<String> {
    let mark = served.guest.journal().mark();
    served.guest.type_line(line).unwrap();
    said(served, mark, line, end)
}

fn said(served: &Served, mark: u64, line: &str, end: &str) -> Vec<String> {
    let deadline = soon();
    loop {
        let lines = served.guest.journal().since(mark);
        // The last one may go on.
        let complete = &lines[..lines.len().saturating_sub(1)];
        if complete
            .iter()
            .any(|l| l.contains(end) && !l.ends_with(line))
        {
            return lines;
        }
        assert!(
            Instant::now() < deadline,
            "no `{end}` after `{line}`: {lines:?}"
        );
        thread::sleep(Duration::from_millis(2));
    }
}

/// A connection whose first request is closed by the guest, and so remembered by it.
fn close(served: &Served) {
    let mut client = served.connect();
    let request = b"GET / HTTP/1.1\r\nHost: quartz\r\nConnection: close\r\n\r\n";
    client.send(request).unwrap();
    assert_eq!(client.answer(false).unwrap().status, 200);
}

#[test]
fn every_command_answers() {
    let _light = light();
    let mut served = boot(|machine| machine.append = "provoke=console".into());
    let mut clients: Vec<_> = (0..3).map(|_| served.connect()).collect();
    for client in &mut clients {
        client.request("GET", "/").unwrap();
    }
    clients[1].request("GET", "/").unwrap();
    close(&served);
    let mut asked: Vec<&str> = Vec::new();

    for (line, words, end) in [
        ("help", &["flows [state|age|bytes] [ROWS]"][..], "panic  "),
        ("help log", &["log [LEVEL [TARGET]]"], "without a target"),
        (
            "version",
            &[],
            concat!("Quartz ", env!("CARGO_PKG_VERSION"), ", up "),
        ),
        ("uptime", &[], "up "),
        (
            "stats",
            &["connections: open 3 ", "serial: sent "],
            "unexpected interrupts 0",
        ),
        ("rings", &["avail.idx", "interrupts"], "device "),
        (
            "flows",
            &["PEER", "10.0.2.2:", " idle "],
            "3 connections, 0 half_open, 3 idle",
        ),
        ("flows state 100", &[" idle "], "3 connections"),
        (
            "time-wait",
            &["PEER", "10.0.2.2:"],
            "1 records of closed connections",
        ),
        ("mem", &["image ", "heap ", "connections "], "capture "),
        (
            "irq",
            &["virtio-net, pin 23", "serial port, pin 4"],
            "unexpected: 0",
        ),
        ("events 100", &["publish"], " harvest "),
        ("log", &[], "log: INFO"),
        ("log warn", &[], "log: WARN"),
        (
            "log info quartz_net::stack",
            &[],
            "log: WARN, quartz_net::stack INFO",
        ),
        ("trace", &[], "trace: off"),
        ("pcap", &[], "nothing is captured; `pcap on`"),
        (
            "pcap on 512",
            &[],
            "capturing 512 bytes of each frame into 1024 KiB",
        ),
        ("heartbeat", &[], "heartbeat: off"),
        ("heartbeat 1", &[], "heartbeat up_ms="),
        ("heartbeat off", &[], "heartbeat: off"),
    ] {
        let answer = ask(&mut served, line, end);
        for word in words {
            let seen = answer
                .iter()
                .any(|l| l.contains(word) && !l.ends_with(line));
            assert!(seen, "no `{word}` after `{line}`: {answer:?}");
        }
        asked.push(line);
    }

    // The one that has moved most comes first.
    let answer = ask(&mut served, "flows bytes 2", "3 connections");
    let header = answer.iter().position(|l| l.starts_with("PEER")).unwrap();
    let out = |row: usize| -> u64 {
        let column = answer[header + row].split_whitespace().nth(5);
        column.unwrap().parse().unwrap()
    };
    assert!(out(1) > out(2), "{answer:?}");
    assert!(answer.iter().any(|l| l == "... 1 more"), "{answer:?}");

    // Frames are shown, those of a port alone if wanted.
    ask(
        &mut served,
        "trace on 81",
        "trace: frames from and to port 81",
    );
    let mark = served.guest.journal().mark();
    served.get("/");
    ask(
        &mut served,
        "trace on 80",
        "trace: frames from and to port 80",
    );
    assert!(
        !served
            .guest
            .journal()
            .since(mark)
            .iter()
            .any(|l| l.contains("Flags"))
    );
    served.get("/");
    let wanted = "In  IP 10.0.2.2.";
    let shown = said(&served, mark, "trace on 80", wanted);
    let line = shown.iter().find(|l| l.contains(wanted)).unwrap();
    assert!(line.contains("> 10.0.2.15.80: Flags [S], seq "), "{line}");
    ask(&mut served, "trace off", "trace: off");

    // What was captured is a file for tcpdump.
    let file = dump(&mut served, "pcap");
    let printed = tcpdump(&file);
    for part in [": Flags [S], seq", "GET / HTTP/1.1", "HTTP/1.1 200 OK"] {
        assert!(printed.contains(part), "no `{part}` in {printed}");
    }
    let lines = tcpdump(&dump(&mut served, "pcap 2"));
    let frames = lines.lines().filter(|l| l.starts_with("20")).count();
    assert_eq!(frames, 2, "{lines}");
    ask(&mut served, "pcap off", "pcap: off");

    // Levels count from now on, per target.
    let warned = |served: &mut Served, levels: &str, shown: &str| {
        ask(served, levels, shown);
        let mark = served.guest.journal().mark();
        served.guest.type_line("provoke deaf").unwrap();
        ask(served, "uptime", "up ");
        let lines = served.guest.journal().since(mark);
        lines.iter().any(|l| l.contains("provoking Deaf"))
    };
    assert!(!warned(&mut served, "log off", "log: OFF"));
    assert!(warned(
        &mut served,
        "log warn quartz_kernel",
        "log: OFF, quartz_kernel WARN"
    ));
    assert!(!warned(
        &mut served,
        "log error quartz_kernel::provoke",
        "provoke ERROR"
    ));

    for command in ["panic", "drain", "poweroff", "reboot"] {
        // Below, each in a guest of its own.
        asked.push(command);
    }
    for entry in &COMMANDS {
        let name = |line: &&&str| line.split(' ').next() == Some(entry.name);
        assert!(
            asked.iter().find(name).is_some(),
            "{} has no test",
            entry.name
        );
    }

    // The last one: a panic wants to be confirmed.
    let question = "type `yes` within 30 s";
    ask(&mut served, "panic", question);
    ask(&mut served, "no", "nothing was done");
    ask(&mut served, "yes", "unknown command `yes`");
    ask(&mut served, "panic", question);
    ask(&mut served, "uptime", "up ");
    ask(&mut served, "yes", "unknown command `yes`");
    ask(&mut served, "panic", question);
    served.guest.type_line("yes").unwrap();
    let ending = served.guest.wait(soon()).unwrap();
    assert_eq!(ending, Some(Ending::Code(ExitCode::Panic)));
    let log = served.log();
    assert!(
        log.iter()
            .any(|l| l == "FATAL: panicked: asked for on the console"),
        "{log:?}"
    );
}

/// The captured frames, as a file.
fn dump(served: &mut Served, line: &str) -> File {
    let mut reader = Reader::new();
    for line in ask(served, line, "pcap end crc32=") {
        if let Some(file) = reader.take(&line).unwrap() {
            return file;
        }
    }
    panic!("no whole dump");
}

fn tcpdump(file: &File) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.pcap");
    std::fs::write(&path, &file.bytes).unwrap();
    let mut command = Command::new("tcpdump");
    command.env("PATH", "/usr/bin:/usr/sbin:/sbin:/bin");
    command.args(["-nn", "-tttt", "-A", "-r"]).arg(&path);
    success(&mut command, STEP)
}

/// On a tap the device cuts segments, and their bytes lie in the site's image.
#[test]
fn segments_that_the_device_cuts_are_seen_whole() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(folder.path().join("big.bin"), &content).unwrap();
    in_namespace(|| {
        let mut served = boot_on_tap(|machine| machine.site = packed(folder.path()));
        ask(&mut served, "pcap on 1514", "pcap: capturing 1514 bytes");
        ask(
            &mut served,
            "trace on 10.0.2.2",
            "trace: frames from and to 10.0.2.2",
        );
        let mark = served.guest.journal().mark();
        assert_eq!(served.get("/big.bin").body, content);
        ask(&mut served, "trace off", "trace: off");
        let lines = served.guest.journal().since(mark);
        let length = |line: &String| -> Option<u64> {
            let (_, length) = line
                .split_once(" Out IP 10.0.2.15.80 > 10.0.2.2")?
                .1
                .split_once("length ")?;
            length.parse().ok()
        };
        let longest = lines.iter().filter_map(length).max();
        assert!(longest > Some(10_000), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("[|")), "{lines:?}");
        // The file has the beginning of each, and tells how long it was.
        let file = dump(&mut served, "pcap");
        let printed = tcpdump(&file);
        let wanted = format!("length {}", longest.unwrap());
        assert!(printed.contains(&wanted), "no `{wanted}` in {printed}");
        let part = &content[1000..1200];
        let found = file.bytes.windows(part.len()).any(|at| at == part);
        assert!(found, "the file's bytes are not in the capture");
        served.stop();
    });
}

#[test]
fn lines_are_edited_and_wrong_ones_explained() {
    let _light = light();
    let mut served = boot(|machine| machine.memory = Memory::mib(4));
    for (keys, answer) in [
        (
            "vresion\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x7f\x1b[3~er\r",
            "Quartz ",
        ),
        ("xptime\x01\x1b[3~u\x05 \x15uptime\r", "up "),
        ("\x1b[A\x1b[A\x03\x1b[A\r", "up "),
        ("ver\t\r\n", "Quartz "),
        (
            "flows nothing\r",
            "expected state, age, bytes, or rows, 1-100; usage: flows",
        ),
        ("stats now\r", "stats: `now` is too much; usage: stats"),
        ("trace on 1.2.3\r", "expected an IP address or a port"),
        ("heartbeat 0\r", "expected seconds, 1-3600, or off"),
        ("provoke panic\r", "unknown command `provoke`"),
        (&"x".repeat(200), ""),
        ("\r", "the line is too long: 70 characters at most"),
    ] {
        let mark = served.guest.journal().mark();
        assert_eq!(served.guest.type_keys(keys.as_bytes()).unwrap(), keys.len());
        if !answer.is_empty() {
            let journal = served.guest.journal();
            let found = journal.wait_for(mark, soon(), |l| l.contains(answer));
            assert!(
                found.is_some(),
                "no `{answer}` after {keys:?}: {:?}",
                journal.since(mark)
            );
        }
    }
    // Lines that are pasted are obeyed in their order, also behind a long answer.
    let mark = served.guest.journal().mark();
    served.guest.type_keys(b"flows\nuptime\nversion\n").unwrap();
    let lines = said(&served, mark, "version", "Quartz ");
    let at = |word: &str| lines.iter().position(|l| l.starts_with(word)).unwrap();
    assert!(
        at("0 connections") < at("up ") && at("up ") < at("Quartz "),
        "{lines:?}"
    );
    // A small guest has little to spare, and says so or does with it.
    let lines = ask(&mut served, "pcap on", " KiB");
    assert!(lines.iter().any(|l| l.contains("pcap: ")), "{lines:?}");
    assert_eq!(served.get("/").status, 200);
    served.stop();
}

#[test]
fn floods_on_the_serial_line_cost_no_request() {
    let _heavy = heavy();
    let mut served = boot(|_| {});
    let site = served.site;
    let number = |lines: &[String], line: &str, name: &str| -> u64 {
        let line = lines.iter().find(|l| l.starts_with(line)).unwrap();
        let mut words = line.split([' ', ';']).skip_while(|word| *word != name);
        words.nth(1).unwrap().parse().unwrap()
    };
    let last = "unexpected interrupts";
    let before = ask(&mut served, "stats", last);

    // A megabyte in a second, typed by nobody.
    let load = thread::spawn(move || load::wrk(site, Mode::KeepAlive, 3));
    let mut random = 1_u64;
    while !load.is_finished() {
        let due = Instant::now() + Duration::from_millis(10);
        let mut garbage = [0; 10_000];
        for (at, byte) in garbage.iter_mut().enumerate() {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = if at % 50 == 0 {
                b'\n'
            } else {
                (random >> 56) as u8
            };
        }
        // What the guest does not take now is held back.
        served.guest.type_keys(&garbage).unwrap();
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    clean(&load.join().unwrap());
    type_when_taken(&mut served, b"\n\n");
    wait_until("the console answers", || {
        let mark = served.guest.journal().mark();
        type_when_taken(&mut served, b"\nversion\n");
        let short = Instant::now() + Duration::from_secs(2);
        let journal = served.guest.journal();
        journal
            .wait_for(mark, short, |l| l.starts_with("Quartz "))
            .is_some()
    });
    let after = ask(&mut served, "stats", last);
    let taken = |lines: &[String]| number(lines, "serial:", "received");
    assert!(
        taken(&after) > taken(&before) + 20_000,
        "{before:?} {after:?}"
    );

    // A line for each frame, more than the port takes.
    ask(&mut served, "trace on", "trace: all frames");
    let load = thread::spawn(move || load::wrk(site, Mode::KeepAlive, 3));
    thread::sleep(Duration::from_millis(1500));
    ask(&mut served, "version", "Quartz ");
    clean(&load.join().unwrap());
    ask(&mut served, "trace off", "trace: off");
    let lines = ask(&mut served, "stats", last);
    let (shown, left_out) = (
        number(&lines, "trace:", "shown"),
        number(&lines, "trace:", "out"),
    );
    assert!(shown > 100 && left_out > 100, "{lines:?}");
    assert_eq!(number(&lines, "trace:", "missed"), 0);
    served.stats().assert_no_trouble();
    served.stop();
}

/// No request failed.
fn clean(wrk: &serde_json::Value) {
    for name in ["connect", "read", "write", "timeout", "status"] {
        assert_eq!(wrk[name], 0, "{wrk}");
    }
    assert_ne!(wrk["requests"], 0, "{wrk}");
}

/// Types keys as the guest takes them.
fn type_when_taken(served: &mut Served, mut keys: &[u8]) {
    wait_until("the guest takes what is typed", || {
        let taken = served.guest.type_keys(keys).unwrap();
        keys = &keys[taken..];
        keys.is_empty()
    });
}

#[test]
fn the_guest_ends_as_it_is_told() {
    let _light = light();
    for (line, words, code) in [
        ("poweroff", "console: powering off", ExitCode::CleanStop),
        ("reboot", "console: rebooting", ExitCode::Reboot),
        ("drain", "console: drained", ExitCode::CleanStop),
    ] {
        let mut served = boot(|_| {});
        // Who waits for an answer is cut off by the one, and waited for by the other.
        let _idle = served.connect();
        let mut half = served.connect();
        half.send(b"GET / HTTP/1.1\r\n").unwrap();
        let began = Instant::now();
        served.guest.type_line(line).unwrap();
        let ending = served.guest.wait(soon()).unwrap();
        assert_eq!(ending, Some(Ending::Code(code)), "{line}");
        let at_once = began.elapsed() < Duration::from_secs(4);
        assert_eq!(at_once, line != "drain", "{line}: {:?}", began.elapsed());
        let log = served.log();
        assert!(log.iter().any(|l| l.contains(words)), "{log:?}");
    }
}

/// `quartz run --console` before a terminal, which `script` provides.
#[test]
fn a_person_at_a_terminal_types_to_the_guest_key_by_key() {
    let _light = light();
    let quartz = env!("CARGO_BIN_EXE_quartz");
    let kernel = kernel();
    let run = format!(
        "{quartz} run --console --accel tcg --port 0 --kernel {}",
        kernel.display()
    );
    let mut command = Command::new("script");
    command
        .args(["-qefc", &run, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut script = spawn::bound(&mut command, Vec::new()).unwrap();
    let screen = Journal::new(false);
    screen.follow(script.stdout.take().unwrap()).unwrap();
    let mut keys = script.stdin.take().unwrap();
    let mut press = |pressed: &str, answer: &str| {
        let mark = screen.mark();
        keys.write_all(pressed.as_bytes()).unwrap();
        let seen = screen.wait_for(mark, soon(), |l| l.contains(answer));
        assert!(
            seen.is_some(),
            "no `{answer}` after {pressed:?}: {:?}",
            screen.since(0)
        );
    };
    press("", "quartz: serving http://127.0.0.1:");
    press("", "quartz> ");
    press("uptmie\x08\x08\x08", "uptmie");
    // Neither is a signal for the tool: it is the guest's line that is given up.
    press("\x03", "^C");
    press("uptime\r", "up ");
    // Who reboots it stays at its console.
    press("reboot\r", "the guest asked to be started again");
    press("", "quartz: serving http://127.0.0.1:");
    press("version\r", "Quartz ");
    press("\x1d", "the guest stopped as asked");
    assert!(script.wait().unwrap().success());
}

/// A machine as a person starts it by hand, without the device that ends QEMU: the serial port on
/// a socket, as a terminal program takes it.
#[test]
fn a_reboot_without_our_tool_resets_the_machine() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("serial");
    let port = port::free(0).unwrap();
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args("-M microvm -nodefaults -no-user-config -display none -m 64 -kernel".split(' '))
        .arg(kernel())
        .arg("-netdev")
        .arg(format!(
            "user,id=n0,hostfwd=tcp:127.0.0.1:{port}-{ADDRESS}:80"
        ))
        .args(["-device", "virtio-net-device,netdev=n0", "-serial"])
        .arg(format!("unix:{},server=on", socket.display()))
        .stdin(Stdio::null());
    let mut qemu = spawn::bound(&mut command, Vec::new()).unwrap();
    wait_until("QEMU listens", || socket.exists());
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(STEP)).unwrap();
    let mut text = String::new();
    let mut until = |word: &str, stream: &mut UnixStream| {
        let mut buffer = [0; 4096];
        text.clear();
        while !text.contains(word) {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "no `{word}` in {text}");
            text += &String::from_utf8_lossy(&buffer[..n]);
        }
    };
    until("quartz> ", &mut stream);
    stream.write_all(b"reboot\r").unwrap();
    until("rebooting", &mut stream);
    until("ready in", &mut stream);
    let address = ([127, 0, 0, 1], port).into();
    wait_until("an answer after the reboot", || {
        let patience = Instant::now() + Duration::from_secs(2);
        http::get(address, "/healthz", patience).is_ok_and(|answer| answer.status == 200)
    });
    let _ = qemu.kill();
    let _ = qemu.wait();
}

#[test]
fn a_log_line_does_not_garble_what_is_being_typed() {
    let _light = light();
    let mut served = boot(|machine| machine.append = "heartbeat=1".into());
    let mark = served.guest.journal().mark();
    served.guest.type_keys(b"upt").unwrap();
    let journal = served.guest.journal();
    let beat = journal.wait_for(mark, soon(), |l| Heartbeat::parse(l).is_some());
    assert!(beat.is_some(), "{:?}", served.log());
    // The line comes back behind it, and goes on.
    let back = journal.wait_for(mark, soon(), |l| l == "quartz> upt");
    assert!(back.is_some(), "{:?}", served.log());
    let mark = journal.mark();
    served.guest.type_keys(b"ime\r").unwrap();
    said(&served, mark, "uptime", "up ");
    served.stop();
}
