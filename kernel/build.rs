//! Names the linker script to applications (`DEP_QUARTZ_KERNEL_LINK_SCRIPT`).

use std::env;
use std::path::PathBuf;

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let script = here.join("link.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    println!("cargo:link_script={}", script.display());
}
