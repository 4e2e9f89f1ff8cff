//! Every way to fail ends with a readable report and its code: never a hang, never a silent reset.

use crate::harness::guest::{Served, boot, boot_to_end, image, machine};
use crate::harness::{kernel, light, soon};
use quartz::backtrace::Backtrace;
use quartz::guest::{Ending, Guest};
use quartz::http;
use quartz::image::Image;
use quartz_abi::cmdline::Fault;
use quartz_abi::{ExitCode, Heartbeat};
use std::fs;
use std::time::{Duration, Instant};

/// What the report of a fault must say besides what every report says; none comes from a guest that
/// stands still, which is for who watches it.
fn expected(fault: Fault) -> Option<(ExitCode, &'static [&'static str])> {
    Some(match fault {
        Fault::Spin | Fault::Deaf => return None,
        Fault::NullRead => (
            ExitCode::Exception,
            &["page fault", "read of 0x0000000000000000", "not mapped"],
        ),
        Fault::WriteText => (
            ExitCode::Exception,
            &["page fault", "write of", "forbidden by the page's rights"],
        ),
        Fault::ExecuteData => (
            ExitCode::Exception,
            &["page fault", "execute of", "forbidden by the page's rights"],
        ),
        Fault::StackOverflow => (ExitCode::Exception, &["guard page", "stack overflow"]),
        Fault::DivideError => (ExitCode::Exception, &["divide error"]),
        Fault::InvalidOpcode => (ExitCode::Exception, &["invalid opcode"]),
        Fault::GeneralProtection => (ExitCode::Exception, &["general protection"]),
        Fault::Panic => (ExitCode::Panic, &["panicked", "provoked"]),
        Fault::OutOfMemory => (ExitCode::OutOfMemory, &["out of memory"]),
    })
}

#[test]
fn every_fault_is_reported_and_ends_with_its_code() {
    let _light = light();
    for (name, fault) in Fault::ALL {
        let Some((code, words)) = expected(fault) else {
            continue;
        };
        let (ending, said) = boot_to_end(|machine| {
            machine.append = format!("provoke={name}");
        });
        let log = said.join("\n");
        assert_eq!(ending, Ending::Code(code), "{name}:\n{log}");
        for word in words.iter().chain(&["FATAL", "backtrace", code.message()]) {
            assert!(log.contains(word), "{name}: no `{word}` in:\n{log}");
        }
        if code == ExitCode::Exception {
            for register in ["rax", "rsp", "rip", "cr2", "cr3", "r15"] {
                let shown = said.iter().any(|l| l.contains(&format!("{register} 0x")));
                assert!(shown, "{name}: no {register} in:\n{log}");
            }
        }
        let found = Backtrace::find(&said).expect("a backtrace");
        let names = found.named(&kernel()).unwrap();
        let place = "(kernel/src/provoke.rs:";
        assert!(
            names.contains("quartz_kernel::provoke::") && names.contains(place),
            "{name}: no function of the kernel's provoke module in\n{names}"
        );
    }
}

#[test]
fn a_heartbeat_tells_that_the_loop_turns_and_where_the_rings_stand() {
    let _light = light();
    let mut served = boot(|machine| machine.append = "heartbeat=1 provoke=console".into());
    let (first, mark) = heartbeat(&served, 0);
    served.get("/");
    // One that was on its way already says nothing of the request.
    let (_, mark) = heartbeat(&served, mark);
    let (second, mark) = heartbeat(&served, mark);
    assert!(second.up_ms > first.up_ms && second.requests > first.requests);
    assert!(second.rx.used != first.rx.used, "{first} {second}");

    // Deaf, the loop turns and the ring stands.
    type_until(&mut served, "provoke deaf", "Deaf", mark);
    let mark = served.guest.journal().mark();
    let short = Instant::now() + Duration::from_millis(500);
    assert!(http::get(served.site, "/", short).is_err(), "it answers");
    let (third, mark) = heartbeat(&served, mark);
    let (fourth, mark) = heartbeat(&served, mark);
    assert_eq!((third.rx, third.requests), (fourth.rx, fourth.requests));

    // Spinning, nothing turns.
    type_until(&mut served, "provoke spin", "Spin", mark);
    let mark = served.guest.journal().mark();
    let later = Instant::now() + Duration::from_millis(2500);
    let journal = served.guest.journal();
    let beat = journal.wait_for(mark, later, |line| Heartbeat::parse(line).is_some());
    assert_eq!(beat, None);
}

