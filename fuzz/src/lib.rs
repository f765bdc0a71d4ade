//! What surrounds a target: a limit of memory, and a hook that tells a panic that escapes from one that is contained.
//!
//! Readers of others are allowed to panic where rollfit contains it, our own code is not: a panic in it ends the search
//! wherever it is caught.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::abort;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rollfit_fuzz::Target;

/// The most bytes that may be allocated at once, and the most that may be in use.
const BYTES_MAX: usize = 256 << 20;

/// Counts what is in use, and aborts above the limit.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    if IN_USE.fetch_add(bytes, Relaxed) + bytes > BYTES_MAX {
        IN_USE.store(0, Relaxed);
        let trace = std::backtrace::Backtrace::force_capture();
        eprintln!("panicked: more than {BYTES_MAX} bytes in use, with {bytes} asked for now\n{trace}");
        abort();
    }
}

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_update(Relaxed, Relaxed, |bytes| Some(bytes.saturating_sub(layout.size()))).ok();
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes);
        IN_USE.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(layout.size()))).ok();
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

/// Whether a file is code of ours. The targets' own checks are caught below.
fn is_ours(file: &str) -> bool {
    file.contains("crates/") && !file.contains(".cargo") && !file.contains("rollfit-fuzz")
}

fn hook_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        set_hook(Box::new(|panic| {
            let ours = panic.location().is_some_and(|location| is_ours(location.file()));
            if ours || std::env::var_os("FUZZ_SHOW_PANICS").is_some() {
                eprintln!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
            }
            if ours {
                abort();
            }
            LAST.with_borrow_mut(|last| *last = panic.to_string());
        }));
    });
}

thread_local!(static LAST: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) });

/// Runs a target; a panic that escapes ends the process.
pub fn hold(target: &Target, bytes: &[u8]) {
    hook_once();
    if catch_unwind(AssertUnwindSafe(|| (target.hold)(bytes))).is_err() {
        LAST.with_borrow(|last| eprintln!("{last}"));
        abort();
    }
}

/// The program of a target of `rollfit-fuzz`.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            static TARGET: std::sync::LazyLock<rollfit_fuzz::Target> =
                std::sync::LazyLock::new(|| rollfit_fuzz::Target::named($name));
            fuzz::hold(&TARGET, bytes);
        });
    };
}
