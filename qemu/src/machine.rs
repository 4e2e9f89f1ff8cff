//! The virtual machine, as QEMU's command line: with the least that the guest needs.

use crate::memory::Memory;
use crate::program;
use crate::site::Site;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// QEMU's monitor in the folder of a lasting guest.
pub const MONITOR_SOCKET: &str = "monitor.sock";
/// The serial line in the folder of a lasting guest.
pub const SERIAL_SOCKET: &str = "serial.sock";
/// What the guest said on it.
pub const SERIAL_LOG: &str = "serial.log";

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        })
    }
}

/// A TCP port of 127.0.0.1 that leads to a port of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The host's port.
    pub host: u16,
    /// Address and port in the guest.
    pub guest: SocketAddrV4,
}

/// The network device's other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// No network device.
    None,
    /// QEMU's user networking, closed but for these forwards.
    User(Vec<Forward>),
    /// An existing tap device.
    Tap(String),
}

/// A machine to start.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The QEMU program.
    pub qemu: PathBuf,
    /// The machine type with its properties (`-M`).
    pub board: String,
    /// What runs it.
    pub accelerator: Accelerator,
    /// Its memory.
    pub memory: Memory,
    /// The kernel.
    pub kernel: PathBuf,
    /// The site; without one the kernel serves its own.
    pub site: Option<Arc<Site>>,
    /// The network.
    pub attachment: Attachment,
    /// The guest's command line.
    pub append: String,
    /// Whether the guest's driver notifies the device twice of many frames, as Quartz' does.
    pub notifies_twice: bool,
    /// Whether QEMU gives up what it does not need (seccomp).
    pub sandbox: bool,
    /// More words for QEMU, at the end.
    pub extra: Vec<OsString>,
}

impl Machine {
    /// A microvm with 64 MiB, TCG, user networking without forwards, the demo site.
    #[must_use]
    pub fn new(kernel: PathBuf) -> Machine {
        Machine {
            qemu: PathBuf::from(program::QEMU),
            board: "microvm".into(),
            accelerator: Accelerator::Tcg,
            memory: Memory::mib(64),
            kernel,
            site: None,
            attachment: Attachment::User(Vec::new()),
            append: String::new(),
            notifies_twice: true,
            sandbox: true,
            extra: Vec::new(),
        }
    }

    /// QEMU's words, with the guest's serial line on its standard input and output and the monitor
    /// on an inherited socket.
    #[must_use]
    pub fn arguments(&self, wires: Wires) -> Vec<OsString> {
        let mut words = Words::default();
        self.machine(&mut words, &self.board);
        // Standard input and output are pipes: they hold more than a socket does, where every
        // write of the guest, a byte each, takes the room of a packet.
        words.pair("-chardev", "stdio,id=serial,signal=off");
        words.pair(
            "-chardev",
            format!("socket,id=monitor,fd={}", wires.monitor),
        );
        self.devices(&mut words);
        words.0
    }

    /// QEMU's words for a guest that outlives who started it: QEMU itself serves serial line and
    /// monitor on sockets in `folder` and logs the serial line there; the memory is a file.
    #[must_use]
    pub fn lasting_arguments(&self, folder: &Path, memory: RawFd) -> Vec<OsString> {
        let mut words = Words::default();
        self.machine(&mut words, &format!("{},memory-backend=ram", self.board));
        let size = self.memory;
        words.pair(
            "-object",
            format!(
                "memory-backend-file,id=ram,size={size},share=on,mem-path=/proc/self/fd/{memory}"
            ),
        );
        let folder = folder.display();
        words.pair(
            "-chardev",
            format!(
                "socket,id=serial,path={folder}/{SERIAL_SOCKET},server=on,wait=off,\
                 logfile={folder}/{SERIAL_LOG},logappend=on"
            ),
        );
        words.pair(
            "-chardev",
            format!("socket,id=monitor,path={folder}/{MONITOR_SOCKET},server=on,wait=off"),
        );
        self.devices(&mut words);
        words.0
    }

