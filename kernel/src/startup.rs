//! Boot, in order: console, processor tables, memory, time, device, site, stack.

use crate::arch::{apic, clock, copy, cpu, fence, gdt, idt, interrupts, paging, random, rtc};
use crate::blackbox;
use crate::boot;
use crate::console;
use crate::failure::refuse;
use crate::logger;
use crate::machine::{Board, Machine};
use crate::memory::dma::{self, KernelHal};
use crate::memory::{FreeRanges, heap, layout};
use crate::nic;
use crate::provoke;
use crate::serial;
use bootloader_api::BootInfo;
use core::ops::Range;
use core::slice;
use quartz_abi::{CommandLine, ExitCode};
use quartz_drivers::{NetConfig, VirtioNet};
use quartz_net::app::Application;
use quartz_net::{Duration, Site, SiteOptions, Stack, StackConfig};

/// Interrupt line of the first serial port on the first I/O APIC.
const SERIAL_PIN: u32 = 4;

/// Frames to send from which the processor's thread is to do it. With fewer it gains less than the
/// I/O thread loses, which cannot receive meanwhile: measured with a connection for each request.
const TWICE_FROM: u16 = 20;

/// Bytes of the heap that the stack may not take: what is left for the rest.
const HEAP_RESERVE: usize = 128 * 1024;

/// Brings the machine up to the point where it can serve.
#[optimize(size)]
pub fn start(boot_info: &'static mut BootInfo, application: fn() -> Application) -> Machine {
    let boot_tsc = cpu::tsc();
    serial::init();
    gdt::init();
    idt::init();
    copy::widen();

    let site = ramdisk(boot_info);
    let site_bytes = site.end - site.start;
    let memory = prepare_memory(boot_info, &site);
    apic::init(interrupts::TIMER, interrupts::SPURIOUS);
    clock::init(boot_tsc);
    logger::init();
    log::info!(
        target: "boot",
        "Quartz {}, {} KiB of memory free",
        env!("CARGO_PKG_VERSION"),
        memory.free / 1024
    );

    let wall_clock = rtc::unix_seconds();
    blackbox::init(wall_clock);

    let command_line = command_line();
    logger::set_level(command_line.log);
    if let Some(fault) = command_line.provoke {
        provoke::provoke(fault);
    }

    // SAFETY: once, and the page tables map the slots and the controllers.
    let found = unsafe { nic::find(&command_line, boot_info.rsdp_addr.into_option().is_some()) };
    let Some(nic) = found else {
        refuse(
            ExitCode::NoDevice,
            &"no virtio-mmio network device: start QEMU with `-device virtio-net-device`",
        );
    };
    interrupts::set_nic(nic.interrupts);
    let ring = memory.ring_size;
    let config = NetConfig {
        rx_size: ring,
        tx_size: ring,
        fence: fence::choose(),
        // The translator's thread carries a notification out itself; with KVM the I/O thread does.
        twice_from: cpu::is_translated().then_some(TWICE_FROM),
        address: dma::address,
    };
    let mut device =
        match VirtioNet::<KernelHal, _>::new(nic.transport, &interrupts::NIC_LINE, config) {
            Ok(device) => device,
            Err(error) => refuse(
                ExitCode::NoDevice,
                &format_args!("the network device cannot be used: {error}"),
            ),
        };
    device.set_recorder(blackbox::record);
    blackbox::set_addresses(device.addresses());
    nic.controller
        .route(nic.pin, interrupts::NIC, apic::Trigger::Level);
    if let Some(first) = apic::IoApic::find(&apic::IO_1) {
        first.route(SERIAL_PIN, interrupts::SERIAL, apic::Trigger::Edge);
    }
    clock::settle();
    x86_64::instructions::interrupts::enable();
    log::info!(
        target: "boot",
        "virtio-net in slot {}, pin {}, rings of {} and {}",
        nic.slot, nic.pin, device.rx_stats().size, device.tx_stats().size
    );

    let application = application();
    let options = SiteOptions {
        now: wall_clock,
        security_fields: command_line.security_fields,
    };
    let site = load_site(site, application.own_site(), &options);
    let stack = network(&command_line, &device, site, application, wall_clock);
    log::info!(target: "boot", "ready in {} us", clock::now_us());
    console::prompt();
    let board = Board {
        free: memory.free,
        site: site_bytes,
        pin: nic.pin,
    };
    // From here on there is a loop that serves the port.
    serial::go_live();
    Machine::new(device, stack, &command_line, board, clock::now_us())
}

/// What memory became.
struct Memory {
    /// Bytes that were free at the start.
    free: u64,
    /// Descriptors of each ring.
    ring_size: u16,
}

