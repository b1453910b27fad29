//! Memory for pages, used again.
//!
//! A page of objects is megabytes long. Memory of that size goes back to the system as soon as it is free, and to get it
//! anew, page fault by page fault, costs more than to fill it. So what a page has lain in serves the next ones.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Shorter pieces are left to the allocator.
const WORTH_KEEPING: usize = 256 << 10;
/// Longer ones are too rare to be kept for.
const TOO_LARGE: usize = 8 << 20;
/// So much may lie idle.
const IDLE_BYTES: usize = 16 << 20;

/// A store of buffers; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// An empty buffer for `length` bytes.
    pub fn take(&self, length: usize) -> Buffer {
        let mut buffer = self.take_used(length);
        buffer.clear();
        buffer
    }

    /// A buffer of `length` bytes that are whatever they are.
    pub fn take_filled(&self, length: usize) -> Buffer {
        let mut buffer = self.take_used(length);
        buffer.resize(length, 0);
        buffer
    }

    /// An empty text with room for `length` bytes; to be given back.
    pub fn take_text(&self, length: usize) -> String {
        let mut buffer = self.take(length);
        String::from_utf8(std::mem::take(&mut buffer.bytes)).unwrap_or_default()
    }

    fn take_used(&self, length: usize) -> Buffer {
        Buffer {
            bytes: self.find(length).unwrap_or_else(|| {
                // The next page may be a little longer.
                Vec::with_capacity(length + length / 8)
            }),
            home: self.clone(),
        }
    }

    /// The smallest one that is large enough. If all are too small, one of them makes room.
    fn find(&self, length: usize) -> Option<Vec<u8>> {
        if length < WORTH_KEEPING {
            return None;
        }
        let mut idle = self.idle();
        let by_size = |index: &usize| idle[*index].capacity();
        let fitting = (0..idle.len()).filter(|index| by_size(index) >= length);
        if let Some(index) = fitting.min_by_key(by_size) {
            return Some(idle.swap_remove(index));
        }
        if let Some(index) = (0..idle.len()).min_by_key(by_size) {
            idle.swap_remove(index);
        }
        None
    }

    /// Keeps memory for who needs some.
    pub fn give_back(&self, bytes: Vec<u8>) {
        if !(WORTH_KEEPING..=TOO_LARGE).contains(&bytes.capacity()) {
            return;
        }
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
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffer {
    /// Its bytes, as bytes that can be shared.
    pub fn share(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
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
        buffer.extend_from_slice(&[1; 1 << 20]);
        let place = buffer.as_ptr();
        let (bytes, view) = {
            let bytes = buffer.share();
            let view = bytes.slice(5..9);
            (bytes, view)
        };
        drop(bytes);
        assert!(buffers.idle().is_empty(), "a view is left");
        drop(view);
        let mut again = buffers.take(1 << 20);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        again.push(b'x');
        assert_eq!(&again.share()[..], b"x");
    }

    #[test]
    fn memory_that_became_too_small_makes_room() {
        let buffers = Buffers::default();
        drop([buffers.take(1 << 20), buffers.take(2 << 20)]);
        assert_eq!(buffers.idle().len(), 2);
        let large = buffers.take(3 << 20);
        assert_eq!(buffers.idle().len(), 1);
        drop(large);
        assert_eq!(buffers.take_filled(3 << 20).len(), 3 << 20);
        assert_eq!(buffers.take(3 << 20).len(), 0);
        assert_eq!(buffers.take_text(3 << 20), "");
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
