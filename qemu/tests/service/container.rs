//! A Debian with systemd as PID 1, in a container with a network of its own, which the test shares.

use super::harness::process::{Output, Process, run, success};
use super::harness::{kernel, target, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::UnshareFlags;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The longest that a command in the container may take.
const LONG: Duration = Duration::from_secs(180);

/// Whether a container can be booted here, or why not.
pub fn possible() -> Result<(), String> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if !rustix::process::geteuid().is_root() || !whole {
        return Err("a container with systemd needs root; run `make test` as root".into());
    }
    if !root().join(".complete").exists() {
        return Err("there is no system for the container: qemu/setup.sh test makes it".into());
    }
    Ok(())
}

fn root() -> PathBuf {
    target("container/root")
}

/// The container.
pub struct Container {
    nspawn: Option<Process>,
    leader: i32,
    folder: tempfile::TempDir,
}

impl Container {
    /// Boots it and installs the package.
    pub fn boot() -> Container {
        // SAFETY: this is the first thread, and it gets another network, nothing else.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("a network");
        success(Command::new("ip").args(["link", "set", "lo", "up"]), LONG);
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("quartz.deb");
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let _ = kernel();
        success(
            Command::new(source.join("install.sh"))
                .arg("deb")
                .arg(&package)
                .env("QUARTZ", env!("CARGO_BIN_EXE_quartz")),
            LONG,
        );
        let name = format!("quartz-test-{}", std::process::id());
        let nspawn = Process::start(
            // In a process namespace: whatever becomes of the test, the system ends with it all
            // that runs in there.
            Command::new("unshare")
                .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
                .args([
                    "systemd-nspawn",
                    "--quiet",
                    "--boot",
                    "--register=no",
                    "--keep-unit",
                    "--console=pipe",
                ])
                // A container of systemd forbids it unless told; a host does not.
                .arg("--system-call-filter=pidfd_getfd")
                .args(["--volatile=overlay", "--machine", &name, "--directory"])
                .arg(root())
                .arg(format!("--bind-ro={}:/srv/shared", folder.path().display())),
        );
        let mut container = Container {
            leader: 0,
            nspawn: Some(nspawn),
            folder,
        };
        wait_until("the container is up", || {
            // The first child is not the last one: systemd-nspawn forks twice.
            container.leader = container.supervisor().map_or(0, child);
            if container.leader == 0 {
                return false;
            }
            let state = container.run("systemctl is-system-running").stdout;
            ["running", "degraded"].contains(&state.trim())
        });
        container.ok("dpkg -i /srv/shared/quartz.deb");
        container
    }

    /// The process of systemd-nspawn.
    fn supervisor(&self) -> Option<i32> {
        let unshare = self.nspawn.as_ref()?.id().as_raw_nonzero().get();
        Some(child(unshare)).filter(|pid| *pid > 0)
    }

    /// A place that the container sees as /srv/shared.
    pub fn shared(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a script.
    pub fn run(&self, script: &str) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.leader.to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--pid", "--cgroup"]);
        command.args(["--root", "--wd", "sh", "-c", script]);
        run(&mut command, LONG)
    }

    /// Runs a script, which must succeed; what it printed.
    pub fn ok(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(output.status.success(), "{script}: {output:?}");
        output.stdout
    }

    /// What the supervisor says; `Null` without one.
    pub fn status(&self, name: &str) -> Value {
        let output = self.run(&format!("quartz status {name} --json"));
        serde_json::from_str(&output.stdout).unwrap_or_default()
    }

    /// Waits until the guest is healthy; its status then.
    pub fn healthy(&self, name: &str) -> Value {
        let mut status = Value::Null;
        wait_until("the guest is healthy", || {
            status = self.status(name);
            status["state"] == "healthy"
        });
        status
    }

    /// Replaces a guest's configuration.
    pub fn configure(&self, name: &str, text: &str) {
        fs::write(self.shared().join("configuration"), text).unwrap();
        self.ok(&format!(
            "install -m 644 /srv/shared/configuration /etc/quartz/{name}.toml && systemctl daemon-reload"
        ));
    }

    /// Whether a QEMU runs.
    pub fn has_guests(&self) -> bool {
        self.run("pgrep qemu-system").status.success()
    }

    /// The last lines of the journal.
    pub fn journal(&self, lines: usize) -> String {
        let script = format!("journalctl --no-pager -n 400 | grep -v guest: | tail -n {lines}");
        self.run(&script).stdout
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A poweroff, as systemd-nspawn(1) says; dropping the process kills what is left.
        if let Some(pid) = self.supervisor().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let gone = || !Path::new(&format!("/proc/{}", self.leader)).exists();
        let deadline = super::harness::soon();
        while !gone() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(self.nspawn.take());
    }
}

/// The only child of a process; 0 without one.
fn child(pid: i32) -> i32 {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(children).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}
