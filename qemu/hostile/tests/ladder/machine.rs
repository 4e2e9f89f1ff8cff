//! A QEMU microvm with the hostile device for its network card, its serial line, and its qtest and
//! QMP sockets. No guest knowledge here.

use quartz_hostile::{Backend, DeviceConfig};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Time in which QEMU has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What kind of machine.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// virtio-mmio version 2; otherwise QEMU's default, the legacy interface.
    pub modern: bool,
    /// What the device offers.
    pub device: DeviceConfig,
    /// QEMU connects again when the back end hangs up.
    pub reconnect: bool,
    /// The kernel; `None`: the firmware finds nothing to do, and the test drives the buses.
    pub kernel: Option<PathBuf>,
    /// The kernel's command line.
    pub append: String,
    /// A tar for the initrd.
    pub site: Option<Vec<u8>>,
}

/// A running QEMU. Killed when dropped.
pub struct Machine {
    pub backend: Backend,
    child: Child,
    console: ChildStdin,
    serial: Arc<Mutex<String>>,
    directory: TempDir,
}

impl Machine {
    /// Starts QEMU; the guest may not have come far when this returns.
    pub fn start(setup: &Setup) -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let backend = Backend::listen(&file("device"), setup.device).unwrap();
        let path = |name: &str| file(name).display().to_string();
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-M", "microvm,memory-backend=mem", "-m", "64M"])
            .args(["-object", "memory-backend-memfd,id=mem,size=64M,share=on"])
            .args(["-accel", "tcg", "-nodefaults", "-no-user-config"])
            .args(["-display", "none", "-serial", "stdio", "-no-reboot"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
            .arg("-chardev")
            .arg(format!(
                "socket,id=c0,path={}{}",
                path("device"),
                if setup.reconnect { ",reconnect=1" } else { "" }
            ))
            .args(["-netdev", "vhost-user,id=n0,chardev=c0"])
            .args(["-device", "virtio-net-device,netdev=n0,id=nic"])
            .arg("-qtest")
            .arg(format!("unix:{},server=on,wait=off", path("qtest")))
            .args(["-qtest-log", "/dev/null"])
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", path("qmp")));
        if setup.modern {
            command.args(["-global", "virtio-mmio.force-legacy=false"]);
        }
        if let Some(kernel) = &setup.kernel {
            command.arg("-kernel").arg(kernel);
            if !setup.append.is_empty() {
                command.args(["-append", &setup.append]);
            }
        }
        if let Some(site) = &setup.site {
            std::fs::write(file("site.tar"), site).unwrap();
            command.arg("-initrd").arg(file("site.tar"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("qemu-system-x86_64 is missing: qemu/setup.sh test installs it");
        let serial = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), &serial);
        collect(child.stderr.take().unwrap(), &serial);
        let console = child.stdin.take().unwrap();
        Machine {
            backend,
            child,
            console,
            serial,
            directory,
        }
    }

    /// Everything that the guest and QEMU have said.
    pub fn serial(&self) -> String {
        lock(&self.serial).clone()
    }

    /// Types a line at the guest's console and gives what is said until `enough`.
    pub fn ask(&mut self, line: &str, enough: impl Fn(&str) -> bool) -> String {
        let from = lock(&self.serial).len();
        writeln!(self.console, "{line}").unwrap();
        self.console.flush().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = lock(&self.serial)[from..].to_owned();
            if enough(&said) {
                return said;
            }
            assert!(Instant::now() < deadline, "no answer to {line:?}: {said}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// QEMU's exit status, if it ends within `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Option<i32> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// A connection to QEMU's qtest socket.
    pub fn qtest(&self) -> Qtest {
        Qtest(connect(&self.directory.path().join("qtest")))
    }

    /// Executes a QMP command without arguments to speak of; its answer as QEMU gave it.
    pub fn qmp(&self, command: &str) -> String {
        let mut socket = connect(&self.directory.path().join("qmp"));
        let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
        let mut answer = || {
            loop {
                let line = lines.next().unwrap().unwrap();
                if !line.contains("\"event\"") {
                    return line;
                }
            }
        };
        assert!(answer().contains("QMP"));
        writeln!(socket, "{{\"execute\":\"qmp_capabilities\"}}").unwrap();
        answer();
        writeln!(socket, "{command}").unwrap();
        let result = answer();
        assert!(result.contains("\"return\""), "{command}: {result}");
        result
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let serial = self.serial();
            let lines: Vec<&str> = serial.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            println!("--- serial line ---\n{tail}\n--- device ---");
            println!("{:#?}", self.backend.view());
        }
    }
}

/// QEMU's qtest protocol: the buses as the processor sees them, behind the guest's back.
pub struct Qtest(UnixStream);

impl Qtest {
    fn command(&mut self, command: &str) -> String {
        writeln!(self.0, "{command}").unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while self.0.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        let answer = line.strip_prefix("OK");
        answer
            .unwrap_or_else(|| panic!("{command}: {line}"))
            .trim()
            .to_owned()
    }

    pub fn read32(&mut self, at: u64) -> u32 {
        let answer = self.command(&format!("readl {at:#x}"));
        let digits = answer.trim_start_matches("0x");
        u64::from_str_radix(digits, 16).unwrap() as u32
    }

    pub fn write32(&mut self, at: u64, value: u32) {
        self.command(&format!("writel {at:#x} {value:#x}"));
    }

    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        self.command(&format!("write {at:#x} {:#x} 0x{hex}", bytes.len()));
    }
}

fn connect(path: &Path) -> UnixStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(path) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                return socket;
            }
            Err(error) => assert!(Instant::now() < deadline, "{}: {error}", path.display()),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn collect(mut from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let text = String::from_utf8_lossy(&bytes[..count]);
            lock(&into).push_str(&text);
        }
    });
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}
