//! [`Proxy`]: a network between a client and a server that fails when a test wants it to. Clients come by TCP, where a
//! connection can be reset; behind it is the socket of a server or a pooler. It reads along, to know when a fault's
//! moment has come, and therefore refuses encryption. An armed fault strikes one connection; all others pass.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::faults::{Fault, Strike, Trap, When};
use crate::frames::{Frames, Statements};
use crate::network_conditions::{NetworkConditions, OnTheWay};

/// How long a test waits for a fault to strike before it says that it never did.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running proxy. Its connections end with it.
pub(crate) struct Proxy {
    port: u16,
    network: Arc<Network>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// One before a server's or a pooler's socket.
    pub(crate) fn before(socket: &Path) -> Self {
        Self::with_conditions(socket, NetworkConditions::default())
    }

    /// One that is slow.
    pub(crate) fn with_conditions(socket: &Path, conditions: NetworkConditions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let network = Arc::new(Network::to(socket, conditions));
        let accepting = Arc::clone(&network);
        let listener = std::thread::spawn(move || accept(&accepting, &listener));
        Self { port, network, listener: Some(listener) }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Has a fault strike one connection at a moment to come.
    pub(crate) fn arm(&self, when: When, fault: Fault) {
        self.network.change(|state| state.trap = Some(Trap::new(when, fault)));
    }

    /// Waits until the armed fault has struck.
    #[track_caller]
    pub(crate) fn wait_until_struck(&self) {
        let is_armed = |state: &mut State| state.trap.is_some();
        let network = &self.network;
        let (state, wait) = network.changed.wait_timeout_while(network.state(), PATIENCE, is_armed).unwrap();
        drop(state);
        assert!(!wait.timed_out(), "the moment for the fault never came");
    }

    /// Has a fault strike all connections there are; a stall also those to come.
    pub(crate) fn strike_all(&self, fault: Fault) {
        self.network.change(|state| {
            state.new_ones_stall = fault == Fault::Stall;
            let all: Vec<u64> = state.connections.keys().copied().collect();
            all.into_iter().for_each(|id| state.strike(id, fault));
        });
    }

    /// Lets everything pass again; nothing is armed after it.
    pub(crate) fn pass(&self) {
        self.network.change(|state| {
            state.trap = None;
            state.new_ones_stall = false;
            state.connections.values_mut().for_each(|connection| connection.is_stalled = false);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.strike_all(Fault::Cut);
        self.network.change(|state| state.is_closed = true);
        // The listener looks up when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.listener.take().map(JoinHandle::join);
    }
}

fn accept(network: &Arc<Network>, listener: &TcpListener) {
    for client in listener.incoming().map_while(Result::ok) {
        if network.state().is_closed {
            return;
        }
        let network = Arc::clone(network);
        std::thread::spawn(move || network.serve(client));
    }
}

struct Connection {
    client: TcpStream,
    server: UnixStream,
    is_stalled: bool,
}

impl Connection {
    fn cut(self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Write);
    }

    /// Without lingering, the reset goes out instead of a farewell when the last who holds the socket lets go of it.
    fn reset(self) {
        let _ = set_socket_linger(&self.client, Some(Duration::ZERO));
        let _ = self.client.shutdown(Shutdown::Read);
        let _ = self.server.shutdown(Shutdown::Write);
    }
}

#[derive(Default)]
struct State {
    connections: HashMap<u64, Connection>,
    opened: u64,
    trap: Option<Trap>,
    new_ones_stall: bool,
    is_closed: bool,
}

impl State {
    fn open(&mut self, client: TcpStream, server: UnixStream) -> u64 {
        self.opened += 1;
        self.connections.insert(self.opened, Connection { client, server, is_stalled: self.new_ones_stall });
        self.opened
    }

    fn strike(&mut self, id: u64, fault: Fault) {
        match fault {
            Fault::Stall => self.stall(id),
            Fault::Cut => drop(self.connections.remove(&id).map(Connection::cut)),
            Fault::Reset => drop(self.connections.remove(&id).map(Connection::reset)),
        }
    }

    fn stall(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_stalled = true;
        }
    }
}

/// All connections of a proxy.
struct Network {
    socket: PathBuf,
    conditions: NetworkConditions,
    state: Mutex<State>,
    changed: Condvar,
}

impl Network {
    fn to(socket: &Path, conditions: NetworkConditions) -> Self {
        Self { socket: socket.to_owned(), conditions, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.notify_all();
        changed
    }

    /// Carries a connection's messages until both sides have ended it. Where no server answers, it ends at once.
    fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let server = UnixStream::connect(&self.socket)?;
        let (for_messages, for_replies) =
            ((client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?));
        let id = self.change(|state| state.open(client, server));
        std::thread::scope(|scope| {
            scope.spawn(move || self.carry_messages(id, for_messages));
            scope.spawn(move || self.carry_replies(id, for_replies));
        });
        self.change(|state| state.connections.remove(&id));
        Ok(())
    }

