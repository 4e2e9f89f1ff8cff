//! `quartz-hostile`: the hostile device by hand.
//!
//! Listens for QEMU, fetches a path from the guest again and again, commits the ordered fault, and
//! prints when the guest stopped answering and when it came back.
#![forbid(unsafe_code)]

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use quartz_hostile::{
    Backend, Client, ClientConfig, DeviceConfig, Fault, Lifetime, Order, Queue, View,
};
use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

const AFTER: &str = "\
Start QEMU with:
  qemu-system-x86_64 -M microvm,memory-backend=mem -m 64M \\
    -object memory-backend-memfd,id=mem,size=64M,share=on \\
    -nodefaults -no-user-config -display none -serial stdio -kernel target/quartz-unikernel.elf \\
    -chardev socket,id=c0,path=SOCKET -netdev vhost-user,id=n0,chardev=c0 \\
    -device virtio-net-device,netdev=n0

Without share=on QEMU serves the card itself; the back end then says that no memory table arrived.
With `reconnect=1` on the chardev the fault `disconnect` is survivable.";

/// An answer that takes longer is worth a line.
const SLOW: Duration = Duration::from_millis(100);

/// Time in which a guest usually boots.
const PATIENCE: Duration = Duration::from_secs(10);

/// A vhost-user network device that misbehaves on command, with an HTTP client behind it.
#[derive(Parser)]
#[command(name = "quartz-hostile", version, after_help = AFTER)]
struct Arguments {
    /// Unix socket to listen on; it must not exist yet
    #[arg(long)]
    socket: PathBuf,
    /// Fault to commit
    #[arg(long, value_parser = fault_parser())]
    fault: Option<Fault>,
    /// Queue to commit it on: rx or tx
    #[arg(long, default_value = "rx")]
    queue: Queue,
    /// Let this many chances pass first; for most faults, frames
    #[arg(long, default_value_t = 0)]
    after_frames: u32,
    /// Commit it this many times
    #[arg(long, default_value_t = 1, conflicts_with_all = ["resets", "forever"])]
    times: u32,
    /// Instead: until the guest has reset the device this many times
    #[arg(long, conflicts_with = "forever")]
    resets: Option<u32>,
    /// Instead: for good
    #[arg(long)]
    forever: bool,
    /// Do not offer VIRTIO_RING_F_EVENT_IDX
    #[arg(long)]
    no_event_idx: bool,
    /// The guest's address
    #[arg(long, default_value = "10.0.2.15")]
    guest: Ipv4Addr,
    /// What to fetch
    #[arg(long, default_value = "/")]
    path: String,
    /// Milliseconds between two requests
    #[arg(long, default_value_t = 100)]
    interval: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let config = DeviceConfig {
        event_idx: !arguments.no_event_idx,
        ..DeviceConfig::default()
    };
    let backend = Backend::listen(&arguments.socket, config)?;
    println!("listening on {}", arguments.socket.display());
    backend.wait("QEMU", Duration::MAX, |view| view.sessions > 0)?;
    println!("QEMU is there");
    let up = backend.wait("the driver", PATIENCE, |view| view.running);
    if up.is_err() && backend.view().memory_tables == 0 {
        println!("no memory table arrived: QEMU may be serving the card itself; still waiting");
    }
    backend.wait("the driver", Duration::MAX, |view| view.running)?;
    describe(&backend.view());
    let client = Client::new(
        backend.link().clone(),
        ClientConfig {
            guest: arguments.guest,
            ..ClientConfig::default()
        },
    );
    let first = client.get(&arguments.path, Duration::from_secs(30))?;
    println!("first answer: {}", first.status);
    if let Some(fault) = arguments.fault {
        let lifetime = match (arguments.resets, arguments.forever) {
            (Some(count), _) => Lifetime::Resets(count),
            (None, true) => Lifetime::Cleared,
            (None, false) => Lifetime::Times(arguments.times),
        };
        backend.inject(Order {
            fault,
            queue: arguments.queue,
            after: arguments.after_frames,
            lifetime,
        });
        println!("{fault} on {} from now on", arguments.queue);
    }
    watch(&arguments, &backend, &client)
}

/// The faults by name, all of them listed in the help.
fn fault_parser() -> impl TypedValueParser<Value = Fault> {
    let names = Fault::ALL.iter().map(|(_, name)| *name);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Fault>())
}

/// Fetches until interrupted; a line whenever something changes.
fn watch(arguments: &Arguments, backend: &Backend, client: &Client) -> Result<(), Box<dyn Error>> {
    let mut silent_since: Option<Instant> = None;
    let mut before = backend.view();
    loop {
        let begun = Instant::now();
        match client.get(&arguments.path, Duration::from_secs(1)) {
            Ok(response) => {
                if let Some(since) = silent_since.take() {
                    let (status, gap) = (response.status, since.elapsed());
                    println!("answers again ({status}) after {gap:.3?}");
                } else if begun.elapsed() > SLOW {
                    println!("an answer took {:.3?}", begun.elapsed());
                }
            }
            Err(error) if silent_since.is_none() => {
                println!("no answer: {error}");
                silent_since = Some(begun);
            }
            Err(_) => {}
        }
        let view = backend.view();
        if view.starts != before.starts || view.sessions != before.sessions {
            describe(&view);
        }
        for new in view.breaches.iter().skip(before.breaches.len()) {
            println!("the driver broke a rule: {new}");
        }
        for new in view.errors.iter().skip(before.errors.len()) {
            println!("vhost-user: {new}");
        }
        before = view;
        sleep(Duration::from_millis(arguments.interval));
    }
}

fn describe(view: &View) {
    println!(
        "sessions {}, ring starts {}, memory tables {}, features {:#x}, running {}, rx {} tx {}",
        view.sessions,
        view.starts,
        view.memory_tables,
        view.features,
        view.running,
        view.rx.size,
        view.tx.size
    );
}
