//! An allocator that overwrites the memory that it frees. The SDK leaves copies of a new secret on the heap (measured:
//! with this allocator it leaves no copy), and a swapped or dumped page must not hold them.

#![expect(unsafe_code, reason = "a global allocator is unsafe by its nature; this one adds a memset to another one")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_free, mi_malloc, mi_malloc_aligned, mi_zalloc, mi_zalloc_aligned};

/// mimalloc aligns every block of at least this size to it (`MI_MAX_ALIGN_SIZE`).
const ALIGNED_TO: usize = 16;

/// Whether the block is aligned without a request for it. With a request, mimalloc takes a larger block for most sizes
/// above 1 KiB, and whenever no block of the size is free.
const fn is_aligned(layout: Layout) -> bool {
    layout.align() <= ALIGNED_TO && layout.align() <= layout.size()
}

/// Allocates with mimalloc and wipes each block before it is freed.
pub(crate) struct WipedOnFree;

// SAFETY: mimalloc returns a block of at least the size and with the alignment of the layout, or null. `mi_free` takes
// the blocks of all four functions. The default `realloc` is kept on purpose: it allocates, copies and frees through the
// methods here, so that the old block is wiped.
unsafe impl GlobalAlloc for WipedOnFree {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the functions take any size, and an alignment that is a power of two, as that of a layout is.
        unsafe {
            if is_aligned(layout) { mi_malloc(layout.size()) } else { mi_malloc_aligned(layout.size(), layout.align()) }
                .cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            if is_aligned(layout) { mi_zalloc(layout.size()) } else { mi_zalloc_aligned(layout.size(), layout.align()) }
                .cast()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block belongs to the caller until it is freed, and has `layout.size()` bytes. As far as the compiler
        // knows, the empty assembly reads the block, so the compiler must not remove the write before it. (`zeroize`
        // writes one byte after the other.)
        unsafe {
            std::ptr::write_bytes(block, 0, layout.size());
            std::arch::asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags, readonly));
            mi_free(block.cast());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes around each size class of mimalloc up to 64 KiB.
    #[test]
    fn every_block_is_aligned_as_its_layout_says() {
        let sizes = (1..=2048).chain((2048..=65_536).step_by(56)).chain([65_536, 1_000_000, 40_000_000]);
        for (size, align) in sizes.flat_map(|size| [1, 2, 4, 8, 16, 32, 64, 4096].map(|align| (size, align))) {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            // SAFETY: the size is not zero; each block is freed with the layout that it was allocated with.
            unsafe {
                let blocks: [_; 3] = std::array::from_fn(|_| WipedOnFree.alloc(layout));
                let zeroed = WipedOnFree.alloc_zeroed(layout);
                assert_eq!((zeroed.read(), zeroed.add(size - 1).read()), (0, 0), "{layout:?}");
                for block in blocks.into_iter().chain([zeroed]) {
                    assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
                    block.write_bytes(0xff, size);
                    WipedOnFree.dealloc(block, layout);
                }
            }
        }
    }
}
