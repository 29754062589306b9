//! An allocator that overwrites the memory that it frees. The SDK leaves copies of a new secret on the heap (measured:
//! with this allocator it leaves no copy), and a swapped or dumped page must not hold them.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its nature; this one adds a memset to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};

use zeroize::Zeroize;

/// The system's allocator, which wipes each block before it is freed.
pub(crate) struct WipedOnFree;

// SAFETY: `System` allocates every block with the caller's layout, and frees it with the same layout. The default
// `realloc` is kept on purpose: it allocates, copies and frees through the methods here, so that the old block is
// wiped.
unsafe impl GlobalAlloc for WipedOnFree {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block belongs to the caller until it is freed, and has `layout.size()` bytes. It may be partly
        // uninitialised, which writing bytes does not depend on.
        unsafe {
            let bytes = std::slice::from_raw_parts_mut(block.cast::<std::mem::MaybeUninit<u8>>(), layout.size());
            bytes.zeroize();
            System.dealloc(block, layout);
        }
    }
}