    fn machine(&self, words: &mut Words, board: &str) {
        words.put("-nodefaults");
        words.put("-no-user-config");
        words.pair("-display", "none");
        // A guest that resets itself has crashed: it ends, and does not start over in silence.
        words.put("-no-reboot");
        if self.sandbox {
            words.pair(
                "-sandbox",
                "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            );
        }
        words.pair("-M", board);
        words.pair("-accel", self.accelerator.to_string());
        // All that the accelerator has: RDRAND for keys above all.
        words.pair("-cpu", "max");
        words.pair("-m", self.memory.to_string());
        words.pair("-kernel", &self.kernel);
        if let Some(site) = &self.site {
            let path = format!("/proc/self/fd/{}", site.file.as_raw_fd());
            words.pair("-initrd", path);
        }
        if !self.append.is_empty() {
            words.pair("-append", &self.append);
        }
    }

    fn devices(&self, words: &mut Words) {
        words.pair("-serial", "chardev:serial");
        words.pair("-mon", "chardev=monitor,mode=control");
        words.pair("-device", "isa-debug-exit,iobase=0xf4,iosize=4");
        if let Some(netdev) = self.attachment.netdev() {
            words.pair("-netdev", netdev);
            words.pair("-device", self.network_device());
        }
        words.0.extend(self.extra.iter().cloned());
    }

    /// The translator executes the guest in a thread beside the I/O thread, so the two can share the
    /// device's work: with `tx=timer` frames are sent by whichever thread the guest's second
    /// notification comes from (`NetConfig::twice_from` in the driver). The timer itself, which
    /// the first one sets, is to fire at once: at its default of 150 µs a lone frame would wait.
    fn network_device(&self) -> &'static str {
        match self.accelerator {
            Accelerator::Tcg if self.notifies_twice => {
                "virtio-net-device,netdev=n0,tx=timer,x-txtimer=1"
            }
            _ => "virtio-net-device,netdev=n0",
        }
    }

    /// The descriptors that QEMU must inherit.
    #[must_use]
    pub fn inherited(&self, wires: Wires) -> Vec<RawFd> {
        let site = self.site.as_ref().map(|site| site.file.as_raw_fd());
        [wires.monitor].into_iter().chain(site).collect()
    }
}

/// Sockets that connect QEMU with this program, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wires {
    /// QEMU's monitor.
    pub monitor: RawFd,
}

impl Attachment {
    fn netdev(&self) -> Option<String> {
        match self {
            Attachment::None => None,
            Attachment::User(forwards) => {
                let mut netdev = String::from("user,id=n0,restrict=on");
                for forward in forwards {
                    let host = SocketAddrV4::new(Ipv4Addr::LOCALHOST, forward.host);
                    netdev += &format!(",hostfwd=tcp:{host}-{}", forward.guest);
                }
                Some(netdev)
            }
            Attachment::Tap(name) => Some(format!(
                "tap,id=n0,ifname={name},script=no,downscript=no,vhost=off"
            )),
        }
    }
}

#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn put(&mut self, word: impl Into<OsString>) {
        self.0.push(word.into());
    }

    fn pair(&mut self, flag: &str, value: impl Into<OsString>) {
        self.put(flag);
        self.put(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &Machine) -> String {
        let words = machine.arguments(Wires { monitor: 8 });
        let words: Vec<_> = words.iter().map(|w| w.to_str().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn the_least_privileges_are_asked_for() {
        let line = line(&Machine::new("kernel.elf".into()));
        for part in [
            "-nodefaults",
            "-no-user-config",
            "-sandbox on,",
            "restrict=on",
            "-kernel kernel.elf",
            "-chardev socket,id=monitor,fd=8",
        ] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        for part in ["-initrd", "-append", "hostfwd"] {
            assert!(!line.contains(part), "{part} stands in {line}");
        }
    }

    #[test]
    fn a_lasting_guest_has_its_lines_in_a_folder_and_its_memory_in_a_file() {
        let words = Machine::new("k".into()).lasting_arguments(Path::new("/run/q"), 9);
        let words: Vec<_> = words.iter().map(|w| w.to_str().unwrap()).collect();
        let line = words.join(" ");
        for part in [
            "-M microvm,memory-backend=ram",
            "size=64M,share=on,mem-path=/proc/self/fd/9",
            "path=/run/q/serial.sock,server=on,wait=off,logfile=/run/q/serial.log",
            "path=/run/q/monitor.sock,server=on,wait=off",
            "-serial chardev:serial",
            "-mon chardev=monitor,mode=control",
        ] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        assert!(!line.contains("stdio"), "{line}");
    }

    #[test]
    fn forwards_bind_to_loopback_only() {
        let mut machine = Machine::new("k".into());
        machine.attachment = Attachment::User(vec![Forward {
            host: 8080,
            guest: SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 15), 80),
        }]);
        let line = line(&machine);
        let wanted = "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80";
        assert!(line.contains(wanted), "{line}");
    }

    #[test]
    fn the_translator_s_thread_may_send() {
        let mut machine = Machine::new("k".into());
        assert!(line(&machine).contains("netdev=n0,tx=timer,x-txtimer=1"));
        machine.notifies_twice = false;
        assert!(!line(&machine).contains("tx=timer"));
        machine.notifies_twice = true;
        machine.accelerator = Accelerator::Kvm;
        assert!(!line(&machine).contains("tx=timer"));
    }

    #[test]
    fn a_tap_is_used_without_scripts() {
        let mut machine = Machine::new("k".into());
        machine.attachment = Attachment::Tap("t0".into());
        let wanted = "tap,id=n0,ifname=t0,script=no,downscript=no,vhost=off";
        assert!(line(&machine).contains(wanted));
    }
}
