//! Clients that are slow on purpose do not keep others from being served.

use crate::harness::STEP;
use crate::harness::heavy;
use crate::harness::network::{TAP, boot_on_tap, in_namespace, ip};
use crate::harness::process::{Process, success};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How long the attackers go on: longer than the guest waits for a request.
const SECONDS: u64 = 18;

/// slowhttptest with `connections`, in one of its modes.
fn attack(mode: &[&str], connections: &str) -> Process {
    let mut command = Command::new("slowhttptest");
    command
        .args(mode)
        .args(["-c", connections, "-r", "200", "-l", &SECONDS.to_string()])
        .args(["-u", "http://10.0.2.15/", "-p", "3"]);
    Process::start(&mut command)
}

#[test]
fn slow_heads_slow_content_and_slow_reading_hurt_nobody_else() {
    let _heavy = heavy();
    in_namespace(|| {
        // The attackers have one address, the others another. Together the attackers open more
        // connections than the guest has.
        ip(&format!("addr add 10.0.2.3/24 dev {TAP}"));
        let served = boot_on_tap(|machine| {
            machine.append = "conns=600 conns_per_source=500".into();
        });
        let attackers = [
            attack(&["-H", "-i", "4"], "400"),
            attack(&["-B", "-i", "4", "-s", "8192"], "400"),
            attack(
                &[
                    "-X", "-i", "4", "-n", "4", "-w", "64", "-y", "128", "-z", "16", "-k", "8",
                ],
                "400",
            ),
        ];
        let end = Instant::now() + Duration::from_secs(SECONDS);
        let mut fetched = 0;
        let mut crowded = 0;
        while Instant::now() < end {
            let mut command = Command::new("curl");
            command
                .args([
                    "-sS",
                    "--noproxy",
                    "*",
                    "--interface",
                    "10.0.2.3",
                    "--max-time",
                    "15",
                ])
                .args(["-o", "/dev/null", "-w", "%{http_code}", "http://10.0.2.15/"]);
            assert_eq!(success(&mut command, STEP), "200");
            fetched += 1;
            if fetched % 5 == 0 {
                let mut command = Command::new("curl");
                command
                    .args([
                        "-sS",
                        "--noproxy",
                        "*",
                        "--interface",
                        "10.0.2.3",
                        "--max-time",
                        "15",
                    ])
                    .arg("http://10.0.2.15/stats.json");
                let stats: serde_json::Value =
                    serde_json::from_str(&success(&mut command, STEP)).unwrap();
                crowded = crowded.max(stats["connections"]["open"].as_u64().unwrap());
            }
            thread::sleep(Duration::from_millis(50));
        }
        assert!(crowded >= 400, "no crowd: {crowded} connections at once");
        for attacker in attackers {
            let output = attacker.finish(STEP * 2);
            assert!(output.status.success(), "{output:?}");
        }
        // The slow ones are gone when their time is over.
        let stats = served.stats();
        assert!(stats.number("expired.request") > 0, "{:?}", stats.0);
        stats.assert_no_trouble();
        served.stop();
    });
}
