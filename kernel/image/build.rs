//! Hands the kernel's linker script to the linker, and packs the demo site that the image carries.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let script = env::var("DEP_QUARTZ_KERNEL_LINK_SCRIPT").expect("quartz-kernel says it");
    println!("cargo:rustc-link-arg-bins=-T{script}");

    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let demo = here.join("demo");
    println!("cargo:rerun-if-changed={}", demo.display());
    pack(&demo, &out.join("demo.tar"))
}

/// A flat, reproducible tar of the files right in `from`.
fn pack(from: &Path, to: &Path) -> io::Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(from)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut archive = tar::Builder::new(fs::File::create(to)?);
    for path in files {
        let content = fs::read(&path)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let name = path.file_name().expect("read_dir gives names");
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    archive.finish()
}
