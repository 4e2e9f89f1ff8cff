//! Backtraces of the guest: the addresses in a report on its serial line or on its stack, with
//! names from the kernel's symbols.

use crate::symbols::{Symbols, SymbolsError};
use quartz_abi::BuildId;
use std::fmt::Write as _;
use std::path::Path;

/// Most addresses of a backtrace.
pub const MOST: usize = 32;

/// Addresses, innermost first: where the processor was, then where it would have returned to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backtrace {
    /// The kernel's build, if it is known.
    pub build: Option<BuildId>,
    /// The addresses.
    pub addresses: Vec<u64>,
}

impl Backtrace {
    /// The last backtrace that these lines of a guest's log hold.
    #[must_use]
    pub fn find<S: AsRef<str>>(lines: &[S]) -> Option<Backtrace> {
        let is_head = |line: &S| line.as_ref().trim_start().starts_with("backtrace (");
        let head = lines.iter().rposition(is_head)?;
        let addresses: Vec<u64> = lines[head + 1..]
            .iter()
            .take(MOST + 1)
            .map_while(|line| address(line.as_ref()))
            .collect();
        let build = lines[..head].last();
        (!addresses.is_empty()).then(|| Backtrace {
            build: build.and_then(|line| BuildId::from_line(line.as_ref())),
            addresses,
        })
    }

    /// One out of registers and stack: `rip`, and the return addresses along the chain of frame
    /// pointers from `rbp` on, which `word` reads.
    #[must_use]
    pub fn walk(
        build: Option<BuildId>,
        rip: u64,
        rbp: u64,
        word: impl Fn(u64) -> Option<u64>,
    ) -> Backtrace {
        let mut addresses = vec![rip];
        let mut frame = rbp;
        while addresses.len() < MOST
            && frame != 0
            && frame.is_multiple_of(8)
            && let (Some(next), Some(address)) = (word(frame), word(frame.wrapping_add(8)))
            && address != 0
        {
            addresses.push(address);
            // A chain that does not climb would never end.
            frame = if next > frame { next } else { 0 };
        }
        Backtrace { build, addresses }
    }

    /// A line for each function, inlined ones too, as the symbols beside `kernel` name them.
    ///
    /// # Errors
    /// There are no symbols of this build.
    pub fn named(&self, kernel: &Path) -> Result<String, SymbolsError> {
        let symbols = Symbols::of(kernel, self.build)?;
        let mut text = String::new();
        let mut last = String::new();
        let mut again = 0;
        for (depth, &address) in self.addresses.iter().enumerate() {
            // A call stands before the address that it returns to, which may belong to another
            // line or even function.
            let call = address.saturating_sub(u64::from(depth > 0));
            let names = names(&symbols, call).unwrap_or_else(|| format!("{address:#x}\n"));
            if names == last {
                again += 1;
                continue;
            }
            repeated(&mut text, &mut again);
            let mut label = format!("#{depth}");
            for name in names.lines() {
                let _ = writeln!(text, "  {label:<4}{name}");
                // What it is inlined into.
                label.clear();
            }
            last = names;
        }
        repeated(&mut text, &mut again);
        Ok(text)
    }
}

/// Says that the last function stands there so many times more.
fn repeated(text: &mut String, again: &mut u32) {
    if *again > 0 {
        let _ = writeln!(text, "      and {again} times more");
        *again = 0;
    }
}

/// The functions at an address, a line each; `None` if it is no code of the kernel.
fn names(symbols: &Symbols, address: u64) -> Option<String> {
    let frames = symbols.frames(address);
    let mut text = String::new();
    for frame in frames {
        text += &frame.function;
        if let Some((file, line)) = frame.place {
            let _ = write!(text, " ({}:{line})", short(&file));
        }
        text.push('\n');
    }
    (!text.is_empty()).then_some(text)
}

/// The address in a line of a backtrace.
fn address(line: &str) -> Option<u64> {
    let (_, address) = line.trim().strip_prefix('#')?.split_once(' ')?;
    u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()
}

/// A source file's path without where the sources lie on the machine that built it.
fn short(file: &str) -> &str {
    for part in ["/library/", "/registry/src/"] {
        if let Some(at) = file.rfind(part) {
            let rest = &file[at + part.len()..];
            // Below the registry every index has a folder.
            return match part {
                "/library/" => rest,
                _ => rest.split_once('/').map_or(rest, |(_, rest)| rest),
            };
        }
    }
    ["/kernel/", "/drivers/", "/net/", "/examples/"]
        .iter()
        .filter_map(|part| file.find(part))
        .min()
        .map_or(file, |at| &file[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LOG: &str = "\
[     1.000000] INFO  boot: ready
FATAL: panicked: provoked
build 0fe102030405060708090a0b0c0d0eff
backtrace (innermost first):
  #0 0x0000000000127cd0
  #1 0x0000000000127cf0
exit code 0x11: the guest's kernel panicked";

    #[test]
    fn the_addresses_of_a_report_are_found() {
        let lines: Vec<&str> = LOG.lines().collect();
        let found = Backtrace::find(&lines).unwrap();
        assert_eq!(found.addresses, [0x12_7cd0, 0x12_7cf0]);
        let build = found.build.unwrap().to_string();
        assert_eq!(build, "0fe102030405060708090a0b0c0d0eff");
        assert_eq!(Backtrace::find(&lines[..4]), None);
        // A report of an older kernel, without its build.
        let old = [&lines[..2], &lines[3..]].concat();
        assert_eq!(Backtrace::find(&old).unwrap().build, None);
    }

    #[test]
    fn a_stack_is_walked_as_long_as_it_climbs() {
        let stack = BTreeMap::from([
            (0x100, 0x120),
            (0x108, 0xa),
            (0x120, 0x140),
            (0x128, 0xb),
            (0x140, 0x100),
            (0x148, 0xc),
        ]);
        let word = |at: u64| stack.get(&at).copied();
        let walk = |rbp| Backtrace::walk(None, 1, rbp, word).addresses;
        assert_eq!(walk(0x100), [1, 0xa, 0xb, 0xc]);
        assert_eq!(walk(0x101), [1]);
        assert_eq!(walk(u64::MAX - 7), [1]);
        assert_eq!(walk(0x500), [1]);
    }

    #[test]
    fn source_files_are_named_from_the_top_of_their_tree() {
        for (file, shown) in [
            ("/home/a/quartz/kernel/src/lib.rs", "kernel/src/lib.rs"),
            ("kernel/src/lib.rs", "kernel/src/lib.rs"),
            (
                "/root/.rustup/toolchains/x/lib/rustlib/src/rust/library/core/src/panicking.rs",
                "core/src/panicking.rs",
            ),
            (
                "/root/.cargo/registry/src/index.crates.io-1/smoltcp-0.14.0/src/lib.rs",
                "smoltcp-0.14.0/src/lib.rs",
            ),
        ] {
            assert_eq!(short(file), shown);
        }
    }
}
