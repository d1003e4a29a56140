//! The Merkle tree over the log's entries, RFC 6962 section 2.1 (RFC 9162 section 2.1): roots from a compact range,
//! proofs that an entry is in the tree, proofs that one tree is the beginning of another.
//!
//! Leaf `i`, from 0, is the entry with the number `i + 1`. A complete subtree is named by its level and its index:
//! level `l`, index `i` covers the leaves from `i · 2^l` to before `(i + 1) · 2^l`; level 0 is the leaves themselves.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::call::Digest;

/// The hash over two subtrees: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    Digest(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

/// The right edge of a growing tree: the roots of the complete subtrees that its size is made of, largest first.
/// All that is needed to add leaves and to know the root; at most 63 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` leaves: one hash for each bit that is set in `size`, largest subtree first.
    /// `None` where their number does not fit.
    #[must_use]
    pub fn of(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize && size <= i64::MAX as u64).then_some(Self { size, peaks })
    }

    /// Which complete subtrees, by level and index, [`Frontier::of`] wants for a tree of `size` leaves, in its order.
    #[must_use]
    pub fn subtrees(size: u64) -> Vec<(u32, u64)> {
        let set = (0..64).rev().filter(|level| size >> level & 1 == 1);
        set.map(|level| (level, (size >> level) - 1)).collect()
    }

    /// Adds a leaf, by its leaf hash.
    pub fn push(&mut self, leaf: Digest) {
        self.push_noting(leaf, |_, _, _| {});
    }

    /// Adds a leaf and tells, by level, index and hash, each subtree that it completes, the leaf itself first.
    pub fn push_noting(&mut self, leaf: Digest, mut complete: impl FnMut(u32, u64, &Digest)) {
        let mut hash = leaf;
        complete(0, self.size, &hash);
        // As in adding one to a binary number: each bit that is set is carried into the next.
        for level in 1..=self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
            complete(level, self.size >> level, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// How many leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut smallest_first = self.peaks.iter().rev();
        let Some(first) = smallest_first.next() else { return empty_root() };
        smallest_first.fold(*first, |right, left| node(left, &right))
    }
}

/// The hash of the leaves from `start` to before `end`, out of complete subtrees. The range is one that RFC 6962 splits
/// a tree into, so that it begins where a subtree of its size can.
fn range<E>(start: u64, end: u64, of: &mut impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Digest, E> {
    let size = end - start;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return of(level, start >> level);
    }
    let middle = start + split(size);
    let left = range(start, middle, of)?;
    Ok(node(&left, &range(middle, end, of)?))
}

/// The largest power of two below `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// Proves that a leaf is in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// Which leaf, from 0.
    pub index: u64,
    /// The tree's size.
    pub size: u64,
    /// The hashes beside the way from the leaf to the root, lowest first.
    pub path: Vec<Digest>,
}

impl InclusionProof {
    /// Makes the proof for leaf `index` of a tree of `size`. `of` gives the hash of a complete subtree by level and
    /// index; at most 63 are asked for, plus as many for the incomplete right edge. `None` if there is no such leaf.
    ///
    /// # Errors
    /// What `of` says.
    pub fn build<E>(
        index: u64,
        size: u64,
        mut of: impl FnMut(u32, u64) -> Result<Digest, E>,
    ) -> Result<Option<Self>, E> {
        if index >= size {
            return Ok(None);
        }
        let (mut start, mut end, mut path) = (0, size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(range(middle, end, &mut of)?);
                end = middle;
            } else {
                path.push(range(start, middle, &mut of)?);
                start = middle;
            }
        }
        path.reverse();
        Ok(Some(Self { index, size, path }))
    }

    /// Whether it proves that `leaf` is in the tree with this root (RFC 9162, section 2.1.3.2).
    #[must_use]
    pub fn verify(&self, leaf: &Digest, root: &Digest) -> bool {
        if self.index >= self.size {
            return false;
        }
        let (mut at, mut last, mut hash) = (self.index, self.size - 1, *leaf);
        for beside in &self.path {
            if last == 0 {
                return false;
            }
            if at & 1 == 1 || at == last {
                hash = node(beside, &hash);
                while at & 1 == 0 && at != 0 {
                    (at, last) = (at >> 1, last >> 1);
                }
            } else {
                hash = node(&hash, beside);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        last == 0 && hash.matches(root)
    }
}

/// Proves that a tree is the beginning of a larger one: nothing of it was changed or taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyProof {
    /// The smaller tree's size.
    pub from: u64,
    /// The larger tree's size.
    pub to: u64,
    /// The hashes that both roots follow from, lowest first.
    pub path: Vec<Digest>,
}

impl ConsistencyProof {
    /// Makes the proof that the first `from` leaves of a tree of `to` leaves are the tree of size `from`; `of` as for
    /// [`InclusionProof::build`]. `None` if `from` is larger.
    ///
    /// # Errors
    /// What `of` says.
    pub fn build<E>(from: u64, to: u64, mut of: impl FnMut(u32, u64) -> Result<Digest, E>) -> Result<Option<Self>, E> {
        let mut path = Vec::new();
        match from.cmp(&to) {
            Ordering::Greater => return Ok(None),
            Ordering::Equal => return Ok(Some(Self { from, to, path })),
            // Every tree begins with the empty one.
            Ordering::Less if from == 0 => return Ok(Some(Self { from, to, path })),
            Ordering::Less => {}
        }
        let (mut start, mut end) = (0, to);
        while end != from {
            let middle = start + split(end - start);
            if from <= middle {
                path.push(range(middle, end, &mut of)?);
                end = middle;
            } else {
                path.push(range(start, middle, &mut of)?);
                start = middle;
            }
        }
        // The verifier knows the smaller root itself.
        if start != 0 {
            path.push(range(start, end, &mut of)?);
        }
        path.reverse();
        Ok(Some(Self { from, to, path }))
    }

    /// Whether it proves that the tree with the root `old` is the beginning of the one with the root `new` (RFC 9162,
    /// section 2.1.4.2). Equal sizes need equal roots; an empty tree begins every tree, and has one root.
    #[must_use]
    pub fn verify(&self, old: &Digest, new: &Digest) -> bool {
        if self.from > self.to {
            return false;
        }
        if self.from == self.to {
            return self.path.is_empty() && old.matches(new);
        }
        if self.from == 0 {
            return self.path.is_empty() && old.matches(&empty_root());
        }
        let mut path = self.path.iter();
        let first = if self.from.is_power_of_two() { Some(old) } else { path.next() };
        let Some(first) = first else { return false };
        let shift = (self.from - 1).trailing_ones();
        let (mut at, mut last) = ((self.from - 1) >> shift, (self.to - 1) >> shift);
        let (mut before, mut after) = (*first, *first);
        for beside in path {
            if last == 0 {
                return false;
            }
            if at & 1 == 1 || at == last {
                (before, after) = (node(beside, &before), node(beside, &after));
                while at & 1 == 0 && at != 0 {
                    (at, last) = (at >> 1, last >> 1);
                }
            } else {
                after = node(&after, beside);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        last == 0 && before.matches(old) && after.matches(new)
    }
}