/// Page tables, DMA pages and heap, out of what the loader says is there.
#[optimize(size)]
fn prepare_memory(boot_info: &BootInfo, site: &Range<u64>) -> Memory {
    let mut ranges = FreeRanges::new(&boot_info.memory_regions, &[layout::image(), site.clone()]);
    let free = ranges.total();
    // SAFETY: once, on the stub's tables; the ranges come from the loader's map, and the site
    // was taken out of them.
    unsafe {
        paging::init(
            &mut ranges,
            site.clone(),
            &[nic::REGISTERS, apic::LOCAL, apic::IO_1, apic::IO_2],
        );
    }
    // A small machine gets small rings: at 256 they take 1.1 MiB.
    let ring_size = match free {
        0..0x30_0000 => 32,
        0x30_0000..0x80_0000 => 64,
        _ => 256,
    };
    let dma = ranges.carve(VirtioNet::<KernelHal, MmioTransport>::dma_bytes(
        ring_size, ring_size,
    ));
    let heap = ranges.carve_largest();
    let (Some(dma), Some(heap)) = (dma, heap) else {
        refuse(
            ExitCode::OutOfMemory,
            &format_args!("too little memory to start: {} KiB free", free / 1024),
        );
    };
    // SAFETY: once, with ranges that were free, are mapped now, and are handed out here only.
    unsafe {
        dma::init(dma);
        heap::init(heap);
    }
    Memory { free, ring_size }
}

type MmioTransport = virtio_drivers::transport::mmio::MmioTransport<'static>;

/// Where the loader put the initrd; empty without one.
fn ramdisk(boot_info: &BootInfo) -> Range<u64> {
    match boot_info.ramdisk_addr.into_option() {
        Some(start) => start..start.saturating_add(boot_info.ramdisk_len),
        None => 0..0,
    }
}

#[optimize(size)]
fn command_line() -> CommandLine {
    let parsed = boot::command_line()
        .map_err(|_| None)
        .and_then(|text| CommandLine::parse(text).map_err(Some));
    match parsed {
        Ok(line) => line,
        Err(Some(error)) => refuse(
            ExitCode::BadCommandLine,
            &format_args!("command line refused: {error}"),
        ),
        Err(None) => refuse(
            ExitCode::BadCommandLine,
            &"command line refused: it is not UTF-8",
        ),
    }
}

/// The site: the loader's initrd, or what the application brings.
#[optimize(size)]
fn load_site(image: Range<u64>, own: Option<&'static [u8]>, options: &SiteOptions) -> Site {
    let archive: &'static [u8] = if image.is_empty() {
        let Some(own) = own else {
            log::info!(target: "boot", "no initrd: there are no files to serve");
            return Site::empty();
        };
        log::info!(target: "boot", "no initrd: serving the site in the image");
        own
    } else {
        let len = (image.end - image.start) as usize;
        // SAFETY: the loader put the initrd there; its pages are read-only from now on and in
        // no free range.
        unsafe { slice::from_raw_parts(image.start as *const u8, len) }
    };
    match Site::with_options(archive, options) {
        Ok(site) => site,
        Err(error) => refuse(
            ExitCode::BadSite,
            &format_args!("site image refused: {error}"),
        ),
    }
}

#[optimize(size)]
fn network(
    command_line: &CommandLine,
    device: &VirtioNet<KernelHal, MmioTransport>,
    site: Site,
    application: Application,
    wall_clock: Option<u64>,
) -> Stack {
    let (seed, source) = random::seed();
    if source == random::Source::Jitter {
        log::warn!(
            target: "boot",
            "this processor has no RDRAND: keys come from timing jitter; use `-cpu max`"
        );
    }
    let usage = heap::usage();
    let config = StackConfig {
        mac: device.mac(),
        mtu: device.mtu(),
        ipv4: command_line.ipv4,
        ipv6: command_line.ipv6,
        port: command_line.port,
        admin: command_line.admin,
        public_endpoints: command_line.public_endpoints,
        conns: command_line.conns,
        conns_per_source: command_line.conns_per_source,
        memory: (usage.total - usage.used).saturating_sub(HEAP_RESERVE),
        time_wait: Duration::from_secs(u64::from(command_line.time_wait_s)),
        tx_checksum_offload: device.tx_checksum_offload(),
        seed,
        version: env!("CARGO_PKG_VERSION"),
        wall_clock,
    };
    match Stack::with_application(config, site, application, clock::now()) {
        Ok(stack) => stack,
        Err(error) => refuse(
            ExitCode::OutOfMemory,
            &format_args!("the network stack does not fit: {error}"),
        ),
    }
}
