//! Whether freed memory goes back, as the system counts it.

use std::time::Duration;

use ottla_allocator::{MiMalloc, return_freed_memory_after};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BLOCK_BYTES: usize = 1 << 20;
const BLOCKS: usize = 64;

#[test]
fn freed_memory_goes_back_to_the_system() {
    return_freed_memory_after(Duration::ZERO);
    let before = resident_bytes();
    let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| vec![1; BLOCK_BYTES]).collect();
    let held = resident_bytes();
    assert!(
        held >= before + BLOCKS * BLOCK_BYTES,
        "{before}, then {held}"
    );
    drop(blocks);
    let after = resident_bytes();
    assert!(
        after < before + BLOCKS * BLOCK_BYTES / 8,
        "{before}, then {after}"
    );
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text.split(' ').nth(1).expect("the second number");
    let pages: usize = pages.parse().expect("a number");
    pages * rustix::param::page_size()
}
