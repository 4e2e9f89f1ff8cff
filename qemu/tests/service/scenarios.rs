//! What goes wrong.

use super::chaos::{CONFIGURATION, Loss, NAME, Scenario};
use super::container::Container;
use super::harness::wait_until;
use serde_json::Value;
use std::thread;
use std::time::Duration;

/// Types a line on the guest's console.
fn typed(container: &Container, line: &str) {
    container.ok(&format!(
        "echo '{line}' | timeout 20 quartz console {NAME} > /dev/null"
    ));
}

/// Where the service's user keeps autopsies.
const AUTOPSIES: &str = "/var/lib/private/quartz/www/autopsies";

fn guest_signal(container: &Container, signal: &str) {
    container.ok(&format!("kill -{signal} $(pgrep qemu-system)"));
}

fn supervisor_signal(container: &Container, signal: &str) {
    container.ok(&format!(
        "systemctl kill --kill-who=main -s {signal} quartz@{NAME}"
    ));
}

fn nothing(_: &Container, _: &Value, _: &Value) {}

/// The guest was found, not started again, and nothing was done to it.
fn adopted(_: &Container, before: &Value, after: &Value) {
    assert_eq!(before["starts"], after["starts"], "a start was counted");
    assert_eq!(after["metrics"]["adoptions_total"], 1);
    assert_eq!(
        after["monitor"]["writes"], 0,
        "commands were sent to the monitor"
    );
}

/// Nothing was done to anybody.
fn untouched(_: &Container, before: &Value, after: &Value) {
    assert_eq!(before["starts"], after["starts"], "a start was counted");
    assert_eq!(
        after["monitor"]["writes"], 0,
        "commands were sent to the monitor"
    );
}

fn drop_in(container: &Container, text: &str) {
    container.ok(&format!(
        "mkdir -p /etc/systemd/system/quartz@www.service.d && printf '[Service]\\n{text}\\n' > /etc/systemd/system/quartz@www.service.d/test.conf && systemctl daemon-reload"
    ));
}

fn base(name: &'static str, act: fn(&Container)) -> Scenario {
    Scenario {
        name,
        quick: false,
        act,
        noticed: &[],
        verdict: None,
        loss: Loss::None,
        replaced: false,
        check: nothing,
    }
}

