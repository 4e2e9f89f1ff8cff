//! The floor of the time to boot: how long QEMU takes to reach a guest's first instruction.
//!
//! The guest is a PVH kernel of a few bytes that writes to the debug-exit port and is over.

use super::BenchError;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where it is loaded and begins.
const BASE: u32 = 0x10_0000;
/// `XEN_ELFNOTE_PHYS32_ENTRY`.
const NOTE: u32 = 18;
/// mov $0x10, %al; out %al, $0xf4; hlt; jmp back to the hlt.
const CODE: [u8; 7] = [0xb0, 0x10, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd];
/// What QEMU ends with then: (code << 1) | 1.
const STATUS: i32 = 0x21;

/// The kernel: a 32-bit ELF file with one segment and one note.
fn image() -> Vec<u8> {
    const HEADERS: u32 = 52 + 2 * 32;
    let note = HEADERS;
    let code = note + 20;
    let mut file = Vec::new();
    file.extend_from_slice(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2u16, 3] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    for word in [1, BASE + code, 52, 0, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for half in [52u16, 32, 2, 40, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    let size = code + CODE.len() as u32;
    // PT_LOAD, readable and executable; then PT_NOTE.
    for word in [1, 0, BASE, BASE, size, size, 5, 4096] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for word in [4, note, BASE + note, BASE + note, 20, 20, 4, 4] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for word in [4, 4, NOTE] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(b"Xen\0");
    file.extend_from_slice(&(BASE + code).to_le_bytes());
    file.extend_from_slice(&CODE);
    file
}

/// Time from starting QEMU to its end, which the guest's first instructions bring about.
///
/// # Errors
/// QEMU cannot be started, or ends otherwise.
pub fn measure(qemu: &Path) -> Result<Duration, BenchError> {
    let failed = |source| BenchError::Load {
        program: "qemu",
        source,
    };
    let mut kernel = tempfile::NamedTempFile::new().map_err(failed)?;
    std::io::Write::write_all(&mut kernel, &image()).map_err(failed)?;
    let began = Instant::now();
    let status = Command::new(qemu)
        .args(["-M", "microvm", "-accel", "tcg", "-cpu", "max", "-m", "64"])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args([
            "-netdev",
            "user,id=n0",
            "-device",
            "virtio-net-device,netdev=n0",
        ])
        .arg("-kernel")
        .arg(kernel.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed)?;
    match status.code() {
        Some(STATUS) => Ok(began.elapsed()),
        _ => Err(BenchError::Floor(status.to_string())),
    }
}