/// The next heartbeat, and the mark behind it.
fn heartbeat(served: &Served, from: u64) -> (Heartbeat, u64) {
    let journal = served.guest.journal();
    let line = journal.wait_for(from, soon(), |line| Heartbeat::parse(line).is_some());
    let beat = Heartbeat::parse(&line.expect("a heartbeat")).unwrap();
    (beat, journal.mark())
}

/// Types a line and waits for the word that answers it.
fn type_until(served: &mut Served, line: &str, word: &str, mark: u64) {
    served.guest.type_line(line).unwrap();
    let journal = served.guest.journal();
    let seen = journal.wait_for(mark, soon(), |line| line.contains(word));
    assert!(seen.is_some(), "{:?}", served.log());
}

#[test]
fn faults_are_provoked_only_where_the_command_line_allows_it() {
    let _light = light();
    let mut served = boot(|_| {});
    type_until(&mut served, "provoke panic", "unknown command", 0);
    served.stop();
}

#[test]
fn a_bad_command_line_is_named_and_refused() {
    let _light = light();
    for (append, word) in [
        ("prot=80", "unknown key `prot`"),
        ("port=http", "bad value `http` for `port`"),
        ("quiet", "`quiet` is not of the form key=value"),
    ] {
        let (ending, said) = boot_to_end(|machine| machine.append = append.into());
        let log = said.join("\n");
        assert_eq!(ending, Ending::Code(ExitCode::BadCommandLine), "{log}");
        assert!(log.contains(word), "no `{word}` in:\n{log}");
    }
}

#[test]
fn a_site_image_that_is_none_is_refused() {
    let _light = light();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("garbage.tar");
    let garbage: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(&path, garbage).unwrap();
    let (ending, said) = boot_to_end(|machine| machine.site = image(&path));
    let log = said.join("\n");
    assert_eq!(ending, Ending::Code(ExitCode::BadSite), "{log}");
    assert!(log.contains("site image refused"), "{log}");
}

#[test]
fn a_small_machine_serves_or_says_that_it_is_too_small() {
    let _light = light();
    // What ends below the image is no machine for it: `quartz run` refuses to start it.
    let image = Image::find(Some(&kernel())).unwrap();
    let least = image.end.next_multiple_of(4096) / 1024;
    let mut served_from = None;
    for more in [0, 4, 64, 256, 512, 1024, 2048, 4096, 8192] {
        let kib = least + more;
        let (mut machine, _) = machine();
        machine.memory = format!("{kib}K").parse().unwrap();
        let mut guest = Guest::start(&machine, false).unwrap();
        if guest.journal().wait_for_prompt(soon()) {
            let _ = served_from.get_or_insert(kib);
            continue;
        }
        let ending = guest.wait(soon()).unwrap();
        let log = guest.journal().since(0).join("\n");
        let complaints = guest.complaints().since(0).join("\n");
        let said_so = ending == Some(Ending::Code(ExitCode::OutOfMemory)) && log.contains("FATAL");
        // QEMU itself refuses a machine that the image does not even fit into.
        let refused = ending == Some(Ending::Qemu(1)) && !complaints.is_empty();
        assert!(
            said_so || refused,
            "{kib} KiB: {ending:?}\n{log}\n{complaints}"
        );
        assert_eq!(served_from, None, "less memory served, {kib} KiB does not");
    }
    assert!(served_from.is_some(), "10 MiB are too little");
}

#[test]
fn the_demo_is_served_with_4_mib() {
    let _light = light();
    let served = boot(|machine| machine.memory = "4M".parse().unwrap());
    assert_eq!(served.get("/").status, 200);
    served.stop();
}
