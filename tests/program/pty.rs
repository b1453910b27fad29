//! A terminal for the program, seen from its user's side.

use std::io::{Read, Write};
use std::process::Stdio;

/// A terminal: what the user types goes in, what the program shows comes out.
pub struct Pty {
    master: std::fs::File,
    slave: std::path::PathBuf,
}

impl Pty {
    pub fn open() -> Pty {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ptsname(&master, Vec::new()).unwrap();
        Pty {
            master: master.into(),
            slave: slave.into_string().unwrap().into(),
        }
    }

    /// The program's end of it.
    pub fn end(&self) -> Stdio {
        let mut options = std::fs::File::options();
        options
            .read(true)
            .write(true)
            .open(&self.slave)
            .unwrap()
            .into()
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.master.write_all(line.as_bytes()).unwrap();
    }

    /// All that is shown until nobody has it open any more.
    pub fn shows(mut self) -> String {
        let mut shown = Vec::new();
        let mut buffer = [0; 4096];
        // The last one to close it makes reading fail.
        while let Ok(length @ 1..) = self.master.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }
}
