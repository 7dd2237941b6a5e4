//! Runs bypassctl at a terminal.

use super::{CommandOutput, Sandbox, error_docs};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

impl Sandbox {
    /// Runs bypassctl with all three streams at one terminal, without any input. The terminal does
    /// not know its width, and no line wraps.
    pub fn run_in_terminal(&self, args: &[&str]) -> CommandOutput {
        let mut command = self.bypassctl_command(args);
        command.env("COLUMNS", "9999");
        let run = self.run_command_in_terminal(command, "", None);
        error_docs::assert_documented(run.code, &run.stdout);
        run
    }

    /// Runs bypassctl at a terminal of this width, without any input.
    pub fn run_in_terminal_of_width(&self, columns: u16, args: &[&str]) -> CommandOutput {
        self.run_command_in_terminal(self.bypassctl_command(args), "", Some(columns))
    }

    /// Runs a shell at a terminal and types this.
    pub fn run_shell_in_terminal(&self, shell: &[&str], typed: &str) -> CommandOutput {
        self.run_command_in_terminal(self.shell_command(shell), typed, None)
    }

    fn run_command_in_terminal(
        &self,
        mut command: Command,
        typed: &str,
        columns: Option<u16>,
    ) -> CommandOutput {
        let mut terminal =
            File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal"));
        grantpt(&terminal)
            .and_then(|()| unlockpt(&terminal))
            .expect("a terminal");
        if let Some(ws_col) = columns {
            let (ws_row, ws_xpixel, ws_ypixel) = (24, 0, 0);
            let size = Winsize {
                ws_row,
                ws_col,
                ws_xpixel,
                ws_ypixel,
            };
            tcsetwinsize(&terminal, size).expect("a terminal");
        }
        let name = ptsname(&terminal, Vec::new()).expect("its name");
        let end = File::options()
            .read(true)
            .write(true)
            .open(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let end = end.expect("a terminal");
        let stream = || end.try_clone().expect("a terminal");
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let mut child = command.spawn().expect("a program that runs");
        drop((command, end));
        terminal.write_all(typed.as_bytes()).expect("a terminal");
        let (mut shown, mut part) = (Vec::new(), [0; 4096]);
        // The other end is closed: EIO on Linux, end of file elsewhere.
        while let Ok(length @ 1..) = terminal.read(&mut part) {
            shown.extend_from_slice(&part[..length]);
        }
        let code = child
            .wait()
            .expect("a child of ours")
            .code()
            .expect("an exit code");
        let stdout = String::from_utf8_lossy(&shown).into_owned();
        CommandOutput {
            code,
            stdout,
            stderr: String::new(),
            root: self.root().to_owned(),
        }
    }
}
