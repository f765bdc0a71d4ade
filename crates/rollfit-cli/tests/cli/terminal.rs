//! What a terminal shows in the end: nothing of the bar is left, however wide it is, nor of an interrupt; and the terminal is as it was.
//! [`Screen`] is the terminal.

use std::io::{Read, Write};
use std::process::{ChildStdin, Command, Stdio};

use crate::sandbox::{ROLLFIT, Sandbox};
use crate::signals::SlowJob;

/// A terminal of this size, as far as a bar asks for it: lines wrap, and scroll away at the bottom.
struct Screen {
    rows: usize,
    columns: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    fn new(rows: usize, columns: usize) -> Self {
        Self { rows, columns, lines: vec![Vec::new()], row: 0, column: 0 }
    }

    fn show(&mut self, output: &str) {
        let mut characters = output.chars();
        while let Some(character) = characters.next() {
            match character {
                '\r' => self.column = 0,
                '\n' => self.go_down(),
                '\u{1b}' => self.obey(&mut characters),
                character if character.is_control() => {}
                character => self.put(character),
            }
        }
    }

    /// `[2A` and the like.
    fn obey(&mut self, characters: &mut std::str::Chars<'_>) {
        assert_eq!(characters.next(), Some('['));
        let mut number = String::new();
        let command = characters.by_ref().find(|character| {
            number.extend(Some(*character).filter(char::is_ascii_digit));
            character.is_ascii_alphabetic()
        });
        let count: usize = number.parse().unwrap_or(1);
        // What has scrolled away cannot be reached.
        let top = self.lines.len().saturating_sub(self.rows);
        match command.unwrap() {
            'A' => self.row = self.row.saturating_sub(count).max(top),
            'B' => self.row = (self.row + count).min(self.lines.len() - 1),
            'K' if number == "2" => self.lines[self.row].clear(),
            'K' => self.lines[self.row].truncate(self.column),
            'J' => {
                self.lines[self.row].truncate(self.column);
                self.lines.truncate(self.row + 1);
            }
            'm' | 'h' | 'l' => {}
            other => panic!("a bar needs no {number}{other}"),
        }
    }

    fn put(&mut self, character: char) {
        if self.column == self.columns {
            self.column = 0;
            self.go_down();
        }
        let line = &mut self.lines[self.row];
        line.resize(line.len().max(self.column + 1), ' ');
        line[self.column] = character;
        self.column += 1;
    }

    fn go_down(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }
}

/// What a run on a terminal of its own shows in the end; at each of `moments` Ctrl-C is typed. None without the program `script`.
fn shown(
    sandbox: &Sandbox,
    (rows, columns): (usize, usize),
    moments: &[&str],
    command: &str,
) -> Option<String> {
    let line = format!(
        "trap : INT; stty rows {rows} cols {columns}; {ROLLFIT} {command}; stty -a | tr '\\n' ' ' | grep -o '.echoctl'"
    );
    let mut script: Command = sandbox.in_clean_environment("script");
    script
        .env("TERM", "xterm")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let Ok(mut child) = script.spawn() else {
        println!("skipped: there is no program `script` here");
        return None;
    };
    let (mut output, mut keys) = (child.stdout.take().unwrap(), child.stdin.take());
    let (mut seen, mut moments) = (Vec::new(), moments.iter());
    let mut moment = moments.next();
    let mut block = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut block) {
        seen.extend_from_slice(&block[..read]);
        while let Some(words) = moment.filter(|words| String::from_utf8_lossy(&seen).contains(*words)) {
            assert!(!words.is_empty());
            type_interrupt(keys.as_mut().unwrap());
            moment = moments.next();
        }
    }
    child.wait().unwrap();
    assert!(moment.is_none(), "{moment:?} was never shown: {}", String::from_utf8_lossy(&seen));
    let mut screen = Screen::new(rows, columns);
    screen.show(&String::from_utf8(seen).unwrap());
    Some(screen.text())
}

fn type_interrupt(keys: &mut ChildStdin) {
    keys.write_all(b"\x03").unwrap();
    keys.flush().unwrap();
}

/// Checks that there is nothing of the bar any more, and no `^C`, which the terminal writes again for whoever uses it next.
#[track_caller]
fn is_clean(shown: &str) {
    for debris in ["█", "░", "CPU ", "worker  0", "^C"] {
        assert!(!shown.contains(debris), "{debris}: {shown}");
    }
    assert!(shown.contains(" echoctl"), "the terminal is not as it was: {shown}");
}

/// The same text however it is wrapped.
fn unwrapped(shown: &str) -> String {
    shown.split_whitespace().collect()
}

#[test]
fn a_terminal_of_any_width_is_clean_after_a_run() {
    let job = SlowJob::with_windows(300);
    for size in [(24, 80), (6, 20)] {
        let Some(shown) = shown(&job.sandbox, size, &[], "run --force --workers 2") else { return };
        is_clean(&shown);
        assert!(unwrapped(&shown).contains("3partitions:3written"), "{shown}");
    }
}

#[test]
fn a_terminal_is_clean_and_as_it_was_after_an_interrupt_and_after_two() {
    let job = SlowJob::with_windows(300);
    let first = "worker  0";
    let interrupted = [((24, 80), &[first][..]), ((6, 20), &[first, "finishing"][..])];
    for (size, moments) in interrupted {
        let Some(shown) = shown(&job.sandbox, size, moments, "run --force --workers 1") else { return };
        is_clean(&shown);
        assert!(unwrapped(&shown).contains("Interrupted.With--force"), "{shown}");
    }
}

#[test]
fn on_a_terminal_that_cannot_go_back_there_are_plain_lines() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let line = format!("TERM=dumb exec {ROLLFIT} run");
    let mut script: Command = sandbox.in_clean_environment("script");
    let Ok(output) = script.args(["-qec", &line, "/dev/null"]).output() else { return };
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("[1/1] eurusd 2017-01: written") && !shown.contains('\u{1b}'), "{shown:?}");
}

/// What a command prints on a terminal of so many columns, line by line; none without the program `script`.
fn printed(sandbox: &Sandbox, columns: usize, command: &str) -> Option<Vec<String>> {
    let line = format!("stty rows 50 cols {columns}; exec {ROLLFIT} {command} 2>/dev/null");
    let mut script: Command = sandbox.in_clean_environment("script");
    let output = script.env("TERM", "xterm").args(["-qec", &line, "/dev/null"]).output().ok()?;
    let text = anstream::adapter::strip_bytes(&output.stdout).into_vec();
    Some(String::from_utf8(text).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn tables_fit_the_terminal_and_lose_no_word() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    sandbox.write(
        "rollfit.toml",
        crate::bars::config(&["eurusd", "usdjpy"], "2017-01", "2017-02").replace("reset", "carry"),
    );
    for command in ["plan --all", "compare"] {
        let Some(wide) = printed(&sandbox, 500, command) else { return };
        let words: Vec<&str> = wide.iter().flat_map(|line| line.split_whitespace()).collect();
        for columns in [40, 80, 200] {
            let narrow = printed(&sandbox, columns, command).unwrap();
            let table = narrow.iter().take_while(|line| !line.is_empty() && !line.contains(": "));
            for line in table {
                assert!(line.chars().count() <= columns, "{command} on {columns} columns: {line}");
            }
            let text = narrow.join(" ");
            let is_lost =
                |word: &&&str| !word.contains(|c: char| c.is_ascii_digit()) && !text.contains(**word);
            assert_eq!(words.iter().find(is_lost), None, "{command} on {columns} columns: {text}");
        }
    }
}
