//! `quartz profile`: which functions the instructions of a request belong to.
//!
//! Every instruction that ran is counted by its address: no sampling, no noise. A frame of the
//! flame graph is a function, with what was inlined into it above; who called it is not known.

use super::BenchError;
use super::sheet::Word;
use super::statistics::short;
use super::subject::{Count, Kit, Running, Subject, Wire};
use super::wrk::Run;
use crate::cli::ProfileArgs;
use crate::error::Error;
use crate::http::Client;
use crate::symbols::{Frame, Symbols};
use inferno::flamegraph;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Requests of the one client that waits for each answer.
const REQUESTS: u64 = 500;
/// Requests for large files.
const FEW: u64 = 20;
/// Deadline of each request.
const PATIENCE: Duration = Duration::from_secs(60);

/// Instructions for each stack of functions, outermost first.
type Stacks = BTreeMap<Vec<String>, u64>;

/// Runs a guest, asks it, says where the time went.
///
/// # Errors
/// The guest does not answer, the symbols are missing, or nothing can be written.
pub fn run(kit: &Kit, args: &ProfileArgs) -> Result<(), Error> {
    let guest = kit.start(Subject::Quartz, Wire::Tap, 10, Count::Profile)?;
    ask(&guest, args, REQUESTS / 10)?;
    let meter = guest.meter.as_ref().ok_or(BenchError::NoMeter)?;
    let before: HashMap<u64, u64> = meter
        .rows()
        .map_err(BenchError::Counters)?
        .into_iter()
        .collect();
    let requests = ask(&guest, args, REQUESTS)?;
    let after = meter.rows().map_err(BenchError::Counters)?;
    let lost = meter
        .read()
        .map_err(BenchError::Counters)?
        .get(Word::RowsLost);
    guest.stop()?;
    let counts = after.into_iter().filter_map(|(address, count)| {
        let count = count - before.get(&address).copied().unwrap_or(0);
        (count > 0).then_some((address, count))
    });
    let symbols = kit.kernel.with_extension("debug");
    let stacks = resolve(&symbols, counts)?;
    print(&stacks, requests, args.top);
    if lost > 0 {
        super::say(&format_args!(
            "{lost} instructions had no place in the profile"
        ));
    }
    write(&stacks, &args.out)
}

/// Makes requests; how many.
fn ask(guest: &Running, args: &ProfileArgs, requests: u64) -> Result<u64, Error> {
    if args.connections > 0 {
        let run = Run {
            connections: args.connections,
            seconds: 3,
            path: &args.path,
            close: args.close,
        };
        return Ok(run.against(guest.address)?.requests);
    }
    let requests = match args.path.as_str() {
        "/100k" | "/10m" => FEW,
        _ => requests,
    };
    let ask = || -> std::io::Result<()> {
        let mut client = Client::connect(guest.address, Instant::now() + PATIENCE)?;
        for _ in 0..requests {
            client.set_deadline(Instant::now() + PATIENCE);
            if args.close {
                client = Client::connect(guest.address, Instant::now() + PATIENCE)?;
                let head = "Host: quartz\r\nConnection: close\r\n\r\n";
                client.send(format!("GET {} HTTP/1.1\r\n{head}", args.path).as_bytes())?;
                client.answer(false)?;
                client.at_end()?;
            } else {
                client.request("GET", &args.path)?;
            }
        }
        Ok(())
    };
    ask().map_err(BenchError::Request)?;
    Ok(requests)
}

/// Finds the functions of each address.
fn resolve(path: &Path, counts: impl Iterator<Item = (u64, u64)>) -> Result<Stacks, BenchError> {
    let symbols = Symbols::open(path.to_owned())
        .map_err(|error| BenchError::Symbols(path.to_owned(), error.to_string()))?;
    let mut stacks = Stacks::new();
    for (address, count) in counts {
        let mut frames = symbols.frames(address);
        let mut stack: Vec<String> = frames.iter().map(inlined).collect();
        match frames.pop() {
            // What was not inlined is known by its path.
            Some(outermost) => {
                stack.pop();
                stack.push(outermost.function);
            }
            None => stack.push("?".into()),
        }
        stack.reverse();
        let stack = stack.iter().map(|name| name.replace(';', ",")).collect();
        *stacks.entry(stack).or_default() += count;
    }
    Ok(stacks)
}

/// A function with where it is written.
fn inlined(frame: &Frame) -> String {
    let file = frame.place.as_ref().map_or("?", |(file, _)| file);
    format!("{} ({})", frame.function, room(file))
}

/// The last two parts of a source file's path.
fn room(file: &str) -> String {
    let mut parts: Vec<&str> = file.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}

/// The functions with the most instructions of their own, inlined ones by themselves.
fn print(stacks: &Stacks, requests: u64, top: usize) {
    let each = |count: u64| count as f64 / requests.max(1) as f64;
    let mut own: HashMap<&str, u64> = HashMap::new();
    let mut outer: HashMap<&str, u64> = HashMap::new();
    for (stack, count) in stacks {
        if let (Some(first), Some(last)) = (stack.first(), stack.last()) {
            *own.entry(last).or_default() += count;
            *outer.entry(first).or_default() += count;
        }
    }
    let all: u64 = stacks.values().sum();
    println!(
        "{} instructions for each of {requests} requests",
        short(each(all))
    );
    for (title, functions) in [
        ("functions, with what is inlined into them", outer),
        ("functions and inlined functions by themselves", own),
    ] {
        println!("\n{title}");
        let mut sorted: Vec<_> = functions.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        for (name, count) in sorted.into_iter().take(top) {
            let share = count as f64 / all.max(1) as f64 * 100.0;
            println!("{:>10} {share:>5.1} %  {name}", short(each(count)));
        }
    }
}

fn write(stacks: &Stacks, to: &Path) -> Result<(), Error> {
    let lines: Vec<String> = stacks
        .iter()
        .map(|(stack, count)| format!("{} {count}", stack.join(";")))
        .collect();
    let folded = to.join("profile.folded");
    fs::write(&folded, lines.join("\n") + "\n").map_err(super::output(&folded))?;
    let mut options = flamegraph::Options::default();
    options.title = "Instructions".into();
    options.count_name = "instructions".into();
    let mut picture = Vec::new();
    let drawn =
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut picture);
    let svg = to.join("profile.svg");
    drawn
        .map_err(std::io::Error::other)
        .and_then(|()| fs::write(&svg, picture))
        .map_err(super::output(&svg))?;
    super::say(&format_args!(
        "wrote {} and {}",
        svg.display(),
        folded.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::room;

    #[test]
    fn paths_are_short() {
        assert_eq!(room("/a/b/src/machine.rs"), "src/machine.rs");
    }
}
