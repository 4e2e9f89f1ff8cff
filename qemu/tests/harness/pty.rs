//! A program on a terminal, and what a person would see there.

use super::{soon, wait_until};
use quartz::spawn;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A terminal with a program on it. Dropping it kills that.
pub struct Pty {
    child: Child,
    master: File,
    slave: File,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Pty {
    /// Starts a program on a terminal of this size.
    pub fn start(command: &mut Command, columns: u16, rows: u16) -> Pty {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let parser = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(columns), 0)));
        let master = File::from(master);
        let (mut screen, seen) = (master.try_clone().unwrap(), Arc::clone(&parser));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                seen.lock().unwrap().process(&bytes[..read]);
            }
        });
        set_size(&slave, columns, rows);
        let child = spawn::bound(command, Vec::new()).unwrap();
        Pty {
            child,
            master,
            slave,
            parser,
        }
    }

    /// What is on the screen, a line to a row.
    pub fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Whether the program has put its own screen before the person's, and the cursor away.
    pub fn is_taken(&self) -> bool {
        let parser = self.parser.lock().unwrap();
        parser.screen().alternate_screen() && parser.screen().hide_cursor()
    }

    /// Whether the terminal is as a shell wants it.
    pub fn is_restored(&self) -> bool {
        let parser = self.parser.lock().unwrap();
        let taken = parser.screen().alternate_screen() || parser.screen().hide_cursor();
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        !taken && modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits until the screen is as it should be; gives it.
    pub fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let deadline = soon();
        loop {
            let text = self.text();
            if is(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "in vain: {what}\n{text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types something.
    pub fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).unwrap();
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        let mut parser = self.parser.lock().unwrap();
        parser.screen_mut().set_size(some(rows), some(columns));
        set_size(&self.slave, columns, rows);
    }

    /// The program has to end now; how it did.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the program has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No terminal is without a line.
fn some(size: u16) -> NonZero<u16> {
    NonZero::new(size).unwrap()
}

fn set_size(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).unwrap();
}
