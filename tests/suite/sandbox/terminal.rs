//! Runs bypassctl at a terminal.

use super::process::wait_until;
use super::{CommandOutput, Sandbox, error_docs};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

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

    /// Starts bypassctl at a terminal of this size.
    pub fn open_screen(&self, rows: u16, columns: u16, args: &[&str]) -> Screen {
        let (child, terminal) =
            spawn_in_terminal(self.bypassctl_command(args), Some((rows, columns)));
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let (mut input, shown) = (terminal.try_clone().expect("a terminal"), parser.clone());
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = input.read(&mut part) {
                shown.lock().expect("a parser").process(&part[..length]);
            }
        });
        Screen {
            child,
            terminal,
            parser,
            reader: Some(reader),
        }
    }

    fn run_command_in_terminal(
        &self,
        command: Command,
        typed: &str,
        columns: Option<u16>,
    ) -> CommandOutput {
        let (mut child, mut terminal) =
            spawn_in_terminal(command, columns.map(|columns| (24, columns)));
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

/// A terminal with the screen that a person would see.
pub struct Screen {
    child: Child,
    terminal: File,
    parser: Arc<Mutex<vt100::Parser>>,
    reader: Option<JoinHandle<()>>,
}

impl Screen {
    /// Returns the visible text.
    pub fn text(&self) -> String {
        self.parser.lock().expect("a parser").screen().contents()
    }

    /// Waits until the screen shows a text, and returns the visible text.
    pub fn wait_for(&self, expected: &str) -> String {
        wait_until(expected, || self.text().contains(expected));
        self.text()
    }

    /// Fails if a line was wider than the terminal.
    pub fn assert_no_wrapped_line(&self) {
        let parser = self.parser.lock().expect("a parser");
        let screen = parser.screen();
        let wrapped = (0..screen.size().0).find(|row| screen.row_wrapped(*row));
        assert_eq!(wrapped, None, "{}", screen.contents());
    }

    pub fn type_text(&mut self, text: &str) {
        self.terminal
            .write_all(text.as_bytes())
            .expect("a terminal");
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        set_size(&self.terminal, rows, columns);
        let mut parser = self.parser.lock().expect("a parser");
        parser.screen_mut().set_size(rows, columns);
    }

    /// Waits for the end of the program. Returns the exit code and the last screen.
    pub fn finish(mut self) -> (i32, String) {
        let status = self.child.wait().expect("a child of ours");
        let reader = self.reader.take().expect("a reader");
        reader.join().expect("a reader that ends");
        (status.code().expect("an exit code"), self.text())
    }
}

fn set_size(terminal: &File, ws_row: u16, ws_col: u16) {
    let (ws_xpixel, ws_ypixel) = (0, 0);
    let size = Winsize {
        ws_row,
        ws_col,
        ws_xpixel,
        ws_ypixel,
    };
    tcsetwinsize(terminal, size).expect("a terminal");
}

/// Starts a command with all three streams at a new terminal. `size` is rows and columns.
fn spawn_in_terminal(mut command: Command, size: Option<(u16, u16)>) -> (Child, File) {
    let terminal = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal"));
    grantpt(&terminal)
        .and_then(|()| unlockpt(&terminal))
        .expect("a terminal");
    if let Some((rows, columns)) = size {
        set_size(&terminal, rows, columns);
    }
    let name = ptsname(&terminal, Vec::new()).expect("its name");
    let end = File::options()
        .read(true)
        .write(true)
        .open(std::ffi::OsStr::from_bytes(name.to_bytes()))
        .expect("a terminal");
    let stream = || end.try_clone().expect("a terminal");
    command.stdin(stream()).stdout(stream()).stderr(stream());
    (command.spawn().expect("a program that runs"), terminal)
}
