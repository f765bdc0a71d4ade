//! [`Cores`]: the processor cores that the files of one command share. [`in_order`]: work done on them piece by piece.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use rollfit_job::lock::lock;

/// The cores that are not in use. A thread that reads a file has one by itself.
pub(crate) struct Cores {
    spare: AtomicUsize,
    stopped: AtomicBool,
}

impl Cores {
    /// This many cores, one of them for the caller.
    pub(crate) fn new(all: usize) -> Self {
        let spare = AtomicUsize::new(all.max(1) - 1);
        Self { spare, stopped: AtomicBool::new(false) }
    }

    /// Those that this process may use, which respects the limits of its control group.
    pub(crate) fn of_process() -> Self {
        Self::new(thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    /// Takes a core, if one is spare.
    pub(crate) fn take(&self) -> bool {
        let less = |spare: usize| spare.checked_sub(1);
        self.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Gives a core back.
    pub(crate) fn give(&self) {
        self.spare.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends all work: its result is an error, whatever it would be.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Pieces of work, one after the other, and what becomes of their results.
pub(crate) trait Pieces {
    type Piece: Send;
    type Done: Send;
    type Error;

    /// The next piece.
    fn next(&mut self) -> Result<Option<Self::Piece>, Self::Error>;

    /// Whether the next pieces can be worked on before the results of those before them were taken.
    fn is_steady(&self) -> bool;

    /// Takes the result of a piece, in the order of the pieces.
    fn take(&mut self, done: Self::Done) -> Result<(), Self::Error>;
}

/// A piece, and where its result goes.
type Task<P> = (<P as Pieces>::Piece, Sender<<P as Pieces>::Done>);

/// Works on all pieces, with the caller's thread and one for each spare core; each begins with what `worker` returns. The
/// error is the first in the order of the pieces. At most two pieces a thread are held.
pub(crate) fn in_order<P, W>(
    pieces: &mut P,
    cores: &Cores,
    worker: impl Fn() -> W + Sync,
) -> Result<(), P::Error>
where
    P: Pieces,
    W: FnMut(P::Piece) -> P::Done,
{
    let (tasks, queue) = channel();
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        let (queue, worker) = (&queue, &worker);
        let spawn = || {
            let is_spare = cores.take();
            if is_spare {
                scope.spawn(move || {
                    work_on::<P, W>(queue, worker());
                    cores.give();
                });
            }
            is_spare
        };
        hand_out(pieces, tasks, queue, worker, spawn)
    })
}

fn work_on<P: Pieces, W: FnMut(P::Piece) -> P::Done>(queue: &Mutex<Receiver<Task<P>>>, mut work: W) {
    loop {
        let task = lock(queue).recv();
        let Ok((piece, result)) = task else { break };
        if result.send(work(piece)).is_err() {
            break;
        }
    }
}

/// Queues two pieces for each thread that there is, and takes their results. Works on pieces itself where it would have to
/// wait. `spawn` says whether there is one thread more.
fn hand_out<P: Pieces, W: FnMut(P::Piece) -> P::Done>(
    pieces: &mut P,
    tasks: Sender<Task<P>>,
    queue: &Mutex<Receiver<Task<P>>>,
    worker: &impl Fn() -> W,
    mut spawn: impl FnMut() -> bool,
) -> Result<(), P::Error> {
    let (mut results, mut end, mut own, mut tasks) = (VecDeque::new(), None, None, Some(tasks));
    let mut threads = 1;
    loop {
        while end.is_none() && results.len() < if pieces.is_steady() { 2 * threads } else { 1 } {
            match pieces.next() {
                Ok(Some(piece)) => {
                    let (sender, result) = channel();
                    // The receiver is at the other end of `queue`.
                    let _ = tasks.as_ref().map(|tasks| tasks.send((piece, sender)));
                    results.push_back(result);
                    if results.len() > 1 && spawn() {
                        threads += 1;
                    }
                }
                Ok(None) => end = Some(Ok(())),
                Err(error) => end = Some(Err(error)),
            }
        }
        if end.is_some() {
            // A thread that finds nothing more to do ends, and its core is spare.
            tasks = None;
        }
        let Some(result) = results.pop_front() else { return end.unwrap_or(Ok(())) };
        let done = loop {
            match result.try_recv() {
                Ok(done) => break done,
                // Its thread panicked, which ends the scope.
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {}
            }
            let task = queue.try_lock().ok().and_then(|queue| queue.try_recv().ok());
            if let Some((piece, sender)) = task {
                let _ = sender.send(own.get_or_insert_with(worker)(piece));
                continue;
            }
            match result.recv() {
                Ok(done) => break done,
                Err(_) => return Ok(()),
            }
        };
        pieces.take(done)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers to be doubled; `fails` is the error of one.
    struct Numbers {
        next: u32,
        taken: Vec<u32>,
        fails: Option<u32>,
        /// The most numbers that were handed out and not yet taken.
        ahead: usize,
    }

    impl Pieces for Numbers {
        type Piece = u32;
        type Done = u32;
        type Error = u32;

        fn next(&mut self) -> Result<Option<u32>, u32> {
            self.next += 1;
            self.ahead = self.ahead.max(self.next as usize - self.taken.len());
            Ok((self.next <= 500).then_some(self.next))
        }

        fn is_steady(&self) -> bool {
            self.taken.len() % 100 != 7
        }

        fn take(&mut self, done: u32) -> Result<(), u32> {
            self.taken.push(done);
            if self.fails == Some(done) { Err(done) } else { Ok(()) }
        }
    }

    fn run(
        cores: &Cores,
        fails: Option<u32>,
        work: impl Fn(u32) -> u32 + Sync,
    ) -> (Result<(), u32>, Numbers) {
        let mut numbers = Numbers { next: 0, taken: Vec::new(), fails, ahead: 0 };
        let result = in_order(&mut numbers, cores, || &work);
        (result, numbers)
    }

    #[test]
    fn results_come_in_order_on_any_number_of_cores_and_cores_come_back() {
        for count in 1..6 {
            let cores = Cores::new(count);
            let (result, numbers) = run(&cores, None, |number| 2 * number);
            assert_eq!((result, &numbers.taken), (Ok(()), &(1..=500).map(|number| 2 * number).collect()));
            assert!(numbers.ahead <= 2 * count, "{} of {count} cores", numbers.ahead);
            let (result, numbers) = run(&cores, Some(600), |number| 2 * number);
            assert_eq!((result, numbers.taken.len()), (Err(600), 300));
            assert_eq!((0..9).filter(|_| cores.take()).count(), count - 1);
        }
    }

    #[test]
    #[should_panic(expected = "panicked")]
    fn a_panic_of_a_thread_is_a_panic_and_no_wait() {
        let own = thread::current().id();
        let work = |number| {
            assert!(thread::current().id() == own || number < 50, "panicked on purpose");
            thread::sleep(std::time::Duration::from_micros(100));
            number
        };
        drop(run(&Cores::new(3), None, work));
    }
}
