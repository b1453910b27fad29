//! Memory for large replies, used again.
//!
//! A page of objects is megabytes long. Memory of that size goes back to the system as soon as it is free, and to get it
//! anew, page fault by page fault, costs more than to fill it. So what a reply has lain in serves the next ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Shorter replies are left to the allocator.
const WORTH_KEEPING: usize = 256 << 10;
/// Longer ones are too rare to be waited for.
const TOO_LARGE: usize = 8 << 20;
/// So much may lie idle.
const IDLE_BYTES: usize = 16 << 20;

/// A store of buffers; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// An empty buffer for `length` bytes.
    pub fn take(&self, length: usize) -> Buffer {
        let mut idle = self.idle();
        let fitting = (0..idle.len())
            .filter(|index| idle[*index].capacity() >= length)
            .min_by_key(|index| idle[*index].capacity());
        let bytes = match fitting {
            Some(index) if length >= WORTH_KEEPING => idle.swap_remove(index),
            // The next page may be a little longer.
            _ => Vec::with_capacity(length + length / 8),
        };
        Buffer {
            bytes,
            home: self.clone(),
        }
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        if !(WORTH_KEEPING..=TOO_LARGE).contains(&bytes.capacity()) {
            return;
        }
        bytes.clear();
        let mut idle = self.idle();
        let held: usize = idle.iter().map(Vec::capacity).sum();
        if held + bytes.capacity() <= IDLE_BYTES {
            idle.push(bytes);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that goes back to its store when the last view of it is gone.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffer {
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was added, as bytes that can be shared.
    pub fn share(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_when_its_last_view_is_gone() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(1 << 20);
        buffer.add(&[1; 1 << 20]);
        let place = buffer.as_ref().as_ptr();
        let (bytes, view) = {
            let bytes = buffer.share();
            let view = bytes.slice(5..9);
            (bytes, view)
        };
        drop(bytes);
        assert!(buffers.idle().is_empty(), "a view is left");
        drop(view);
        let mut again = buffers.take(1 << 20);
        assert_eq!((again.as_ref().as_ptr(), again.len()), (place, 0));
        again.add(b"x");
        assert_eq!(&again.share()[..], b"x");
    }

    #[test]
    fn only_so_much_lies_idle_and_nothing_out_of_size() {
        let buffers = Buffers::default();
        for length in [1_000, 20 << 20] {
            drop(buffers.take(length));
            assert!(buffers.idle().is_empty(), "{length}");
        }
        let many: Vec<Buffer> = (0..40).map(|_| buffers.take(1 << 20)).collect();
        drop(many);
        let held: usize = buffers.idle().iter().map(Vec::capacity).sum();
        assert!(held <= IDLE_BYTES && held > IDLE_BYTES / 2, "{held}");
    }
}
