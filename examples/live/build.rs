//! Hands the kernel's linker script to the linker.

fn main() {
    let script = std::env::var("DEP_QUARTZ_KERNEL_LINK_SCRIPT").expect("quartz-kernel says it");
    println!("cargo:rustc-link-arg-bins=-T{script}");
}
