//! Counts the allocations of a piece of work, which do not depend on the clock or on other threads.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its nature; this one adds a count to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: `System` allocates and frees every block with the caller's layout.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no count any more.
        let _ = BYTES.try_with(|bytes| bytes.set(bytes.get() + layout.size() as u64));
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Returns how many bytes `work` allocates on this thread in all.
pub(crate) fn bytes<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = BYTES.get();
    let result = work();
    (result, BYTES.get() - before)
}
