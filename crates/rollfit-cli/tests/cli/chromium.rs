//! [`Chromium`]: a real browser without a window, driven over the pipes of its debugging protocol.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with one page.
pub(crate) struct Chromium {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    calls: u64,
    session: Option<String>,
    /// What it told of the page since the page was opened.
    pub(crate) events: Vec<Value>,
    _profile: TempDir,
}

/// The program: the one that ROLLFIT_CHROMIUM names, or one in the path.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ROLLFIT_CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|program| program.is_file())
}

impl Chromium {
    /// Starts the browser; none, and a line that says so, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: there is no Chromium here, and ROLLFIT_CHROMIUM names none");
            return None;
        };
        let profile = TempDir::with_prefix("rollfit-chromium-").unwrap();
        let mut child = command(&program, profile.path()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser =
            Self { child, input, output, calls: 0, session: None, events: Vec::new(), _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens a file in a window so wide, where the user prefers this scheme, `light` or `dark`.
    pub(crate) fn open(&mut self, file: &Path, width_px: u32, scheme: &str) {
        let size = json!({ "width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
        self.events.clear();
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
    }

    /// The value of an expression of JavaScript in the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What the page complained of: errors, messages to the console, what the browser refused to do for it.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        const METHODS: [&str; 3] = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let complains =
            |event: &&Value| event["method"].as_str().is_some_and(|method| METHODS.contains(&method));
        self.events.iter().filter(complains).collect()
    }

    /// What the page had loaded.
    pub(crate) fn loaded(&self) -> Vec<&str> {
        let requests = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests.filter_map(|event| event["params"]["request"]["url"].as_str()).collect()
    }

    /// Calls a method of the protocol and waits for its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.receive();
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    #[track_caller]
    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        self.output.read_until(0, &mut message).unwrap();
        assert_eq!(message.pop(), Some(0), "the browser has gone");
        serde_json::from_slice(&message).unwrap()
    }
}

/// The browser takes the protocol at its descriptors 3 and 4; a shell puts the pipes there. One that hangs is ended.
fn command(program: &Path, profile: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec timeout 300 "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#]).arg(program);
    command.args(["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"]);
    // Containers have neither the namespaces of the sandbox nor a large /dev/shm; the pages are our own.
    command.args(["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

impl Drop for Chromium {
    /// Asks it to leave, so that its own processes leave too, and its profile can be removed.
    fn drop(&mut self) {
        let leave = json!({ "id": self.calls + 1, "method": "Browser.close" });
        if self.input.write_all(format!("{leave}\0").as_bytes()).is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