/// A guest that ends by itself.
fn crash(name: &'static str, act: fn(&Container), verdict: &'static str) -> Scenario {
    Scenario {
        noticed: &["autopsy"],
        verdict: Some(verdict),
        loss: Loss::UnderWay,
        replaced: true,
        ..base(name, act)
    }
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            quick: true,
            ..crash("guest panics", |c| typed(c, "provoke panic"), "panicked")
        },
        crash(
            "guest: page fault",
            |c| typed(c, "provoke null-read"),
            "exception",
        ),
        crash(
            "guest: out of memory",
            |c| typed(c, "provoke out-of-memory"),
            "out of memory",
        ),
        Scenario {
            quick: true,
            ..crash(
                "guest spins with interrupts off",
                |c| typed(c, "provoke spin"),
                "the guest is dead",
            )
        },
        Scenario {
            quick: true,
            ..crash(
                "guest's receive ring wedges",
                |c| typed(c, "provoke deaf"),
                "used ≠ harvested",
            )
        },
        Scenario {
            noticed: &["autopsy"],
            replaced: true,
            ..base("guest is drained by a person", |c| typed(c, "drain"))
        },
        Scenario {
            quick: true,
            ..crash(
                "QEMU: SIGSTOP",
                |c| guest_signal(c, "STOP"),
                "stopped by a signal",
            )
        },
        base("QEMU: SIGSTOP, SIGCONT after 1 s", |c| {
            guest_signal(c, "STOP");
            thread::sleep(Duration::from_secs(1));
            guest_signal(c, "CONT");
        }),
        crash("QEMU: SIGKILL", |c| guest_signal(c, "KILL"), "signal 9"),
        crash(
            "QEMU: SIGTERM by a stranger",
            |c| guest_signal(c, "TERM"),
            "",
        ),
        base("QEMU's monitor socket deleted", |c| {
            c.ok("rm /run/quartz/www/guest-*/monitor.sock");
            thread::sleep(Duration::from_secs(3));
        }),
        Scenario {
            quick: true,
            noticed: &["starting"],
            check: adopted,
            ..base("supervisor: SIGKILL", |c| supervisor_signal(c, "KILL"))
        },
        Scenario {
            noticed: &["starting"],
            check: adopted,
            ..base("supervisor replaced by its new version", |c| {
                supervisor_signal(c, "USR2")
            })
        },
        Scenario {
            noticed: &["starting"],
            check: adopted,
            ..base("supervisor: SIGSTOP, found by systemd's watchdog", |c| {
                // The watchdog of a running service is changed by its next start.
                drop_in(c, "WatchdogSec=3");
                supervisor_signal(c, "KILL");
                wait_until("the next supervisor", || {
                    c.status(NAME)["state"] == "healthy"
                });
                let pid = c.ok("systemctl show -P MainPID quartz@www");
                supervisor_signal(c, "STOP");
                wait_until("the watchdog bites", || {
                    let now = c.ok("systemctl show -P MainPID quartz@www");
                    now != pid && now != "0\n"
                });
            })
        },
        Scenario {
            noticed: &["starting"],
            check: adopted,
            ..base("supervisor: SIGKILL, and its note says failed", |c| {
                drop_in(c, "RestartSec=2");
                supervisor_signal(c, "KILL");
                c.ok("sed -i 's/\"phase\":\"[a-z]*\"/\"phase\":\"failed\"/' /run/quartz/www/state.json");
            })
        },
        Scenario {
            noticed: &["stray"],
            loss: Loss::UnderWay,
            replaced: true,
            ..base("supervisor: SIGKILL, and its note lost", |c| {
                drop_in(c, "RestartSec=2");
                supervisor_signal(c, "KILL");
                c.ok("rm /run/quartz/www/state.json");
            })
        },
        Scenario {
            loss: Loss::UnderWay,
            ..crash(
                "supervisor and QEMU: SIGKILL at once",
                |c| {
                    c.ok("kill -KILL $(pgrep qemu-system) $(systemctl show -P MainPID quartz@www)");
                },
                "while nobody watched",
            )
        },
        Scenario {
            quick: true,
            noticed: &["healthy"],
            replaced: true,
            check: |c, _, _| {
                assert_eq!(c.ok("curl -s http://127.0.0.1:8080/"), "two\n");
            },
            ..base("upgrade to another site", |c| {
                c.ok(
                    "mkdir -p /srv/two && echo two > /srv/two/index.html && chmod -R a+rX /srv/two",
                );
                c.ok("quartz upgrade www --site /srv/two");
            })
        },
        Scenario {
            noticed: &["upgrade-failed"],
            check: |c, before, after| {
                untouched(c, before, after);
                assert_eq!(c.ok("cat /etc/quartz/www.toml"), CONFIGURATION);
            },
            ..base("upgrade to a site that the guest refuses", |c| {
                c.ok("head -c 20000 /dev/urandom > /srv/garbage.tar && chmod a+r /srv/garbage.tar");
                assert!(
                    !c.run("quartz upgrade www --site /srv/garbage.tar")
                        .status
                        .success()
                );
            })
        },
        Scenario {
            noticed: &["upgrade-failed"],
            check: untouched,
            ..base("reload to a guest that never answers", |c| {
                let text = CONFIGURATION.replace("provoke=console", "provoke=spin");
                c.configure(NAME, &format!("{text}[health]\nstart = 3\n"));
                assert!(!c.run("systemctl reload quartz@www").status.success());
            })
        },
        Scenario {
            quick: true,
            check: untouched,
            ..base("reload of a broken configuration", |c| {
                c.configure(NAME, &format!("sight = 1\n{CONFIGURATION}"));
                let refused = c.run("quartz reload www");
                assert!(!refused.status.success(), "{refused:?}");
                assert!(refused.stderr.contains("line 1") && refused.stderr.contains("sight"));
                assert!(!c.run("systemctl reload quartz@www").status.success());
            })
        },
        Scenario {
            check: untouched,
            ..base("reload with nothing changed", |c| {
                c.configure(
                    NAME,
                    &format!("# The same, written otherwise.\n{CONFIGURATION}"),
                );
                c.ok("systemctl reload quartz@www");
            })
        },
        Scenario {
            noticed: &["starting"],
            check: adopted,
            ..base("supervisor: SIGKILL, and the configuration broken", |c| {
                c.configure(NAME, &format!("sight = 1\n{CONFIGURATION}"));
                supervisor_signal(c, "KILL");
            })
        },
        Scenario {
            loss: Loss::UnderWay,
            ..base("forwarder: SIGKILL", |c| {
                c.ok("systemctl kill --kill-who=main -s KILL quartz-forward@www");
            })
        },
        base("forwarder restarted", |c| {
            c.ok("systemctl restart quartz-forward@www");
        }),
        Scenario {
            check: |c, _, after| {
                let missing = after["autopsy"]["missing"].to_string();
                c.ok(&format!("umount {AUTOPSIES}"));
                assert!(missing.contains("No space left"), "{missing}");
            },
            ..crash(
                "guest panics, and the disk for autopsies is full",
                |c| {
                    c.ok(&format!(
                        "mkdir -p {AUTOPSIES} && chown --reference={AUTOPSIES}/.. {AUTOPSIES} && \
                         mount -t tmpfs -o size=4k,mode=777 full {AUTOPSIES}"
                    ));
                    typed(c, "provoke panic");
                },
                "panicked",
            )
        },
    ]
}
