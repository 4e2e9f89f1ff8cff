//! Quartz as it is: it serves the site that it is given, or its demo.
#![no_std]
#![no_main]

use quartz_kernel::Application;

/// The site that the image carries, for a boot without an initrd.
static DEMO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/demo.tar"));

quartz_kernel::application!(|| Application::new().site(DEMO));