    fn carry_messages(&self, id: u64, (client, server): (TcpStream, UnixStream)) {
        let on_the_way = OnTheWay::default();
        std::thread::scope(|scope| {
            scope.spawn(|| on_the_way.carry(Frames::of_client(&client)));
            self.pass_on(id, &on_the_way, (&client, &server));
            on_the_way.end();
            let _ = client.shutdown(Shutdown::Read);
        });
        let _ = server.shutdown(Shutdown::Write);
    }

    /// Has messages reach the server until there are no more, or the connection has ended.
    fn pass_on(&self, id: u64, messages: &OnTheWay, (mut client, mut server): (&TcpStream, &UnixStream)) {
        let mut statements = Statements::default();
        while let Some((came_at, frame)) = messages.next() {
            if frame.asks_for_encryption() {
                let _ = client.write_all(b"N");
                continue;
            }
            self.conditions.delay(&frame, came_at);
            let statement = statements.run_by(&frame);
            let strike = |trap: &mut Trap| trap.on_message(id, &frame, statement.as_deref());
            if self.carry(id, &frame.bytes, &mut server, strike).is_none() {
                break;
            }
        }
    }

    fn carry_replies(&self, id: u64, (mut server, mut client): (UnixStream, TcpStream)) {
        for frame in Frames::of_server(&server) {
            self.conditions.delay_reply(&frame);
            let strike = |trap: &mut Trap| trap.on_reply(id, &frame);
            if self.carry(id, &frame.bytes, &mut client, strike).is_none() {
                break;
            }
        }
        self.bid_farewell(id, client);
        // The server does what it was sent before it sees the end, as it would behind a network that lost its client.
        let _ = std::io::copy(&mut server, &mut std::io::sink());
    }

    /// Tells the client that nothing more comes. One that was struck has had its end, and this would spoil a reset.
    fn bid_farewell(&self, id: u64, client: TcpStream) {
        let state = self.state();
        if state.connections.contains_key(&id) {
            let _ = client.shutdown(Shutdown::Write);
        }
    }

    /// Passes a message on, or what a fault leaves of it. `None` once the connection has ended.
    fn carry(
        &self,
        id: u64,
        message: &[u8],
        to: &mut impl Write,
        strike: impl FnOnce(&mut Trap) -> Option<Strike>,
    ) -> Option<()> {
        self.wait_while_stalled(id)?;
        let strike = self.change(|state| {
            let strike = strike(state.trap.as_mut()?)?;
            // From here on nothing comes back either.
            state.stall(id);
            Some(strike)
        });
        let Some(Strike { after_bytes, fault }) = strike else { return to.write_all(message).ok() };
        let (before, after) = message.split_at(after_bytes);
        let written = to.write_all(before);
        self.change(|state| {
            state.strike(id, fault);
            state.trap = None;
        });
        written.ok()?;
        self.wait_while_stalled(id)?;
        to.write_all(after).ok()
    }

    /// Returns when the connection's messages may pass; `None` once it has ended.
    fn wait_while_stalled(&self, id: u64) -> Option<()> {
        let is_stalled = |state: &mut State| state.connections.get(&id).is_some_and(|found| found.is_stalled);
        let state = self.changed.wait_while(self.state(), is_stalled).unwrap();
        state.connections.contains_key(&id).then_some(())
    }
}
